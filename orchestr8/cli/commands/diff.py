"""`diff`: what a container has changed of its image's files, in docker's format or as JSON lines."""

from __future__ import annotations

import json

from orchestr8.cli.containers import one_container
from orchestr8.model.shown import printable

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Final

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options

KINDS: Final = "CAD"  # by Docker's numbers


def run(context: Context, options: Options) -> int:
    container = one_container(context, options.service, options.index)
    found = context.client.request("GET", f"/containers/{container['id']}/changes", timeout_s=None)
    line = _json if options.format == "json" else _text
    context.out.write("".join(line(KINDS[each["Kind"]], each["Path"]) for each in found))
    return 0


def _json(kind: str, path: str) -> str:
    """ASCII: what is no UTF-8 in a path stands as Python's lone surrogates."""
    return json.dumps({"Path": path, "Kind": kind}) + "\n"


def _text(kind: str, path: str) -> str:
    return f"{kind} {printable(path)}\n"
