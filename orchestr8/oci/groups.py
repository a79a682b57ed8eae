"""The cgroup of a container that somebody else has named, by `linux.cgroupsPath`: in v1, v2 and hybrids, by their files.

With `--systemd-cgroup` a path is `slice:prefix:name`; systemd itself is not asked, but the group stands where it would be.
"""

from typing import Any, Final

from orchestr8.errors import InvalidInput
from orchestr8.kernel.cgroup import CgroupPlace, CgroupTree

_USUAL_PARENT: Final = "orchestr8-oci"


def path_of(document: dict[str, Any], name: str, *, systemd: bool) -> str:
    """The group's path below the top of each hierarchy, without a slash before it."""
    given = document["linux"].get("cgroupsPath") or ""
    if systemd and given.count(":") == 2:
        slice_, prefix, last = given.split(":")
        return f"{_slices(slice_ or 'system.slice')}/{prefix}-{last}.scope"
    parts = [part for part in given.split("/") if part]
    if ".." in parts or "." in parts:
        raise InvalidInput(f"linux.cgroupsPath {given} must be plain")
    return "/".join(parts) or f"{_USUAL_PARENT}/{name}"


def _slices(name: str) -> str:
    """`a-b.slice` lies in `a.slice` (systemd.slice(5))."""
    words = name.removesuffix(".slice").split("-")
    return "/".join(f"{'-'.join(words[: count + 1])}.slice" for count in range(len(words)))


class Group:
    """One of them, made or to be made."""

    def __init__(self, path: str) -> None:
        parent, _, self._name = path.rpartition("/")
        self._tree = CgroupTree.below(parent or _USUAL_PARENT)

    def make(self, resources: dict[str, Any]) -> CgroupPlace:
        return self._tree.create(self._name, resources)

    def place(self, resources: dict[str, Any]) -> CgroupPlace:
        return self._tree.planned(self._name, resources)

    def views(self, resources: dict[str, Any]) -> list[tuple[str, str, str]]:
        return self._tree.views(resources)

    def update(self, resources: dict[str, Any]) -> list[str]:
        """Set these limits anew; a sentence for each that this machine cannot set."""
        return self._tree.update(self._name, resources)

    def pids(self) -> list[int]:
        return self._tree.pids(self._name)

    def kill(self) -> None:
        self._tree.kill(self._name)

    def remove(self) -> None:
        self._tree.remove(self._name)
        if self._tree.parent == _USUAL_PARENT:
            self._tree.remove_if_empty()

    def close(self) -> None:
        self._tree.close()

    def freeze(self) -> None:
        self._tree.freeze(self._name)

    def thaw(self) -> None:
        self._tree.thaw(self._name)

    def frozen(self) -> bool:
        return self._tree.is_frozen(self._name)
