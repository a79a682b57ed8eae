"""`help`: what a command does, or which commands there are."""

from __future__ import annotations

from orchestr8.cli.parser import help_text, no_such_command
from orchestr8.cli.table import COMMANDS

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options


def run(context: Context, options: Options) -> int:
    name = options.services[0] if options.services else ""
    if name and name not in COMMANDS:
        raise no_such_command(name)
    context.out.write(help_text(COMMANDS[name] if name else None))
    return 0
