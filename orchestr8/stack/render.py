"""Diagnostics as people, editors, code hosts and logs read them.

    error[O8-203]: no service is called `databse`
      --> stack.yml:14:11
    14 |       - databse
       |         ^^^^^^^ in services.web.depends_on
       = help: did you mean `database`?

Forms: `full` as above; `concise`, a line each; `json`, an object a line; `github`, the commands by which a workflow
marks lines of a pull request; `sarif`, one document of SARIF 2.1.0. Sorting is `problems`' business; which stream gets
the text is the CLI's.
"""

from __future__ import annotations

import os

from orchestr8.errors import Diagnostic, Span
from orchestr8.stack.lines import printable, split_lines, width
from orchestr8.stack.masking import mask_line, secrets_in
from orchestr8.stack.nodes import hide

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, Final

_COLOURS: Final = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m"}
_BOLD, _BLUE, _OFF = "\x1b[1m", "\x1b[1;34m", "\x1b[0m"
_MAX_LINE: Final = 160  # characters of a file's line that are shown
_BEFORE: Final = 40  # of them before the place, when the line is longer
_CUT: Final = "..."
_SARIF: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def render(
    diagnostics: Sequence[Diagnostic], sources: Mapping[str, str], *, colour: bool = False, style: str = "full",
    count: bool = False,
) -> str:  # fmt: skip
    """Text that ends in a line feed, or "" for no diagnostics (but for SARIF, which is then an empty report).

    `count`: even one diagnostic is followed by the line that counts them.
    """
    files = {name: split_lines(text) for name, text in sources.items() if name in _files_of(diagnostics)}
    found = [_discreet(each, files) for each in diagnostics]
    if style == "sarif":
        return _sarif(found)
    if not found:
        return ""
    if style in _BY_LINE:
        return "".join(_BY_LINE[style](each) + "\n" for each in found)
    paint = _Paint(colour)
    parts = [_full(each, files, paint) for each in found]
    parts.append(summary(found) + "\n" if count or len(found) > 1 else "")
    return "\n".join(part for part in parts if part)


def _files_of(diagnostics: Iterable[Diagnostic]) -> set[str]:
    return {span.file for each in diagnostics for span in each.spans}


def _discreet(diagnostic: Diagnostic, files: Mapping[str, list[str]]) -> Diagnostic:
    """The same, without the secrets that stand in the lines it is about."""
    secrets = {
        secret
        for span in diagnostic.spans
        if 0 < span.line <= len(files.get(span.file, ()))
        for secret in secrets_in(files[span.file][span.line - 1], span.column)
    }
    if not secrets:
        return diagnostic

    return Diagnostic(
        diagnostic.code, hide(diagnostic.message, secrets), diagnostic.spans, severity=diagnostic.severity,
        notes=[hide(text, secrets) for text in diagnostic.notes], helps=[hide(text, secrets) for text in diagnostic.helps],
        fix=diagnostic.fix,
    )  # fmt: skip


class _Paint:
    def __init__(self, colour: bool) -> None:
        self.colour = colour

    def __call__(self, code: str, text: str) -> str:
        return f"{code}{text}{_OFF}" if self.colour and text else text


def _concise(diagnostic: Diagnostic) -> str:
    first = diagnostic.place
    place = f"{printable(first.file)}:{first.line}:{first.column}: " if first else ""
    return f"{place}{diagnostic.severity}[{diagnostic.code}] {_one_line(diagnostic.message)}"


def _json(diagnostic: Diagnostic) -> str:
    import json

    return json.dumps(diagnostic.to_json(), ensure_ascii=False)


def _github(diagnostic: Diagnostic) -> str:
    """`::error file=…,line=…::…`: docs.github.com, "Workflow commands"; its escapes are those of actions/toolkit."""
    first = diagnostic.place
    fields = {"title": diagnostic.code}
    if first:
        fields = {
            "file": first.file, "line": str(first.line), "endLine": str(first.line),
            "col": str(first.column), "endColumn": str(first.end_column), **fields,
        }  # fmt: skip
    said = "\n".join([diagnostic.message, *diagnostic.notes, *diagnostic.helps])
    shown = ",".join(f"{name}={_property(value)}" for name, value in fields.items())
    return f"::{diagnostic.severity} {shown}::{_data(said)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


_BY_LINE: Final[dict[str, Callable[[Diagnostic], str]]] = {"json": _json, "concise": _concise, "github": _github}


def _full(diagnostic: Diagnostic, files: Mapping[str, list[str]], paint: _Paint) -> str:
    tint = _COLOURS.get(diagnostic.severity, "")
    head = paint(tint, f"{diagnostic.severity}[{diagnostic.code}]")
    lines = [head + paint(_BOLD, f": {_one_line(diagnostic.message)}")]
    gutter = " " * max((len(str(span.line)) for span in diagnostic.spans), default=1)
    first = diagnostic.place
    if first:
        lines.append(f"{gutter}{paint(_BLUE, '-->')} {_place(first)}")
        shown_file = first.file
        in_turn = diagnostic.spans[0].file == first.file  # whoever found it says in which order it reads best
        for span in diagnostic.spans if in_turn else [first, *(each for each in diagnostic.spans if each is not first)]:
            if span.file != shown_file:
                lines.append(f"{gutter}{paint(_BLUE, ':::')} {_place(span)}")
                shown_file = span.file
            lines.extend(_snippet(span, files.get(span.file, []), gutter, tint, paint))
    lines.extend(f"{gutter} {paint(_BLUE, '=')} note: {_one_line(note)}" for note in diagnostic.notes)
    lines.extend(f"{gutter} {paint(_BLUE, '=')} help: {_one_line(text)}" for text in diagnostic.helps)
    if diagnostic.fix:
        lines.append(f"{gutter} {paint(_BLUE, '=')} fix:  orchestr8 check --fix   ({diagnostic.fix.title})")
    return "\n".join(lines) + "\n"


def _place(span: Span) -> str:
    return f"{printable(span.file)}:{span.line}:{span.column}"


def _one_line(text: str) -> str:
    """Values of the user's stand in messages: they neither break the shape nor reach the terminal as control codes."""
    return printable(text.replace("\r\n", "\\n").replace("\n", "\\n"))


def _snippet(span: Span, rows: list[str], gutter: str, tint: str, paint: _Paint) -> list[str]:
    """The line at fault, and the place on it underlined."""
    if not 0 < span.line <= len(rows):
        return []
    text = mask_line(rows[span.line - 1])
    start = min(max(span.column - 1, 0), len(text))
    end = min(max(span.end_column - 1, start + 1), max(len(text), start + 1))
    if len(text) > _MAX_LINE:
        text, start, end = _window(text, start, end)
    text = printable(text)
    number = paint(_BLUE, f"{span.line:>{len(gutter)}} |")
    under = paint(_BLUE, f"{gutter} |")
    mark = ("^" if span.primary else "-") * max(width(text[start:end]), 1)
    label = f" {_one_line(span.label)}" if span.label else ""
    shown = paint(tint if span.primary else _BLUE, mark + label)
    return [f"{number} {text}".rstrip(), f"{under} {' ' * width(text[:start])}{shown}"]


def _window(text: str, start: int, end: int) -> tuple[str, int, int]:
    """The part of a long line around a place, and the place in it; what is left out shows as dots."""
    first = max(0, min(start - _BEFORE, len(text) - _MAX_LINE))
    last = min(len(text), first + _MAX_LINE)
    before, after = _CUT if first else "", _CUT if last < len(text) else ""
    shift = len(before) - first
    return before + text[first:last] + after, start + shift, min(end, last) + shift


def summary(diagnostics: list[Diagnostic]) -> str:
    """`3 errors, 1 warning in stack.yml`."""
    errors = sum(1 for each in diagnostics if each.severity == "error")
    warnings = len(diagnostics) - errors
    counts = [
        f"{count} {noun}{'' if count == 1 else 's'}"
        for count, noun in ((errors, "error"), (warnings, "warning"))
        if count
    ]
    files = sorted({each.place.file for each in diagnostics if each.place})
    fixes = sum(1 for each in diagnostics if each.fix)
    mended = f"; {fixes} can be mended by: orchestr8 check --fix" if fixes else ""
    return ", ".join(counts) + (f" in {', '.join(map(printable, files))}" if files else "") + mended


def _sarif(diagnostics: list[Diagnostic]) -> str:
    import json

    from orchestr8 import __version__
    from orchestr8.codes import CODES

    codes = sorted({each.code for each in diagnostics})
    rules = [
        {
            "id": code,
            "shortDescription": {"text": CODES[code][0] if code in CODES else code},
            "fullDescription": {"text": CODES[code][1] if code in CODES else code},
        }
        for code in codes
    ]
    driver = {"name": "orchestr8", "semanticVersion": __version__, "rules": rules}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(each, codes.index(each.code)) for each in diagnostics],
    }
    return json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def _result(diagnostic: Diagnostic, rule: int) -> dict[str, Any]:
    first = diagnostic.place
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "ruleIndex": rule,
        "level": diagnostic.severity,
        "message": {"text": "\n".join([diagnostic.message, *diagnostic.notes, *diagnostic.helps])},
        "locations": [_location(first)] if first else [],
    }
    related = [_location(each, number) for number, each in enumerate(diagnostic.spans) if each is not first]
    if related:
        result["relatedLocations"] = related
    if diagnostic.fix:
        changes: dict[str, list[dict[str, Any]]] = {}
        for edit in diagnostic.fix.edits:
            region = {
                "startLine": edit.line, "startColumn": edit.column,
                "endLine": edit.end_line, "endColumn": edit.end_column,
            }  # fmt: skip
            change = {"deletedRegion": region, "insertedContent": {"text": edit.text}}
            changes.setdefault(edit.file, []).append(change)
        result["fixes"] = [{
            "description": {"text": diagnostic.fix.title},
            "artifactChanges": [
                {"artifactLocation": {"uri": _uri(file)}, "replacements": each} for file, each in changes.items()
            ],
        }]  # fmt: skip
    return result


def _location(span: Span, number: int | None = None) -> dict[str, Any]:
    region = {"startLine": max(span.line, 1), "startColumn": max(span.column, 1), "endColumn": max(span.end_column, 1)}
    location: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": {"uri": _uri(span.file)}, "region": region}
    }  # fmt: skip
    if span.label:
        location["message"] = {"text": span.label}
    if number is not None:
        location["id"] = number
    return location


def _uri(file: str) -> str:
    from urllib.parse import quote

    path = quote(os.fsencode(file))  # a file's name is bytes, of UTF-8 or not
    return f"file://{path}" if file.startswith("/") else path
