"""What start, stop, restart and kill have in common: services of a stack that the engine knows already."""

from __future__ import annotations

from orchestr8.cli.work import do_work

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Any, Final

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options

RESUMABLE: Final = frozenset({"start", "stop"})  # a signal is sent once; whom a restart took along is not known later


def change(context: Context, options: Options, verb: str, **further: Any) -> int:
    """Have the engine do `verb`. It knows the stack as it was brought up, so the file is asked for its name only."""
    stack = context.stack
    wanted = {"services": options.services or None, **further}
    if getattr(options, "dry_run", False):
        from orchestr8.cli.commands.plan import show_plan

        show_plan(context, stack, verb, None, wanted)
    else:
        body = {**wanted, "document": None}
        do_work(
            context,
            f"{verb} {stack}",
            f"/stacks/{stack}/{verb}",
            body,
            resumable=verb in RESUMABLE and not further.get("wait"),
        )
    return 0
