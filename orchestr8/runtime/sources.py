"""What a container's bind mounts show: each source resolved once, held by descriptor, and given its own options.

Opened in the container's fresh mount namespace while that still hears of the host's mounts: a copy taken later could not
be told about them, whatever its propagation. What lies in a volume is hostile (CVE-2017-1002101,
CVE-2021-25741): below its root no symlink is followed, and what was opened is what is mounted.
"""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from orchestr8.errors import OperationFailed
from orchestr8.kernel import mount as mounts
from orchestr8.kernel.libc import SyscallError
from orchestr8.kernel.mount import AT_FDCWD, MountAttr, MountFlag
from orchestr8.kernel.openat2 import Resolve, open_beneath, openat2

BENEATH: Final = (
    "org.orchestr8.beneath"  # annotation: JSON, a mount's destination → the directory its source is hostile in
)

ATTRIBUTES: Final = {
    "ro": MountAttr.RDONLY,
    "nosuid": MountAttr.NOSUID,
    "nodev": MountAttr.NODEV,
    "noexec": MountAttr.NOEXEC,
    "noatime": MountAttr.NOATIME,
    "strictatime": MountAttr.STRICTATIME,
    "nodiratime": MountAttr.NODIRATIME,
    "nosymfollow": MountAttr.NOSYMFOLLOW,
}
OPPOSITES: Final = {
    "rw": MountAttr.RDONLY,
    "suid": MountAttr.NOSUID,
    "dev": MountAttr.NODEV,
    "exec": MountAttr.NOEXEC,
    "atime": MountAttr.NOATIME,
    "diratime": MountAttr.NODIRATIME,
    "symfollow": MountAttr.NOSYMFOLLOW,
    "relatime": MountAttr.NOATIME | MountAttr.STRICTATIME,
}
PROPAGATION: Final = {
    "private": MountFlag.PRIVATE,
    "slave": MountFlag.SLAVE,
    "shared": MountFlag.SHARED,
    "unbindable": MountFlag.UNBINDABLE,
}
_HEARS: Final = {MountFlag.SLAVE: ("shared:", "master:"), MountFlag.SHARED: ("shared:",)}  # of proc_pid_mountinfo(5)


class BindOptions(NamedTuple):
    """mount(8)'s words as the kernel takes them: of the mount itself, and of it with all that is mounted below."""

    recursive: bool = False
    here: MountAttr = MountAttr(0)
    below: MountAttr = MountAttr(0)
    propagation: MountFlag = MountFlag.PRIVATE
    propagates_below: bool = False


def bind_options(words: Sequence[str]) -> BindOptions:
    """As OCI's config.md has them: `ro` makes one mount read-only, `rro` those below it, too. Others are no matter here."""
    here = below = MountAttr(0)
    propagation, deep = MountFlag.PRIVATE, False
    for word in words:
        plain = word.removeprefix("r")
        if word in ATTRIBUTES:
            here |= ATTRIBUTES[word]
        elif plain in ATTRIBUTES:
            below |= ATTRIBUTES[plain]
        elif word in PROPAGATION or plain in PROPAGATION:
            propagation, deep = PROPAGATION.get(word) or PROPAGATION[plain], word not in PROPAGATION
    return BindOptions("bind" not in words, here, below, propagation, deep)


def open_sources(entries: Sequence[Mapping[str, Any]], annotations: Mapping[str, str]) -> list[int]:
    """Detached mounts, one for each of `entries`; -1 where it binds nothing. The caller closes them."""
    beneath = json.loads(annotations.get(BENEATH, "{}"))
    opened: list[int] = []
    try:
        for entry in entries:
            is_bind = entry.get("type", "bind") == "bind"
            opened.append(open_source(entry, beneath.get(entry["destination"], "")) if is_bind else -1)
    except BaseException:
        close_sources(opened)
        raise
    return opened


def close_sources(opened: Sequence[int]) -> None:
    for fd in opened:
        if fd >= 0:
            os.close(fd)


def open_source(entry: Mapping[str, Any], hostile_root: str = "") -> int:
    """A detached mount of what the entry's `source` names now, with all its options."""
    source, options = entry["source"], bind_options(entry.get("options", ()))
    found = _open_in_volume(source, hostile_root) if hostile_root else _open_on_host(source)
    try:
        _check_propagation(found, source, options.propagation)
        tree = mounts.open_tree("", dir_fd=found, recursive=options.recursive)
    except SyscallError as error:
        raise OperationFailed(f"cannot bind {source}: {error.strerror}", code="O8-620") from error
    finally:
        os.close(found)
    try:
        mounts.set_attributes(tree, propagation=options.propagation, recursive=options.propagates_below)
        if options.here:
            mounts.set_attributes(tree, on=options.here)
        if options.below:
            mounts.set_attributes(tree, on=options.below, recursive=True)
    except BaseException:
        os.close(tree)
        raise
    return tree


def _open_on_host(source: str) -> int:
    """The user's own path: links lead where they lead, but not through another process (/proc/1/root, /proc/self/fd)."""
    try:
        return openat2(AT_FDCWD, source, os.O_PATH, resolve=Resolve.NO_MAGICLINKS)
    except SyscallError as error:
        raise OperationFailed(f"cannot bind {source}: {error.strerror}", code="O8-620") from error


def _open_in_volume(source: str, root: str) -> int:
    """Below `root`, what containers have put there; the root itself is the engine's."""
    path = os.path.relpath(source, root)
    root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return open_beneath(root_fd, path)
    except SyscallError as error:
        raise OperationFailed(
            f"cannot mount `{path}` of a volume: {error.strerror}",
            code="O8-620",
            notes=["a part of a volume is found without following symlinks: containers can change them at any time"],
        ) from error
    finally:
        os.close(root_fd)


def _check_propagation(fd: int, source: str, wanted: MountFlag) -> None:
    """Without a partner on the host a mount propagates nothing, silently; as dockerd, refuse what cannot work."""
    marks = _HEARS.get(wanted)
    if marks and not any(field.startswith(marks) for field in _mount_fields(fd)):
        kind = "shared" if wanted is MountFlag.SHARED else "slave"
        raise OperationFailed(
            f"cannot bind {source} with propagation {kind}: the mount it lies on is not shared (mount --make-shared)",
            code="O8-620",
        )  # fmt: skip


def _mount_fields(fd: int) -> list[str]:
    """The optional fields that mountinfo has of the mount behind `fd`."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
        number = next(line.split()[1] for line in file if line.startswith("mnt_id:"))
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        line = next((line.split() for line in file if line.startswith(f"{number} ")), [])
    return line[6 : line.index("-")] if line else []
