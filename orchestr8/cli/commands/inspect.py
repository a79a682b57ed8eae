"""`inspect`: containers as JSON, with Docker's names, or one value of each."""

from __future__ import annotations

import json

from orchestr8.cli.containers import list_containers
from orchestr8.cli.parser import UsageError
from orchestr8.errors import NotFound

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Any

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options


def run(context: Context, options: Options) -> int:
    path = _path(options.format) if options.format is not None else []
    found = [context.client.request("GET", f"/containers/{each}/json") for each in _chosen(context, options.names)]
    if options.format is None:
        context.out.write(json.dumps(found, indent=4, ensure_ascii=False) + "\n")
        return 0
    for document in found:
        value = _value(document, path)
        context.out.write(f"{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}\n")
    return 0


def _chosen(context: Context, names: list[str]) -> list[str]:
    """Ids of the stack's containers that are meant; what is none of them the engine may know."""
    known = list_containers(context, stopped=True)
    if not names:
        return [each["id"] for each in known]
    chosen: list[str] = []
    for name in names:
        of_service = [each["id"] for each in known if each["service"] == name and not each["oneoff"]]
        chosen += of_service or [name]
    return list(dict.fromkeys(chosen))


def _path(text: str) -> list[str]:
    """The keys of `.State.Pid`, which may stand in double braces, as in Docker's templates."""
    inner = text.strip()
    if inner.startswith("{{") and inner.endswith("}}"):
        inner = inner[2:-2].strip().removeprefix("json ").strip()
    if not inner.startswith(".") or any(letter in inner for letter in " {}|()"):
        raise UsageError(
            f"--format {text} is not the path of a value", helps=["such as .State.Status, or '{{.State.Status}}'"]
        )
    return [part for part in inner.split(".") if part]


def _value(document: dict[str, Any], path: list[str]) -> Any:
    value: Any = document
    for number, key in enumerate(path):
        if not isinstance(value, dict) or key not in value:
            where = "." + ".".join(path[:number])
            there = ", ".join(sorted(value)) if isinstance(value, dict) else "no keys"
            raise NotFound(f"{where} of {document['Name'].lstrip('/')} has no {key}", helps=[f"it has: {there}"])
        value = value[key]
    return value
