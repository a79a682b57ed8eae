"""What an image is called: a directory by `rootfs:`, or the full name of one of a registry, perhaps with a digest.

Which digest a name has now is a registry's word, and asking one is not the business of this package.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

ROOTFS: Final = "rootfs:"  # and the absolute path of a directory
IMAGE_HELPS: Final = (
    "`image: rootfs:/` runs on this machine's own files, copy-on-write",
    "`image: rootfs:/some/directory` runs on a tree made by debootstrap, for example",
)
DEFAULT_REGISTRY: Final = "docker.io"
_TAGS_SHOWN: Final = 20
_LIBRARY: Final = "library"  # where names of one word live there


def full_name(image: str) -> str:
    """`redis` → `docker.io/library/redis:latest`; a name with a digest and no tag gets none."""
    name, at, digest = image.partition("@")
    first, slash, rest = name.partition("/")
    is_registry = bool(slash) and ("." in first or ":" in first or first == "localhost")
    registry, path = (first, rest) if is_registry else (DEFAULT_REGISTRY, name)
    if registry == DEFAULT_REGISTRY and "/" not in path:
        path = f"{_LIBRARY}/{path}"
    if not at and ":" not in path.rpartition("/")[2]:
        path += ":latest"
    return f"{registry}/{path}{at}{digest}"


def tags_help(image: str, known: Iterable[str]) -> list[str]:
    """Which tags of that name are there, when any are: a help. `known`: full names."""
    name = _untagged(full_name(image))
    tags = sorted(each.rpartition(":")[2] for each in known if _untagged(each) == name)
    more = f", and {len(tags) - _TAGS_SHOWN} more" if len(tags) > _TAGS_SHOWN else ""
    return [f"the tags of {name} here are {', '.join(tags[:_TAGS_SHOWN])}{more}"] if tags else []


def _untagged(full: str) -> str:
    path, slash, last = full.partition("@")[0].rpartition("/")
    return f"{path}{slash}{last.partition(':')[0]}"


def pinned(image: str, digest: str) -> str:
    """The full name with this digest; one that has a digest keeps its own."""
    return full_name(image) if "@" in image else f"{full_name(image)}@{digest}"
