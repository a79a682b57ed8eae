"""From the merged stack to the canonical document: absolute paths, implied dependencies, full names, nothing unused.

`resolve_paths` and `normalise` take nodes and give nodes; `document` gives plain values, the document that
`config --format json` prints.
"""

from __future__ import annotations

from functools import partial

from orchestr8.stack.environment import Environment
from orchestr8.stack.mounts import is_windows_path
from orchestr8.stack.nodes import Mapping, Node, Scalar, Sequence
from orchestr8.stack.project import absolute
from orchestr8.stack.records import Named
from orchestr8.stack.rules import SERVICE, STACK
from orchestr8.stack.services import dependency

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    Change = Callable[[Node], Node]

RESOURCES: Final = ("networks", "volumes", "configs", "secrets", "models")
_SERVICE_PATHS: Final = (
    ("env_file", "[]", "path"),
    ("label_file", "[]"),
    ("build", "context"),
    ("build", "additional_contexts", "*"),
    ("build", "ssh", "*"),
    ("develop", "watch", "[]", "path"),
)
_REMOTE: Final = ("git@", "github.com/", "service:")


def resolve_paths(root: Mapping, directory: str, environment: Environment, *, interpolated: bool) -> Mapping:
    """The stack with its relative paths made absolute, on the project's directory."""
    home = environment.get("HOME") or ""

    def resolved(node: Node) -> Node:
        if not isinstance(node, Scalar) or not isinstance(node.value, str) or not node.value:
            return node
        if not interpolated and node.value.startswith("$"):  # whether it is relative is not known
            return node
        if node.value.startswith("/"):  # left as written: behind a link, `..` is elsewhere than it looks
            return node
        if "://" in node.value or node.value.startswith(_REMOTE):  # a URL, or another service's image
            return node
        return Scalar(absolute(node.value, directory, home), node.text, at=node)

    def service(node: Node) -> Node:
        for path in _SERVICE_PATHS:
            node = _changed(node, path, resolved)
        return _changed(node, ("volumes", "[]"), lambda mount: _bind(mount, resolved))

    found: Node = _changed(root, ("services", "*"), service)
    found = _changed(found, ("configs", "*", "file"), resolved)
    found = _changed(found, ("secrets", "*", "file"), resolved)
    found = _changed(found, ("volumes", "*", "driver_opts"), lambda options: _bound_device(options, resolved))
    assert isinstance(found, Mapping)
    return found


def _changed(node: Node, path: tuple[str, ...], change: Change) -> Node:
    """`node` with `change` done at each place that `path` leads to: a key, `*` for every key, `[]` for every item."""
    if not path:
        return change(node)
    step, rest = path[0], path[1:]
    if step == "[]":
        if not isinstance(node, Sequence):
            return node
        return Sequence([_changed(item, rest, change) for item in node.items], at=node)
    if not isinstance(node, Mapping) or (step != "*" and step not in node.items):
        return node
    copy = Mapping(node.items, node.keys, at=node)
    for key in list(node.items) if step == "*" else [step]:
        copy.set(key, _changed(node.items[key], rest, change), node.keys[key])
    return copy


def _bind(mount: Node, change: Change) -> Node:
    """A path of Windows stays as it is: it stands on no directory of this machine."""
    said = mount.items if isinstance(mount, Mapping) else {}
    is_bind = "type" in said and said["type"].plain() == "bind"
    if is_bind and "source" in said and is_windows_path(str(said["source"].plain())):
        return mount
    return _changed(mount, ("source",), change) if is_bind else mount


def _bound_device(options: Node, change: Change) -> Node:
    """A volume of the local driver that stands for a directory of the host."""
    if not isinstance(options, Mapping):
        return options
    said = {key: str(value.plain()) for key, value in options.items.items()}
    is_bind = said.get("type", "none") == "none" and "bind" in said.get("o", "").split(",")
    return _changed(options, ("device",), change) if is_bind else options


def normalise(root: Mapping, name: str, environment: Environment) -> Mapping:
    """The stack with what follows from it: dependencies that other keys imply, the default network, build defaults."""

    def build(node: Node) -> Node:
        if not isinstance(node, Mapping):
            return node
        copy = Mapping(node.items, node.keys, at=node)
        if not any(key in copy.items and copy.items[key].plain() for key in ("dockerfile", "dockerfile_inline")):
            copy.set("dockerfile", Scalar("Dockerfile", at=node))
        arguments = copy.items.get("args")
        if isinstance(arguments, Mapping):
            copy.set("args", _from_caller(arguments, environment))
        return copy

    def service(node: Node) -> Node:
        if not isinstance(node, Mapping):
            return node
        found = _changed(with_implied_dependencies(node), ("build",), build)
        assert isinstance(found, Mapping)
        joins = found.items.get("networks")
        nowhere = joins is None or (isinstance(joins, Mapping) and not joins.items)
        if nowhere and not {"network_mode", "provider"} & found.items.keys():
            nothing = Scalar(None, at=found)
            found.set("networks", Mapping({"default": nothing}, {"default": nothing}, at=found))
        return found

    result = Mapping(root.items, root.keys, at=root)
    services = Mapping(at=root)
    for key, each in _section(root, "services").items.items():
        found = service(each)
        if isinstance(found, Mapping) and "pre_start" in found.items:
            image = found.items.get("image") or Scalar(f"{name}-{key}", at=found)
            found = _changed(found, ("pre_start", "[]"), partial(_with_image, image=image))
        services.set(key, found, _section(root, "services").keys[key])
    result.set("services", services)
    return result


def _with_image(hook: Node, image: Node) -> Node:
    if not isinstance(hook, Mapping) or "image" in hook.items:
        return hook
    copy = Mapping(hook.items, hook.keys, at=hook)
    copy.set("image", image)
    return copy


def _from_caller(arguments: Mapping, environment: Environment) -> Mapping:
    """Build arguments without a value have the caller's; one that the caller lacks is left out."""
    found = Mapping(at=arguments)
    for name, value in arguments.items.items():
        given = environment.get(name) if value.plain() is None else None
        if value.plain() is not None or given is not None:
            found.set(name, value if given is None else Scalar(given, at=value), arguments.keys[name])
    return found


_SHARING: Final = ("network_mode", "ipc", "pid", "uts", "cgroup")


def implied_dependencies(service: Mapping) -> dict[str, tuple[Node, bool]]:
    """Services that other keys than `depends_on` need: where that is said, and whether a restart follows theirs."""
    found: dict[str, tuple[Node, bool]] = {}
    for key in _SHARING:
        node = service.items.get(key)
        text = str(node.plain()) if node else ""
        if node and text.startswith("service:"):
            found.setdefault(text.removeprefix("service:"), (node, True))
    for key, restart in (("links", True), ("volumes_from", False)):
        listed = service.items.get(key)
        for item in listed.items if isinstance(listed, Sequence) else ():
            text = str(item.plain())
            if not text.startswith("container:"):
                found.setdefault(text.partition(":")[0], (item, restart))
    return found


def with_implied_dependencies(service: Mapping) -> Mapping:
    """A copy in which they stand in `depends_on`; what the file says of one is kept."""
    result = Mapping(service.items, service.keys, at=service)
    implied = implied_dependencies(service)
    if not implied:
        return result
    said = service.items.get("depends_on")
    depends = Mapping(said.items, said.keys, at=said) if isinstance(said, Mapping) else Mapping(at=service)
    for name, (node, restart) in implied.items():
        if name not in depends.items:
            depends.set(name, dependency(restart=restart, at=node), node)
    result.set("depends_on", depends)
    return result


def _section(root: Mapping, name: str) -> Mapping:
    found = root.items.get(name)
    return found if isinstance(found, Mapping) else Mapping(at=root)


def used_resources(services: dict[str, Mapping]) -> dict[str, set[str]]:
    """By section, the names that services use."""
    used: dict[str, set[str]] = {section: set() for section in RESOURCES}
    for service in services.values():
        for section in ("networks", "models"):
            joined = service.items.get(section)
            used[section].update(joined.items if isinstance(joined, Mapping) else ())
        for mount in _items(service.items.get("volumes")):
            if mount.items.get("type", mount).plain() in ("volume", "cluster") and "source" in mount.items:
                used["volumes"].add(str(mount.items["source"].plain()))
        build = service.items.get("build")
        built = build.items.get("secrets") if isinstance(build, Mapping) else None
        for section, granted in (("configs", service.items.get("configs")), ("secrets", service.items.get("secrets")),
                                 ("secrets", built)):  # fmt: skip
            used[section].update(str(grant.items["source"].plain()) for grant in _items(granted))
    return used


def _items(node: Node | None) -> list[Mapping]:
    return [item for item in node.items if isinstance(item, Mapping)] if isinstance(node, Sequence) else []


def document(
    root: Mapping, name: str, services: dict[str, Mapping],
    environments: dict[str, dict[str, str | None]] | None, *, normalized: bool,
    all_resources: bool,
) -> dict[str, Any]:  # fmt: skip
    """The canonical document of the active services. `environments`: None leaves variables and env files as written."""
    result: dict[str, Any] = {"name": name}
    result["services"] = {
        key: _service(services[key], None if environments is None else environments[key]) for key in sorted(services)
    }
    used = used_resources(services)
    for section in RESOURCES:
        known = _section(root, section)
        keys = sorted({*known.items} if all_resources else used[section] & {*known.items, "default"})
        if section == "networks" and all_resources and normalized:
            keys = sorted({*keys, *used[section] & {"default"}})
        if section != "networks":
            keys = [key for key in keys if key in known.items]
        if keys:
            kind = STACK.keys[section].kind
            assert isinstance(kind, Named)
            result[section] = {
                key: _resource(kind, known.items.get(key), key, name if normalized and section != "models" else None)
                for key in keys
            }
    for key, value in root.items.items():
        if key.startswith("x-"):
            result[key] = value.plain()
    return result


def _service(service: Mapping, environment: dict[str, str | None] | None) -> dict[str, Any]:
    values: dict[str, Any] = SERVICE.document(service)
    values.pop("extends", None)
    if environment is not None:
        values.pop("env_file", None)
        values.pop("label_file", None)
        values.pop("environment", None)
        if environment:
            values["environment"] = dict(sorted(environment.items()))
    if "depends_on" in values:
        values["depends_on"] = dict(sorted(values["depends_on"].items()))
    return dict(sorted(values.items()))


def _resource(kind: Named, node: Node | None, key: str, project: str | None) -> dict[str, Any]:
    values: dict[str, Any] = kind.kind.document(node if isinstance(node, Mapping) else Mapping())
    if project is not None:
        values.setdefault("name", key if values.get("external") is True else f"{project}_{key}")
    if "name" not in values:
        return dict(sorted(values.items()))
    return {"name": values.pop("name"), **dict(sorted(values.items()))}
