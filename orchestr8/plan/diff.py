"""What differs between the settings a container was made from and those it should have, in the stack file's words.

Each with both values and the places that they came from. What may be a secret is never printed: see `model.secrecy`.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, Final

from orchestr8.model.observed import ObservedContainer
from orchestr8.model.secrecy import MASKED, is_secret
from orchestr8.model.specs import ContainerSpec, ServiceSpec
from orchestr8.plan.spelling import spelt

# Names that differ between our specs and the stack file.
_KEYS: Final = {
    "mounts": "volumes",
    "stop_timeout_s": "stop_grace_period",
    "unset_environment": "environment",
    "max_bytes": "options.max-size",
    "max_files": "options.max-file",
    "compress": "options.compress",
    "memory_max_bytes": "mem_limit",
    "memory_reservation_bytes": "mem_reservation",
    "memory_swap_max_bytes": "memswap_limit",
    "memory_swappiness": "mem_swappiness",
    "cpu_quota_us": "cpu_quota",
    "cpu_period_us": "cpu_period",
    "cpu_rt_runtime_us": "cpu_rt_runtime",
    "cpu_rt_period_us": "cpu_rt_period",
    "pids_max": "pids_limit",
    "block_io": "blkio_config",
    "device_rules": "device_cgroup_rules",
    "host_cgroup": "cgroup",
    "no_new_privileges": "security_opt.no-new-privileges",
    "seccomp": "security_opt.seccomp",
    "system_paths": "security_opt.systempaths",
    "groups": "group_add",
    "user_namespace": "userns_mode",
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
    if observed.image_outdated:
        return True
    if observed.config_hash == service.config_hash:
        return False
    return spec is None or spec != service.container or (service.container_name is None and _was_named(observed))


def _was_named(observed: ObservedContainer) -> bool:
    return observed.name != f"{observed.stack}-{observed.service}-{observed.number}"


def why_stale(service: ServiceSpec, observed: ObservedContainer, spec: ContainerSpec | None) -> str:
    """One line: `environment.LOG_LEVEL changed: "info" (stack.yml:12) -> "debug" (override.yml:3)`."""
    new = service.container
    parts = []
    name = service.container_name or f"{observed.stack}-{observed.service}-{observed.number}"
    if name != observed.name:
        parts.append(f"container_name changed: {observed.name} -> {name}")
    if observed.image_outdated and observed.image == new.image:
        parts.append(f"image {observed.image} is another one by now")
    if spec is None:
        if observed.image != new.image:
            parts.append(f"image changed: {observed.image} -> {new.image}")
        return "; ".join(parts) or "settings changed"
    places = _Places(spec, observed.stack), _Places(new, observed.stack)
    changes = list(_changes(spec, new))
    parts += [_told(change, *places) for change in changes[:_MOST_TOLD]]
    if len(changes) > _MOST_TOLD:
        parts.append(f"{len(changes) - _MOST_TOLD} more settings changed")
    return "; ".join(parts) or "settings changed"


def changed_keys(old: ContainerSpec, new: ContainerSpec) -> list[str]:
    """The keys that differ, with a second level where there is one: `environment.DEBUG`, `healthcheck.interval`."""
    return [change.key for change in _changes(old, new)]


_MOST_TOLD: Final = 5
_UNTOLD: Final = ("labels", "contents", "configs", "secrets", "security_opt")  # long, or nobody's business


@dataclasses.dataclass(frozen=True, slots=True)
class _Change:
    key: str  # in the stack file's words
    before: Any  # None: nothing
    after: Any


class _Places:
    """Where a container's settings came from."""

    def __init__(self, spec: ContainerSpec, stack: str) -> None:
        self.by_key = dict(spec.origins)
        self.stack = stack

    def of(self, key: str) -> str:
        """The place of a setting, or of the key that it stands under; "" when it stands nowhere."""
        top, _, name = key.partition(".")
        short = f"{top}.{name.removeprefix(f'{self.stack}_')}"
        return self.by_key.get(key) or self.by_key.get(short) or self.by_key.get(top, "")


def _told(change: _Change, old: _Places, new: _Places) -> str:
    """A change with both values, each with its place; without them, where they must not be seen or say little."""
    sides = ((change.before, old.of(change.key)), (change.after, new.of(change.key)))
    masked = is_secret(change.key.rpartition(".")[2]) or any(place.endswith(MASKED) for _, place in sides)
    words = spelt(change.before, change.after)
    if change.key.partition(".")[0] in _UNTOLD or words is None:
        places = list(dict.fromkeys(place for value, place in sides if place and value is not None))
        return f"{change.key} changed" + (f" ({' -> '.join(places)})" if places else "")
    shown = [
        _side("(masked)" if masked else text, place.removesuffix(MASKED)) if text else ""
        for text, (_, place) in zip(words, sides, strict=True)
    ]
    if not shown[0]:
        return f"{change.key} added: {shown[1]}"
    if not shown[1]:
        return f"{change.key} removed: was {shown[0]}"
    return f"{change.key} changed: {shown[0]} -> {shown[1]}"


def _side(value: str, place: str) -> str:
    return f"{value} ({place})" if place else value


def _changes(old: ContainerSpec, new: ContainerSpec) -> list[_Change]:
    found: dict[str, _Change] = {}
    for field in dataclasses.fields(ContainerSpec):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if field.compare and before != after:
            for change in _changes_of(field.name, before, after):
                found.setdefault(change.key, change)
    return list(found.values())


def _changes_of(name: str, before: Any, after: Any) -> Iterator[_Change]:
    key = _KEYS.get(name, name)
    match name:
        case "environment" | "labels":
            yield from _changed(f"{key}.", dict(before), dict(after))
        case "contents":
            yield from _changed("", dict(before), dict(after))
        case "unset_environment":
            yield from _changed(f"{key}.", dict.fromkeys(before, _UNSET), dict.fromkeys(after, _UNSET))
        case "mounts":
            yield from _changed(f"{key}.", _by(before, "target"), _by(after, "target"))
        case "files":  # by what they are called in the stack file
            yield from _changed("", _grouped(before), _grouped(after))
        case "networks":
            yield from _changed(f"{key}.", _by(before, "network"), _by(after, "network"))
        case "resources":
            for each in _changed_fields("", before, after):
                yield _Change(each.key, each.before or None, each.after or None)  # no limit is written as 0
        case "isolation":
            yield from _changed("sysctls.", dict(before.sysctls), dict(after.sysctls))
            yield from (each for each in _changed_fields("", before, after) if each.key != "sysctls")
        case "logging":
            yield from _changed_fields("logging.", before, after)
        case "healthcheck" if before is not None and after is not None:
            yield from _changed_fields(f"{key}.", before, after)
        case _:
            yield _Change(key, before if before != "" else None, after if after != "" else None)


_UNSET: Final = "unset, as with the caller"


def _changed(prefix: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[_Change]:
    for each in sorted({*before, *after}):
        if before.get(each) != after.get(each):
            yield _Change(f"{prefix}{each}", before.get(each), after.get(each))


def _grouped(files: tuple[Any, ...]) -> dict[str, Any]:
    return {each.name: [other for other in files if other.name == each.name] for each in files}


def _by(items: tuple[Any, ...], field: str) -> dict[str, Any]:
    return {getattr(each, field): each for each in items}


def _changed_fields(prefix: str, before: Any, after: Any) -> Iterator[_Change]:
    for field in dataclasses.fields(before):
        if getattr(before, field.name) != getattr(after, field.name):
            name = _KEYS.get(field.name, field.name)
            yield _Change(f"{prefix}{name}", getattr(before, field.name), getattr(after, field.name))
