"""`inspect`: containers as JSON, with Docker's names, or values of each."""

from __future__ import annotations

import json
import re

from orchestr8.cli.containers import list_containers
from orchestr8.cli.parser import UsageError
from orchestr8.errors import NotFound

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Any, Final

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options

_BRACED: Final = re.compile(r"(\{\{.*?\}\})")
_PATH: Final = re.compile(r"\{\{ *(json )? *(\.[^ {}|()]*) *\}\}")


def run(context: Context, options: Options) -> int:
    parts = _parts(options.format) if options.format is not None else []
    found = [context.client.request("GET", f"/containers/{each}/json") for each in _chosen(context, options.names)]
    if options.format is None:
        context.out.write(json.dumps(found, indent=4, ensure_ascii=False) + "\n")
        return 0
    for document in found:
        shown = (part if isinstance(part, str) else part.shown(document) for part in parts)
        context.out.write("".join(shown) + "\n")
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


class _Path:
    """Of one value; `as_json`: a text in quotes, too."""

    def __init__(self, keys: list[str], *, as_json: bool) -> None:
        self.keys = keys
        self.as_json = as_json

    def shown(self, document: dict[str, Any]) -> str:
        value = _value(document, self.keys)
        return value if isinstance(value, str) and not self.as_json else json.dumps(value, ensure_ascii=False)


def _parts(text: str) -> list[str | _Path]:
    """Texts and the paths between them, of `{{.Name}} {{json .State}}` as Docker's templates have it, or `.Name .State.Pid`."""
    template = text.strip()
    if "{{" not in template:
        template = " ".join(f"{{{{{word}}}}}" for word in template.split())
    parts: list[str | _Path] = []
    for part in _BRACED.split(template):
        found = _PATH.fullmatch(part)
        if found:
            parts.append(_Path([key for key in found[2].split(".") if key], as_json=bool(found[1])))
        elif "{{" in part or "}}" in part:
            parts = []
            break
        else:
            parts.append(part)
    if not any(isinstance(each, _Path) for each in parts):
        raise UsageError(
            f"--format {text} is not the path of a value",
            helps=["such as .State.Status, or '{{.Name}}: {{.State.Status}}'"],
        )
    return parts


def _value(document: dict[str, Any], path: list[str]) -> Any:
    value: Any = document
    for number, key in enumerate(path):
        if not isinstance(value, dict) or key not in value:
            where = "." + ".".join(path[:number])
            there = ", ".join(sorted(value)) if isinstance(value, dict) else "no keys"
            raise NotFound(f"{where} of {document['Name'].lstrip('/')} has no {key}", helps=[f"it has: {there}"])
        value = value[key]
    return value
