"""`cp`: files into containers and out of them, as `docker compose cp` does it, and as tar by way of `-`."""

from __future__ import annotations

import os

from orchestr8.cli.copies import CopyIn, CopyOut
from orchestr8.cli.parser import UsageError
from orchestr8.errors import NotFound

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Any

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options


def run(context: Context, options: Options) -> int:
    source_in, source = divided(options.source)
    destination_in, destination = divided(options.destination)
    if source_in and destination_in:
        raise UsageError("cp copies into a container or out of one, not from one to another", helps=[
            f"orchestr8 cp {options.source} - | orchestr8 cp - {options.destination}",
            *(_as_path(text) for text in (options.source, options.destination) if os.path.lexists(text)),
        ])  # fmt: skip
    if not source_in and not destination_in:
        raise UsageError("cp needs SERVICE:PATH on one side", helps=[f"orchestr8 cp {source} SERVICE:{destination}"])
    if not (source if source_in else destination):
        raise UsageError("the path in the container is empty", helps=[f"{source_in or destination_in}:/ is its root"])
    if not (destination if source_in else source):
        raise UsageError("a path is empty", helps=[". is the directory that you are in"])
    try:
        found = targets(context, source_in or destination_in, options, out=bool(source_in))
    except NotFound as error:
        text = options.source if source_in else options.destination
        if os.path.lexists(text):
            error.helps = [*error.helps, _as_path(text)]
        raise
    if source_in:
        CopyOut(context, found[0], source, options).run(destination)
    else:
        CopyIn(context, source, options).run(found, destination)
    return 0


def _as_path(text: str) -> str:
    return f"the file here that is called so: ./{text}"


def divided(text: str) -> tuple[str, str]:
    """(service, path) of `web:/etc`; ("", path) of what names none: docker takes what begins with "/" or "." for a path."""
    service, colon, path = text.partition(":")
    if not colon or text.startswith(("/", ".")) or "/" in service:
        return "", text
    return service, path


def targets(context: Context, service: str, options: Options, *, out: bool) -> list[dict[str, Any]]:
    """The containers meant. Out of a service: the first. A container's own name means it alone."""
    from orchestr8.cli.containers import containers_to_copy

    found = containers_to_copy(context, service, options.index, one_offs=bool(options.all_containers))
    return found[:1] if out else found
