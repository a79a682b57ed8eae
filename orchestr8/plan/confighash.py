"""A container's identity in one line: equal settings give an equal hash, in this release and in later ones.

Only what differs from its default goes in, so that a setting added in a later release leaves the hashes of those who do
not use it alone. Replicas, dependencies and profiles stay out: changing them must not re-create what runs.
"""

import dataclasses
import enum
import functools
import hashlib
import json
from typing import Any, Final

from orchestr8.model.specs import ServiceSpec

VERSION: Final = "1"  # raised when the same settings begin to mean something else


def config_hash(service: ServiceSpec) -> str:
    """The version and the SHA-256 of everything that makes the service's containers what they are: `1:9f86…`."""
    content = {"container_name": service.container_name, "container": _canonical(service.container)}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{VERSION}:{hashlib.sha256(text.encode()).hexdigest()}"


@functools.cache
def _fields(kind: type) -> tuple[tuple[str, Any], ...]:
    """Names and defaults of what makes a frozen dataclass another one; all its defaults are plain values."""
    return tuple((each.name, each.default) for each in dataclasses.fields(kind) if each.compare)


def _canonical(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple):
        return [_canonical(each) for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    held = ((name, getattr(value, name), default) for name, default in _fields(type(value)))
    return {name: _canonical(content) for name, content, default in held if content != default}
