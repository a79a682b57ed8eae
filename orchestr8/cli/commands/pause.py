"""`pause`: have no process of containers run, until `unpause`."""

from __future__ import annotations

from orchestr8.cli.lifecycle import change

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options


def run(context: Context, options: Options) -> int:
    return change(context, options, "pause")
