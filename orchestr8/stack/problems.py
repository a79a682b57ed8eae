"""Collects what is wrong with the stack files of one run, so that every phase can go on after an error."""

from __future__ import annotations

from collections.abc import Iterable

from orchestr8.errors import Diagnostic, Fix, InvalidStack, Span
from orchestr8.stack.nodes import Node, hide, origin, secret_parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

MAX_TOLD: Final = 1000  # errors, and warnings likewise: more help nobody, and telling them takes time


class Problems:
    """Diagnostics in the making. The same thing at the same place (an anchor used twice) is told once.

    What a value came by goes with it: the template of its variable as a note, `include` and `extends` as further places.
    """

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
            from orchestr8.stack.lines import split_lines  # what is right needs no lines

            self._lines[file] = split_lines(self.sources[file])
        return self._lines[file]

    def error(
        self, code: str, message: str, at: Node | Span | Iterable[Span] = (), *, notes: Iterable[str] = (),
        helps: Iterable[str] = (), label: str = "", fix: Fix | None = None,
    ) -> None:  # fmt: skip
        self._add(self.errors, _diagnostic("error", code, message, at, label, notes, helps, fix))
        if len(self.errors) > MAX_TOLD:
            self.errors[-1] = Diagnostic("O8-100", f"more than {MAX_TOLD} errors: the rest is not looked for")
            self.raise_errors()

    def warn(
        self, code: str, message: str, at: Node | Span | Iterable[Span] = (), *, notes: Iterable[str] = (),
        helps: Iterable[str] = (), label: str = "", fix: Fix | None = None,
    ) -> None:  # fmt: skip
        if len(self.warnings) <= MAX_TOLD:
            self._add(self.warnings, _diagnostic("warning", code, message, at, label, notes, helps, fix))
            if len(self.warnings) > MAX_TOLD:
                told = f"more than {MAX_TOLD} warnings: the rest is not told"
                self.warnings[-1] = Diagnostic("O8-100", told, severity="warning")

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


def _diagnostic(
    severity: str, code: str, message: str, at: Node | Span | Iterable[Span], label: str, notes: Iterable[str],
    helps: Iterable[str], fix: Fix | None,
) -> Diagnostic:  # fmt: skip
    if isinstance(at, Node):
        spans = [at.span(label)]
        notes = [*notes, *origin(at)]
        if secrets := secret_parts(at):
            message, helps = hide(message, secrets), [hide(text, secrets) for text in helps]
    else:
        spans = [at] if isinstance(at, Span) else list(at)
    if spans:
        way: dict[tuple[str, int, str], Span] = {}
        for span in spans[0].via:
            way.setdefault((span.file, span.line, span.label), span)
        spans += way.values()
    return Diagnostic(code, message, spans, severity=severity, notes=notes, helps=helps, fix=fix)
