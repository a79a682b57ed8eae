"""What differs between the settings a container was made from and those it should have, in the stack file's words.

Values of environment variables and labels are never printed: they may be secrets.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, Final

from orchestr8.model.observed import ObservedContainer
from orchestr8.model.specs import ContainerSpec, ServiceSpec

# Names that differ between our specs and the stack file.
_KEYS: Final = {
    "mounts": "volumes",
    "stop_timeout_s": "stop_grace_period",
    "unset_environment": "environment",
    "memory_max_bytes": "mem_limit",
    "pids_max": "pids_limit",
    "interval_s": "interval",
    "timeout_s": "timeout",
    "start_period_s": "start_period",
    "start_interval_s": "start_interval",
}


def is_stale(service: ServiceSpec, observed: ObservedContainer, spec: ContainerSpec | None) -> bool:
    """Does the container differ from its service? Where the specs can be compared the hash alone proves nothing: it
    also changes with the release that computed it.
    """
    if service.container_name is not None and service.container_name != observed.name:
        return True
    if observed.config_hash == service.config_hash:
        return False
    return spec is None or spec != service.container or (service.container_name is None and _was_named(observed))


def _was_named(observed: ObservedContainer) -> bool:
    return observed.name != f"{observed.stack}-{observed.service}-{observed.number}"


def why_stale(service: ServiceSpec, observed: ObservedContainer, spec: ContainerSpec | None) -> str:
    """One line: `image changed: rootfs:/a -> rootfs:/b; settings changed: environment.DEBUG`."""
    parts = []
    name = service.container_name or f"{observed.stack}-{observed.service}-{observed.number}"
    if name != observed.name:
        parts.append(f"container_name changed: {observed.name} -> {name}")
    old_image = spec.image if spec is not None else observed.image
    if old_image != service.container.image:
        parts.append(f"image changed: {old_image} -> {service.container.image}")
    keys = [] if spec is None else [key for key in changed_keys(spec, service.container) if key != "image"]
    if keys:
        parts.append(f"settings changed: {', '.join(keys)}")
    return "; ".join(parts) or "settings changed"


def changed_keys(old: ContainerSpec, new: ContainerSpec) -> list[str]:
    """The keys that differ, with a second level where there is one: `environment.DEBUG`, `healthcheck.interval`."""
    found: dict[str, None] = {}
    for field in dataclasses.fields(ContainerSpec):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if before != after:
            found.update(dict.fromkeys(_keys_of(field.name, before, after)))
    return list(found)


def _keys_of(name: str, before: Any, after: Any) -> Iterator[str]:
    key = _KEYS.get(name, name)
    match name:
        case "environment" | "labels":
            yield from (f"{key}.{each}" for each in _changed(dict(before), dict(after)))
        case "unset_environment":
            yield from (f"{key}.{each}" for each in sorted(set(before) ^ set(after)))
        case "mounts":
            yield from (f"{key}.{each}" for each in _changed(_by(before, "target"), _by(after, "target")))
        case "networks":
            yield from (f"{key}.{each}" for each in _changed(_by(before, "network"), _by(after, "network")))
        case "resources":
            yield from _changed_fields(before, after)
        case "healthcheck" if before is not None and after is not None:
            yield from (f"{key}.{each}" for each in _changed_fields(before, after))
        case _:
            yield key


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [each for each in sorted({*before, *after}) if before.get(each) != after.get(each)]


def _by(items: tuple[Any, ...], field: str) -> dict[str, Any]:
    return {getattr(each, field): each for each in items}


def _changed_fields(before: Any, after: Any) -> Iterator[str]:
    for field in dataclasses.fields(before):
        if getattr(before, field.name) != getattr(after, field.name):
            yield _KEYS.get(field.name, field.name)
