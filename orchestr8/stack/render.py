"""Diagnostics as people, editors and logs read them.

    error[O8-203]: no service is called `databse`
      --> stack.yml:14:11
    14 |       - databse
       |         ^^^^^^^ in services.web.depends_on
       = help: did you mean `database`?

Sorting and counting is `problems`' business; which stream gets the text is the CLI's.
"""

from collections.abc import Iterable, Mapping

from orchestr8.errors import Diagnostic, Span

_COLOURS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m"}
_BOLD, _BLUE, _OFF = "\x1b[1m", "\x1b[1;34m", "\x1b[0m"
_MAX_LINE = 200


def render(
    diagnostics: Iterable[Diagnostic], sources: Mapping[str, str], *, colour: bool = False, style: str = "full"
) -> str:
    """Text that ends in a line feed, or "" for no diagnostics. `style`: full, concise (a line each) or json (likewise)."""
    found = list(diagnostics)
    if not found:
        return ""
    if style == "json":
        import json

        return "".join(json.dumps(each.to_json(), ensure_ascii=False) + "\n" for each in found)
    if style == "concise":
        return "".join(_concise(each) + "\n" for each in found)
    paint = _Paint(colour)
    parts = [_full(each, sources, paint) for each in found]
    parts.append(_summary(found) + "\n" if len(found) > 1 else "")
    return "\n".join(part for part in parts if part)


class _Paint:
    def __init__(self, colour: bool) -> None:
        self.colour = colour

    def __call__(self, code: str, text: str) -> str:
        return f"{code}{text}{_OFF}" if self.colour and text else text


def _concise(diagnostic: Diagnostic) -> str:
    place = ""
    if diagnostic.spans:
        first = _primary(diagnostic.spans)
        place = f"{first.file}:{first.line}:{first.column}: "
    return f"{place}{diagnostic.severity}[{diagnostic.code}] {diagnostic.message}"


def _primary(spans: list[Span]) -> Span:
    return next((each for each in spans if each.primary), spans[0])


def _full(diagnostic: Diagnostic, sources: Mapping[str, str], paint: _Paint) -> str:
    tint = _COLOURS.get(diagnostic.severity, "")
    title = paint(tint, f"{diagnostic.severity}[{diagnostic.code}]") + paint(_BOLD, f": {diagnostic.message}")
    lines = [title]
    width = max((len(str(span.line)) for span in diagnostic.spans), default=1)
    gutter = " " * width
    if diagnostic.spans:
        first = _primary(diagnostic.spans)
        lines.append(f"{gutter}{paint(_BLUE, '-->')} {first.file}:{first.line}:{first.column}")
    shown_file = _primary(diagnostic.spans).file if diagnostic.spans else ""
    for span in diagnostic.spans:
        if span.file != shown_file:
            lines.append(f"{gutter}{paint(_BLUE, ':::')} {span.file}:{span.line}:{span.column}")
            shown_file = span.file
        lines.extend(_snippet(span, sources, width, tint, paint))
    lines.extend(f"{gutter} {paint(_BLUE, '=')} note: {note}" for note in diagnostic.notes)
    lines.extend(f"{gutter} {paint(_BLUE, '=')} help: {text}" for text in diagnostic.helps)
    return "\n".join(lines) + "\n"


def _snippet(span: Span, sources: Mapping[str, str], width: int, tint: str, paint: _Paint) -> list[str]:
    """The line at fault, and the place on it underlined."""
    source = sources.get(span.file)
    rows = source.split("\n") if source is not None else []
    if not 0 < span.line <= len(rows):
        return []
    text = rows[span.line - 1].rstrip("\r").replace("\t", " ")
    start, end = span.column - 1, max(span.end_column - 1, span.column)
    if len(text) > _MAX_LINE:  # a window around the place
        cut = max(0, start - 40)
        text = ("..." if cut else "") + text[cut : cut + _MAX_LINE] + "..."
        shift = cut - (3 if cut else 0)
        start, end = start - shift, min(end - shift, len(text))
    mark = ("^" if span.primary else "-") * max(end - start, 1)
    number = paint(_BLUE, f"{span.line:>{width}} |")
    under = paint(_BLUE, f"{' ' * width} |")
    label = f" {span.label}" if span.label else ""
    return [
        f"{number} {text}",
        f"{under} {' ' * _width(text[:start])}{paint(tint if span.primary else _BLUE, mark + label)}",
    ]


def _width(text: str) -> int:
    """Columns on a terminal: wide letters take two."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def _summary(diagnostics: list[Diagnostic]) -> str:
    """`3 errors, 1 warning in stack.yml`."""
    errors = sum(1 for each in diagnostics if each.severity == "error")
    warnings = len(diagnostics) - errors
    counts = [
        f"{count} {noun}{'' if count == 1 else 's'}"
        for count, noun in ((errors, "error"), (warnings, "warning"))
        if count
    ]
    files = sorted({_primary(each.spans).file for each in diagnostics if each.spans})
    return ", ".join(counts) + (f" in {', '.join(files)}" if files else "")
