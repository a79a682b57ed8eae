"""Errors and tables as text. Findings about stack files are drawn by `stack.render`; other errors get the same shape."""

from __future__ import annotations

from orchestr8.errors import Diagnostic, InvalidStack, Orchestr8Error

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestr8.cli.output import Output


def error_text(error: Orchestr8Error, output: Output, style: str) -> str:
    """`error[O8-409]: what`, with its notes and helps; for a stack file, everything that is wrong, at its place."""
    if isinstance(error, InvalidStack):
        return diagnostics_text(error.diagnostics, error.sources, output, style)
    diagnostic = Diagnostic(error.code, error.message, notes=error.notes, helps=error.helps)
    return diagnostics_text([diagnostic], {}, output, style)


def diagnostics_text(
    diagnostics: Iterable[Diagnostic], sources: Mapping[str, str], output: Output, style: str
) -> str:  # fmt: skip
    from orchestr8.stack.render import render  # only what went wrong needs it

    return render(list(diagnostics), sources, colour=output.colour, style=style)


def table_text(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as Docker's tools set them: three spaces between, nothing after the last."""
    lines = [tuple(head), *map(tuple, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = ""
    for line in lines:
        text += "   ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
    return text
