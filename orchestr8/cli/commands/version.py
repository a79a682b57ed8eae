"""`version`: of this program, and of the engine if one runs."""

from __future__ import annotations

import json

from orchestr8 import __version__
from orchestr8.errors import Unavailable

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Any

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options


def run(context: Context, options: Options) -> int:
    if options.short:
        context.out.write(f"{__version__}\n")
        return 0
    engine, absence = _engine(context)
    if options.format == "json":
        context.out.write(json.dumps({"version": __version__, "engine": engine}) + "\n")
        return 0
    context.out.write(f"orchestr8 {__version__}\n")
    if engine is None:
        context.out.write(f"engine    {absence}\n")
    else:
        context.out.write(
            f"engine    {engine['Version']}, API {engine['ApiVersion']}, kernel {engine['KernelVersion']}\n"
        )
    return 0


def _engine(context: Context) -> tuple[dict[str, Any] | None, str]:
    """What the engine says of itself, or why it says nothing: asking for versions is no reason to start one."""
    try:
        return context.running_engine().request("GET", "/version", timeout_s=5), ""
    except Unavailable as error:
        return None, error.message if isinstance(error.__cause__, PermissionError) else "not running"
