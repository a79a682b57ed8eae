"""Where each value of a stack comes from: file and line, through merging, `extends`, `include` and variables.

Two grains: every value, for `config --origin`; and every setting of a service as `plan.diff` names it, for the reasons
of a plan. A value is never told here, only its place.
"""

from __future__ import annotations

import os
import re

from orchestr8.model.secrecy import MASKED, is_secret
from orchestr8.stack.masking import mask_line
from orchestr8.stack.nodes import Mapping, Node, Scalar, Sequence, has_secret
from orchestr8.stack.source import ARGUMENTS, STDIN, display_path, is_file, read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchestr8.stack.load import Loaded

_NAMED_ITEMS = {"volumes": "target", "secrets": "source", "configs": "source", "devices": "target"}


class Origin:
    """A place: `line` is 0 where only the file, or no file (a variable of the caller), is known."""

    __slots__ = ("file", "line", "template")

    def __init__(self, file: str, line: int, template: str = "") -> None:
        self.file = file
        self.line = line
        self.template = template  # the text with variables that the value was made from

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place} from {mask_line(self.template)}" if self.template else place


def every_value(loaded: Loaded) -> dict[str, Origin]:
    """`services.web.ports[0].target` → its place, for what the document holds; what no file says is left out."""
    services = loaded.document.get("services", {})
    found: dict[str, Origin] = {}
    for key, node in loaded.root.items.items():
        if key == "services" and isinstance(node, Mapping):
            for name, service in node.items.items():
                if name in services:
                    found.update(_values(service, f"services.{name}", service))
                    found.update(_from_env_files(service, f"services.{name}", services[name], loaded))
        elif key in loaded.document:
            names = loaded.document[key]
            if isinstance(node, Mapping) and isinstance(names, dict) and not key.startswith("x-"):
                for name, each in node.items.items():
                    if name in names:
                        found.update(_values(each, f"{key}.{name}", node.keys.get(name, each)))
            else:
                found.update(_values(node, key, node))
    return found


def _values(node: Node, where: str, at: Node) -> Iterator[tuple[str, Origin]]:
    if isinstance(node, Mapping) and node.items:
        for key, value in node.items.items():
            yield from _values(value, f"{where}.{key}", node.keys.get(key, value))
    elif isinstance(node, Sequence) and node.items:
        for index, item in enumerate(node.items):
            yield from _values(item, f"{where}[{index}]", item)
    else:
        place = node if node.line else at
        if place.line:
            shown = isinstance(node, Scalar) and not is_secret(where.rpartition(".")[2])
            yield where, Origin(place.file, place.line, node.template if shown and isinstance(node, Scalar) else "")


def _from_env_files(
    service: Node, where: str, values: dict[str, object], loaded: Loaded
) -> Iterator[tuple[str, Origin]]:  # fmt: skip
    """What the service's env files give it, and what it takes from the caller."""
    own = service.items.get("environment") if isinstance(service, Mapping) else None
    said = own.items if isinstance(own, Mapping) else {}
    files = [(path, _lines_of(path)) for path in _env_files(service)]
    environment = values.get("environment")
    for name in environment if isinstance(environment, dict) else ():
        node = said.get(name)
        if node is None:
            place = next((Origin(path, lines[name]) for path, lines in reversed(files) if name in lines), None)
            if place:
                yield f"{where}.environment.{name}", Origin(display_path(place.file, loaded.cwd), place.line)
        elif node.plain() is None:
            yield f"{where}.environment.{name}", Origin(_caller(name, loaded), 0)


def _caller(name: str, loaded: Loaded) -> str:
    environment = loaded.project.environment
    if name in environment.process:
        return "the shell"
    return ", ".join(environment.files) or "the shell" if name in environment.from_files else "not set"


def _env_files(service: Node) -> list[str]:
    listed = service.items.get("env_file") if isinstance(service, Mapping) else None
    paths = [item.items["path"] for item in listed.items if isinstance(item, Mapping) and "path" in item.items] \
        if isinstance(listed, Sequence) else []  # fmt: skip
    return [str(each.plain()) for each in paths if is_file(str(each.plain()))]


def _lines_of(path: str) -> dict[str, int]:
    """Each variable's line in an env file; the last where it stands twice."""
    found: dict[str, int] = {}
    for number, line in enumerate(read_text(path, "O8-304", "env file").split("\n"), 1):
        name = re.match(r"\s*(?:export\s+)?([^\s=:#]+)\s*(?:[=:]|$)", line)
        if name:
            found[name[1]] = number
    return found


def settings(loaded: Loaded) -> dict[str, dict[str, str]]:
    """By service, `environment.LOG_LEVEL` → `stack.yml:12`; files as the project's directory sees them."""
    services = loaded.root.items.get("services")
    found: dict[str, dict[str, str]] = {}
    for name, service in services.items.items() if isinstance(services, Mapping) else ():
        if name in loaded.document["services"] and isinstance(service, Mapping):
            places = dict(_settings(service))
            places.update(
                (key.removeprefix(f"services.{name}."), origin)
                for key, origin in _from_env_files(
                    service, f"services.{name}", loaded.document["services"][name], loaded
                )
            )
            hidden = set(_made_of_secrets(service))
            found[name] = {
                key: _shown(origin, loaded) + (MASKED if key in hidden else "") for key, origin in places.items()
            }
    return found


def _settings(service: Mapping) -> Iterator[tuple[str, Origin]]:
    for key, value in service.items.items():
        at = value if isinstance(value, Scalar) and value.line else service.keys.get(key, value)
        if at.line:
            yield key, Origin(at.file, at.line)
        if isinstance(value, Mapping):
            for sub, node in value.items.items():
                place = node if isinstance(node, Scalar) and node.line else value.keys.get(sub, node)
                if place.line:
                    yield f"{key}.{sub}", Origin(place.file, place.line)
        elif isinstance(value, Sequence) and key in _NAMED_ITEMS:
            for item in value.items:
                name = item.items.get(_NAMED_ITEMS[key]) if isinstance(item, Mapping) else None
                if name is not None and item.line:
                    yield f"{key}.{name.plain()}", Origin(item.file, item.line)


def _made_of_secrets(service: Mapping) -> Iterator[str]:
    """Settings with a variable in them whose name says that it must not be shown."""
    for key, value in service.items.items():
        if any(has_secret(node) for node in _leaves(value)):
            yield key
        for sub, node in value.items.items() if isinstance(value, Mapping) else ():
            if any(has_secret(each) for each in _leaves(node)):
                yield f"{key}.{sub}"


def _leaves(node: Node) -> Iterator[Node]:
    if isinstance(node, (Mapping, Sequence)):
        for each in node.items.values() if isinstance(node, Mapping) else node.items:
            yield from _leaves(each)
    else:
        yield node


def _shown(origin: Origin, loaded: Loaded) -> str:
    """Readable from anywhere: relative to the project's directory when it lies below."""
    if origin.file in (STDIN, ARGUMENTS, "the shell", "not set"):
        return str(Origin(origin.file, origin.line))
    path = os.path.normpath(os.path.join(loaded.cwd, origin.file))
    return str(Origin(path.removeprefix(loaded.working_dir.rstrip("/") + "/"), origin.line))


def outside(loaded: Loaded) -> list[str]:
    """Files that were read and lie outside of the directories that the user named: `include` and `extends` led there."""
    homes = {loaded.working_dir, *(os.path.dirname(path) for path in loaded.config_files if path != "-")}
    named = {*loaded.config_files, *loaded.project.environment.files}
    paths = {
        os.path.normpath(os.path.join(loaded.cwd, file)) for file in loaded.sources if file not in (STDIN, ARGUMENTS)
    }
    return sorted(path for path in paths - named if not _below(path, homes))


def _below(path: str, directories: Iterable[str]) -> bool:
    return any(path.startswith(each.rstrip("/") + "/") for each in directories)
