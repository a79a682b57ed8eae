"""What is wrong with a stack's files, all of it, and what mending it by the findings' own edits would come to.

A mend is thought through before anything is written: the files are loaded as they would be, and edits that do not make
them better are left out. Who writes, and what is shown, is `cli.commands.check`'s business.
"""

from __future__ import annotations

import os
import re
from bisect import bisect, insort
from collections import Counter
from itertools import pairwise

from orchestr8.errors import Diagnostic, Edit, InvalidStack
from orchestr8.stack.contents import read_contents, read_profiles
from orchestr8.stack.fixes import quote
from orchestr8.stack.lines import line_starts
from orchestr8.stack.load import load
from orchestr8.stack.nodes import Mapping as Block
from orchestr8.stack.nodes import Scalar, cut
from orchestr8.stack.preflight import Stored, check_images, unseen
from orchestr8.stack.problems import Problems
from orchestr8.stack.project import locate
from orchestr8.stack.source import STDIN, instead_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Final

    _Extent = tuple[tuple[int, int], tuple[int, int]]  # line and column where an edit begins, and where it ends

    from orchestr8.stack.load import Loaded
    from orchestr8.stack.project import LoadOptions

MAX_SHOWN: Final = 60  # letters of a number to the base of sixty that is written out
ROUNDS: Final = 20  # a mended key lets its value be looked at, which may want mending in turn
TRIES: Final = 200  # loads of the whole stack, when many edits spoil it for the others
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


def examine(options: LoadOptions, images: Stored = unseen) -> Report:
    """Load, and tell everything. `images`: as `check_images` has it. Raises NotFound or InvalidInput where there is no file to tell of."""
    remarks = Problems()
    try:
        loaded = load(options)
    except InvalidStack as failure:
        found, document = failure.diagnostics, None
        remarks.sources = dict(failure.sources)
    else:
        found, document = loaded.warnings, loaded.document
        remarks.sources = dict(loaded.sources)
        _look_around(loaded, remarks, images)
    _look_closer(remarks)
    if options.strict:
        for each in remarks.warnings:
            each.severity = "error"
    return Report(remarks.ordered([*found, *remarks.errors, *remarks.warnings]), remarks.sources, document)


def _look_around(loaded: Loaded, problems: Problems, images: Stored) -> None:
    """What `up` would find out beyond the stack files: images, and what secrets, configs and seccomp profiles hold."""
    services = loaded.root.items.get("services")
    active = loaded.document.get("services", {})
    if isinstance(services, Block):
        found = [each for name, each in services.items.items() if name in active and isinstance(each, Block)]
        check_images(found, problems, images)
    for read in (read_contents, read_profiles):
        try:
            read(loaded)
        except InvalidStack as failure:
            problems.errors += failure.diagnostics


def _look_closer(problems: Problems) -> None:
    """What loads as it should here, and not elsewhere: numbers to the base of sixty, which YAML 1.1 has."""
    for file, text in problems.sources.items():
        if not _MAYBE_BASE_60.search(text) or not (file == STDIN or file.endswith((".yml", ".yaml"))):
            continue
        for node in _plain_values(file, text):
            if _BASE_60.fullmatch(node.text):
                problems.warn(
                    "O8-114", f"`{cut(node.text)}` is {_base_60(node.text)} to other readers of YAML", node,
                    notes=["YAML 1.1 has numbers to the base of sixty; compose and orchestr8 read text"],
                    helps=[f'quote it: "{cut(node.text)}"'], fix=quote(node, problems),
                )  # fmt: skip


def _base_60(text: str) -> str:
    if len(text) > MAX_SHOWN:  # nobody needs its digits, and Python refuses to write very many
        return "a number"
    number = 0
    for part in text.lstrip("+-").replace("_", "").split(":"):
        number = number * 60 + int(part)
    return f"the number {number}"


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


def mend(options: LoadOptions, may_change: Mapping[str, str], images: Stored = unseen) -> Mend:
    """Apply the findings' edits in memory, again and again until none is left that makes things better.

    `may_change`: the files that may be changed, as spans name them, and their absolute paths.
    """
    texts: dict[str, str] = {}
    mended: list[Diagnostic] = []
    refused: set[str] = set()
    tries = 0

    def better(wanted: list[Diagnostic]) -> tuple[list[Diagnostic], dict[str, str], Report] | None:
        """What the edits come to; where some spoil it for the others, those of a half of them, or of a half of that."""
        nonlocal tries
        tries += 1
        if tries > TRIES:
            return None
        if found := _try(lambda: examine(options, images), report, wanted, texts, may_change):
            return found
        if len(wanted) == 1:
            refused.add(repr(wanted[0]))
            return None
        middle = len(wanted) // 2
        return better(wanted[:middle]) or better(wanted[middle:])

    report = examine(options, images)
    for _ in range(ROUNDS):
        wanted = [
            each for each in report.diagnostics
            if each.fix and repr(each) not in refused and all(edit.file in may_change for edit in each.fix.edits)
        ]  # fmt: skip
        if not wanted:
            break
        if (tried := better(wanted)) is None:
            break
        applied, texts, report = tried
        mended += applied
    return Mend(texts, mended, report)


def _try(
    look: Callable[[], Report], before: Report, wanted: list[Diagnostic], texts: dict[str, str],
    paths: Mapping[str, str],
) -> tuple[list[Diagnostic], dict[str, str], Report] | None:  # fmt: skip
    """The report with these edits made, if it is the better one."""
    chosen = without_overlaps(wanted)
    changed = dict(texts)
    for file in {edit.file for each in chosen if each.fix for edit in each.fix.edits}:
        edits = [edit for each in chosen if each.fix for edit in each.fix.edits if edit.file == file]
        changed[paths[file]] = apply(before.sources[file], edits)
    with instead_of(changed):
        after = look()
    return (chosen, changed, after) if _better(before, after, chosen) else None


def _better(before: Report, after: Report, mended: list[Diagnostic]) -> bool:
    """What was mended is gone, a document that there was is the same, and no file has become unreadable."""
    if before.document is not None and after.document != before.document:
        return False
    was, left = _counted(before), _counted(after)
    if any(was[said] <= left[said] for said in {_said(each) for each in mended} & left.keys()) and not _is_full(after):
        return False  # of a report that is full, others may stand where those were
    return _unreadable(after) <= _unreadable(before)


def _said(diagnostic: Diagnostic) -> tuple[str, str]:
    return diagnostic.code, diagnostic.message


def _counted(report: Report) -> Counter[tuple[str, str]]:
    return Counter(map(_said, report.diagnostics))


def _is_full(report: Report) -> bool:
    return any(each.code == "O8-100" for each in report.diagnostics)


def _unreadable(report: Report) -> int:
    return sum(1 for each in report.diagnostics if each.code in ("O8-102", "O8-103"))


def without_overlaps(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Those whose edits do not meet: of two that do, the first; the other may come in a later round."""
    taken: dict[str, list[_Extent]] = {}  # by file, in the order of their places
    chosen = []
    for each in diagnostics:
        edits = each.fix.edits if each.fix else ()
        if any(_meets(_extent(edit), taken.get(edit.file, [])) for edit in edits):
            continue
        for edit in edits:
            insort(taken.setdefault(edit.file, []), _extent(edit))
        chosen.append(each)
    return chosen


def _extent(edit: Edit) -> _Extent:
    return (edit.line, edit.column), (edit.end_line, edit.end_column)


def _meets(extent: _Extent, others: list[_Extent]) -> bool:
    """Whether it meets one of these, which are in order and do not meet each other."""
    at = bisect(others, extent)
    near = [*others[max(at - 1, 0) : at], extent, *others[at : at + 1]]
    return any(second[0] < first[1] or first[0] == second[0] for first, second in pairwise(near))


def apply(text: str, edits: Iterable[Edit]) -> str:
    """`text` with the edits made; they do not meet. All else stays as it is, to the last blank and line end."""
    starts = line_starts(text)

    def offset(line: int, column: int) -> int:
        return min(starts[line - 1] + column - 1, len(text)) if line <= len(starts) else len(text)

    parts = []
    position = 0
    for edit in sorted(edits, key=lambda each: (each.line, each.column)):
        parts += [text[position : offset(edit.line, edit.column)], edit.text]
        position = offset(edit.end_line, edit.end_column)
    return "".join([*parts, text[position:]])


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
