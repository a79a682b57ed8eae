"""`commit`: an image of a container's files and settings."""

from __future__ import annotations

from orchestr8.cli.containers import one_container

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Any

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options


def run(context: Context, options: Options) -> int:
    container = one_container(context, options.service, options.index)
    query: dict[str, Any] = {
        "container": container["id"],
        "repo": options.image or "",
        "author": options.author or "",
        "comment": options.message or "",
        "changes": options.changes,
        "pause": 0 if options.pause is False else 1,
    }
    made = context.client.request("POST", "/commit", query=query, timeout_s=None)
    for warning in made["Warnings"]:
        context.err.write(f"warning: {warning}\n")
    context.out.write(f"{made['Id']}\n")
    return 0
