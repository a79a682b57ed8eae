"""What is wrong with a stack's files, all of it, and what mending it by the findings' own edits would come to.

A mend is thought through before anything is written: the files are loaded as they would be, and edits that do not make
them better are left out. Who writes, and what is shown, is `cli.commands.check`'s business.
"""

from __future__ import annotations

import os
import re

from orchestr8.errors import Diagnostic, Edit, InvalidStack
from orchestr8.stack.fixes import quote
from orchestr8.stack.lines import line_starts
from orchestr8.stack.load import load
from orchestr8.stack.nodes import Scalar
from orchestr8.stack.problems import Problems
from orchestr8.stack.project import locate
from orchestr8.stack.source import STDIN, instead_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, Final

    from orchestr8.stack.project import LoadOptions

ROUNDS: Final = 20  # a mended key lets its value be looked at, which may want mending in turn
_BASE_60: Final = re.compile(r"[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+")  # yaml.org/type/int.html
_MAYBE_BASE_60: Final = re.compile(r"[0-9]:[0-5]?[0-9](?![0-9.])")


class Report:
    """One look at the files: what was found, in order, and the document if there was nothing to forbid it."""

    def __init__(
        self, diagnostics: list[Diagnostic], sources: Mapping[str, str], document: dict[str, Any] | None
    ) -> None:
        self.diagnostics = diagnostics
        self.sources = sources
        self.document = document

    @property
    def failed(self) -> bool:
        return any(each.severity == "error" for each in self.diagnostics)


class Mend:
    """What edits came to: the texts of the files that change, what was mended, and what is left."""

    def __init__(self, texts: dict[str, str], mended: list[Diagnostic], report: Report) -> None:
        self.texts = texts
        self.mended = mended
        self.report = report


def examine(options: LoadOptions) -> Report:
    """Load, and tell everything. Raises NotFound or InvalidInput where there is no file to tell of."""
    try:
        loaded = load(options)
    except InvalidStack as failure:
        found, sources, document = failure.diagnostics, failure.sources, None
    else:
        found, sources, document = loaded.warnings, loaded.sources, loaded.document
    remarks = Problems()
    remarks.sources = dict(sources)
    _look_closer(remarks)
    if options.strict:
        for each in remarks.warnings:
            each.severity = "error"
    return Report(remarks.ordered([*found, *remarks.warnings]), sources, document)


def _look_closer(problems: Problems) -> None:
    """What loads as it should here, and not elsewhere: numbers to the base of sixty, which YAML 1.1 has."""
    for file, text in problems.sources.items():
        if not _MAYBE_BASE_60.search(text) or not (file == STDIN or file.endswith((".yml", ".yaml"))):
            continue
        for node in _plain_values(file, text):
            if _BASE_60.fullmatch(node.text):
                number = 0
                for part in node.text.lstrip("+-").replace("_", "").split(":"):
                    number = number * 60 + int(part)
                problems.warn(
                    "O8-114", f"`{node.text}` is the number {number} to other readers of YAML", node,
                    notes=["YAML 1.1 has numbers to the base of sixty; compose and orchestr8 read text"],
                    helps=[f'quote it: "{node.text}"'], fix=quote(node, problems),
                )  # fmt: skip


def _plain_values(file: str, text: str) -> list[Scalar]:
    """The unquoted scalars on one line each; none of a file that is not YAML, which is told already."""
    import yaml
    from yaml._yaml import CParser

    found = []
    try:
        parser: Any = CParser(text)
        while parser.check_event():
            event = parser.get_event()
            if not isinstance(event, yaml.ScalarEvent) or not event.implicit[0] or event.tag:
                continue
            start, end = event.start_mark, event.end_mark
            if start and end and start.line == end.line:
                node = Scalar(event.value, event.value, quoted=False)
                node.file, node.line = file, start.line + 1
                node.column, node.end_column = start.column + 1, end.column + 1
                found.append(node)
    except yaml.YAMLError:
        return []
    return found


def mend(options: LoadOptions, may_change: Mapping[str, str]) -> Mend:
    """Apply the findings' edits in memory, again and again until none is left that makes things better.

    `may_change`: the files that may be changed, as spans name them, and their absolute paths.
    """
    texts: dict[str, str] = {}
    mended: list[Diagnostic] = []
    refused: set[str] = set()
    report = examine(options)
    for _ in range(ROUNDS):
        wanted = [
            each for each in report.diagnostics
            if each.fix and repr(each) not in refused and all(edit.file in may_change for edit in each.fix.edits)
        ]  # fmt: skip
        if not wanted:
            break
        tried = _try(options, report, wanted, texts, may_change)
        if tried is None and len(wanted) > 1:  # one of them spoils it for the others: take them singly
            tried = next(filter(None, (_try(options, report, [each], texts, may_change) for each in wanted)), None)
        if tried is None:
            refused.update(map(repr, wanted))
            continue
        applied, texts, report = tried
        mended += applied
    return Mend(texts, mended, report)


def _try(
    options: LoadOptions, before: Report, wanted: list[Diagnostic], texts: dict[str, str], paths: Mapping[str, str]
) -> tuple[list[Diagnostic], dict[str, str], Report] | None:
    """The report with these edits made, if it is the better one."""
    chosen = without_overlaps(wanted)
    changed = dict(texts)
    for file in {edit.file for each in chosen if each.fix for edit in each.fix.edits}:
        edits = [edit for each in chosen if each.fix for edit in each.fix.edits if edit.file == file]
        changed[paths[file]] = apply(before.sources[file], edits)
    with instead_of(changed):
        after = examine(options)
    return (chosen, changed, after) if _better(before, after, chosen) else None


def _better(before: Report, after: Report, mended: list[Diagnostic]) -> bool:
    """What was mended is gone, a document that there was is the same, and no file has become unreadable."""
    if before.document is not None and after.document != before.document:
        return False
    left = [(each.code, each.message) for each in after.diagnostics]
    if any((each.code, each.message) in left and _count(before, each) <= left.count((each.code, each.message))
           for each in mended):  # fmt: skip
        return False
    return _unreadable(after) <= _unreadable(before)


def _count(report: Report, one: Diagnostic) -> int:
    return sum(1 for each in report.diagnostics if (each.code, each.message) == (one.code, one.message))


def _unreadable(report: Report) -> int:
    return sum(1 for each in report.diagnostics if each.code in ("O8-102", "O8-103"))


def without_overlaps(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Those whose edits do not meet: of two that do, the first; the other may come in a later round."""
    taken: list[Edit] = []
    chosen = []
    for each in diagnostics:
        edits = each.fix.edits if each.fix else ()
        if not any(_meet(edit, other) for edit in edits for other in taken):
            taken += edits
            chosen.append(each)
    return chosen


def _meet(one: Edit, other: Edit) -> bool:
    if one.file != other.file:
        return False
    first, second = sorted((one, other), key=lambda edit: (edit.line, edit.column))
    return (second.line, second.column) < (first.end_line, first.end_column) or (
        (first.line, first.column) == (second.line, second.column)
    )


def apply(text: str, edits: Iterable[Edit]) -> str:
    """`text` with the edits made; they do not meet. All else stays as it is, to the last blank and line end."""
    starts = line_starts(text)

    def offset(line: int, column: int) -> int:
        return min(starts[line - 1] + column - 1, len(text)) if line <= len(starts) else len(text)

    for edit in sorted(edits, key=lambda each: (each.line, each.column), reverse=True):
        text = text[: offset(edit.line, edit.column)] + edit.text + text[offset(edit.end_line, edit.end_column) :]
    return text


def changeable(options: LoadOptions, report: Report) -> tuple[dict[str, str], list[str]]:
    """The files of the report that edits may go to: regular ones, of the user's project or named by -f; and the rest.

    What is read from elsewhere by `extends` or `include` belongs to somebody else; standard input cannot be written.
    """
    project = locate(options, Problems())
    homes = {project.directory, *(os.path.dirname(path) for path in project.files if path != "-")}
    may: dict[str, str] = {}
    rest: list[str] = []
    for file in report.sources:
        path = os.path.normpath(os.path.join(options.working_dir, file))
        inside = path in project.files or any(path.startswith(f"{home.rstrip('/')}/") for home in homes)
        if file != STDIN and inside and os.path.isfile(path):
            may[file] = path
        else:
            rest.append(file)
    return may, rest
