"""Collects what is wrong with the stack files of one run, so that every phase can go on after an error."""

from collections.abc import Iterable

from orchestr8.errors import Diagnostic, Fix, InvalidStack, Span
from orchestr8.stack.lines import split_lines
from orchestr8.stack.nodes import Node


class Problems:
    """Diagnostics in the making. The same thing at the same place (an anchor used twice) is told once."""

    def __init__(self) -> None:
        self.errors: list[Diagnostic] = []
        self.warnings: list[Diagnostic] = []
        self.sources: dict[str, str] = {}  # file, as spans name it -> text
        self._told: set[tuple[str, str, str, int, int]] = set()
        self._lines: dict[str, list[str]] = {}

    def lines(self, file: str) -> list[str]:
        """A file's text by lines; none for a file that was not read."""
        if file not in self._lines:
            if file not in self.sources:
                return []
            self._lines[file] = split_lines(self.sources[file])
        return self._lines[file]

    def error(
        self, code: str, message: str, at: Node | Span | Iterable[Span] = (), *, notes: Iterable[str] = (),
        helps: Iterable[str] = (), label: str = "", fix: Fix | None = None,
    ) -> None:  # fmt: skip
        self._add(self.errors, Diagnostic(code, message, _spans(at, label), notes=notes, helps=helps, fix=fix))

    def warn(
        self, code: str, message: str, at: Node | Span | Iterable[Span] = (), *, notes: Iterable[str] = (),
        helps: Iterable[str] = (), label: str = "", fix: Fix | None = None,
    ) -> None:  # fmt: skip
        found = Diagnostic(code, message, _spans(at, label), severity="warning", notes=notes, helps=helps, fix=fix)
        self._add(self.warnings, found)

    def _add(self, found: list[Diagnostic], diagnostic: Diagnostic) -> None:
        place = diagnostic.spans[0] if diagnostic.spans else Span("", 0, 0)
        identity = (diagnostic.code, diagnostic.message, place.file, place.line, place.column)
        if identity not in self._told:
            self._told.add(identity)
            found.append(diagnostic)

    def raise_errors(self, *, strict: bool = False) -> None:
        """End the run if anything is wrong; `strict` counts warnings as errors."""
        if strict:
            for warning in self.warnings:
                warning.severity = "error"
                warning.notes.append("a warning, which --strict makes an error")
        if self.errors or (strict and self.warnings):
            raise InvalidStack(self.ordered(self.errors + self.warnings), self.sources)

    def ordered(self, diagnostics: list[Diagnostic]) -> list[Diagnostic]:
        """By file in the order read, then by place; what has no place comes first."""
        rank = {file: number for number, file in enumerate(self.sources)}

        def place(diagnostic: Diagnostic) -> tuple[int, int, int, str]:
            first = diagnostic.place
            if first is None:
                return (-1, 0, 0, diagnostic.code)
            return (rank.get(first.file, len(rank)), first.line, first.column, diagnostic.code)

        return sorted(diagnostics, key=place)


def _spans(at: Node | Span | Iterable[Span], label: str) -> list[Span]:
    if isinstance(at, Node):
        return [at.span(label)]
    if isinstance(at, Span):
        return [at]
    return list(at)
