"""From the merged stack to the canonical document: full names, absolute paths, the default network, nothing unused.

Nodes go in, plain values come out: the document that `config --format json` prints.
"""

from __future__ import annotations

from orchestr8.stack.environment import Environment
from orchestr8.stack.nodes import Mapping, Node, Scalar, Sequence
from orchestr8.stack.project import absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def resolve_paths(services: Mapping, directory: str, environment: Environment, *, interpolated: bool) -> Mapping:
    """The services with paths of `env_file` and bind sources made absolute, on the project's directory."""
    home = environment.get("HOME") or ""

    def resolved(node: Node) -> Node:
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return node
        if not interpolated and node.value.startswith("$"):  # whether it is relative is not known
            return node
        return Scalar(absolute(node.value, directory, home), node.text, at=node)

    result = Mapping(at=services)
    for name, service in services.items.items():
        if isinstance(service, Mapping):
            service = _changed(service, "env_file", lambda item: _with(item, "path", resolved))  # noqa: PLW2901
            service = _changed(service, "volumes", lambda item: _bind(item, resolved))  # noqa: PLW2901
        result.set(name, service, services.keys[name])
    return result


def _changed(service: Mapping, key: str, change: Any) -> Mapping:
    found = service.items.get(key)
    if not isinstance(found, Sequence):
        return service
    copy = Mapping(service.items, service.keys, at=service)
    copy.set(key, Sequence([change(item) for item in found.items], at=found))
    return copy


def _with(item: Node, key: str, change: Any) -> Node:
    if not isinstance(item, Mapping) or key not in item.items:
        return item
    copy = Mapping(item.items, item.keys, at=item)
    copy.set(key, change(item.items[key]))
    return copy


def _bind(item: Node, change: Any) -> Node:
    is_bind = isinstance(item, Mapping) and item.items["type"].plain() == "bind"
    return _with(item, "source", change) if is_bind else item


def document(
    root: Mapping, name: str, services: dict[str, Mapping], environments: dict[str, dict[str, str | None]],
    disabled: dict[str, list[str]],
) -> dict[str, Any]:  # fmt: skip
    """The canonical document of the active services."""
    plain_services = {
        key: _service(services[key], environments.get(key), disabled) for key in sorted(services)
    }  # fmt: skip
    networks = sorted({each for service in plain_services.values() for each in service["networks"]})
    volumes = sorted({
        mount["source"]
        for service in plain_services.values()
        for mount in service.get("volumes", ())
        if isinstance(mount, dict) and mount["type"] == "volume" and mount.get("source")
    })  # fmt: skip
    result: dict[str, Any] = {"name": name, "services": plain_services}
    if networks:
        result["networks"] = {key: _resource(root, "networks", key, name) for key in networks}
    if volumes:
        result["volumes"] = {key: _resource(root, "volumes", key, name) for key in volumes}
    for key, value in root.items.items():
        if key.startswith("x-"):
            result[key] = value.plain()
    return result


def _service(
    service: Mapping, environment: dict[str, str | None] | None, disabled: dict[str, list[str]]
) -> dict[str, Any]:
    values: dict[str, Any] = service.plain()
    values.pop("env_file", None)
    values.setdefault("command", None)
    values.setdefault("entrypoint", None)
    if environment:
        values["environment"] = dict(sorted(environment.items()))
    else:
        values.pop("environment", None)
    if not values.get("networks"):
        values["networks"] = {"default": None}
    dependencies = {key: value for key, value in values.pop("depends_on", {}).items() if key not in disabled}
    if dependencies:
        values["depends_on"] = {key: _dependency(dependencies[key]) for key in sorted(dependencies)}
    check = values.get("healthcheck")
    if check and check.get("disable") is True:
        values["healthcheck"] = {"disable": True}
    elif check is not None:
        check.pop("disable", None)
    if values.get("init") is None:
        values.pop("init", None)
    unsaid = [key for key, value in values.items() if value in ([], {}, "") and not key.startswith("x-")]
    for key in {*unsaid} - {"command", "entrypoint"}:
        del values[key]
    return dict(sorted(values.items()))


def _dependency(dependency: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in dependency.items() if key != "restart" or value}


def _resource(root: Mapping, section: str, key: str, project: str) -> dict[str, Any]:
    group = root.items.get(section)
    node = group.items.get(key) if isinstance(group, Mapping) else None
    values: dict[str, Any] = node.plain() if isinstance(node, Mapping) else {}
    external = values.get("external") is True
    if not external:
        values.pop("external", None)
    values.setdefault("name", key if external else f"{project}_{key}")
    for empty in [name for name, value in values.items() if value in ([], {})]:
        del values[empty]
    return {"name": values.pop("name"), **dict(sorted(values.items()))}
