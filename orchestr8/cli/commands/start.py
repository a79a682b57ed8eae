"""`start`: start containers that exist and do not run."""

from __future__ import annotations

from orchestr8.cli.documents import check_wait
from orchestr8.cli.lifecycle import change

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options


def run(context: Context, options: Options) -> int:
    check_wait(options)
    return change(context, options, "start", wait=bool(options.wait), wait_timeout_s=options.wait_timeout)
