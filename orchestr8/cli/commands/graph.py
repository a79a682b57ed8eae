"""`graph`: which service waits for which, and for what. No engine is needed."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options


def run(context: Context, options: Options) -> int:
    from orchestr8.stack.drawings import DRAWINGS
    from orchestr8.stack.graph import Graph

    loaded = context.load(options.services, narrow=True)
    context.out.write(DRAWINGS[options.format or "ascii"](Graph(loaded.document, loaded.services_disabled)))
    return 0
