"""mount(2), umount2(2), pivot_root(2) and the descriptor-based mount calls. What goes where is decided by runtime.

The new calls work on descriptors, so that a path which a container controls is resolved once and never again:
`open_tree` or `fsopen` make a mount that is attached nowhere, `move_mount` attaches it to a descriptor.
Flags: <linux/mount.h>; numbers of the calls: the same on every architecture (asm-generic/unistd.h).
"""

import ctypes
import enum
import errno
import os
import sys
from collections.abc import Iterable
from typing import Final

from orchestr8.kernel.libc import SyscallError, check, libc, syscall

_OPEN_TREE: Final = 428
_MOVE_MOUNT: Final = 429
_FSOPEN: Final = 430
_FSCONFIG: Final = 431
_FSMOUNT: Final = 432
_MOUNT_SETATTR: Final = 442
_PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}[os.uname().machine]

AT_FDCWD: Final = -100
_AT_EMPTY_PATH: Final = 0x1000
_AT_RECURSIVE: Final = 0x8000
_OPEN_TREE_CLONE: Final = 1
_OPEN_TREE_CLOEXEC: Final = os.O_CLOEXEC
_FSOPEN_CLOEXEC: Final = 1
_FSMOUNT_CLOEXEC: Final = 1
_FSCONFIG_SET_FLAG: Final = 0
_FSCONFIG_SET_STRING: Final = 1
_FSCONFIG_CMD_CREATE: Final = 6
_MOVE_MOUNT_F_EMPTY_PATH: Final = 0x4
_MOVE_MOUNT_T_EMPTY_PATH: Final = 0x40
_MOUNT_ATTR_IDMAP: Final = 0x00100000
_ATIME_MASK: Final = 0x70
_DATA_MAX: Final = 4096  # a page
MNT_DETACH: Final = 2


_STATFS_SIZE: Final = 256  # more than struct statfs has anywhere


class MountFlag(enum.IntFlag):
    REC = 0x4000
    UNBINDABLE = 1 << 17
    PRIVATE = 1 << 18
    SLAVE = 1 << 19
    SHARED = 1 << 20


class MountAttr(enum.IntFlag):
    RDONLY = 0x1
    NOSUID = 0x2
    NODEV = 0x4
    NOEXEC = 0x8
    NOATIME = 0x10
    STRICTATIME = 0x20
    NODIRATIME = 0x80
    NOSYMFOLLOW = 0x200000


_CLASSIC: Final = MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC  # mount(2) has the same bits for these


class _MountAttrArgument(ctypes.Structure):
    """struct mount_attr."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def set_propagation(target: str, flags: MountFlag) -> None:
    """Change the propagation of `target`, with REC of everything below it."""
    check(libc.mount(None, os.fsencode(target), None, ctypes.c_ulong(int(flags)), None), "mount", target)


def mount(source: str, target: str, fstype: str, data: str, flags: MountAttr = MountAttr(0)) -> None:
    """The classic call, for a target that nobody else can change: it has no limit of 256 bytes an option, and is one where
    the new ones are eight. `flags`: NOSUID, NODEV and NOEXEC; RDONLY would make the whole file system read-only.
    """
    encoded = [os.fsencode(text) for text in (source, target, fstype, data)]
    if len(encoded[3]) >= _DATA_MAX:
        raise SyscallError(errno.E2BIG, "mount", f"{fstype} on {target}")  # the kernel would cut it off silently
    result = libc.mount(*encoded[:3], ctypes.c_ulong(int(flags & _CLASSIC)), encoded[3])
    check(result, "mount", f"{fstype} on {target}")


def unmount(target: str, flags: int = 0) -> None:
    check(libc.umount2(os.fsencode(target), ctypes.c_int(flags)), "umount2", target)


def pivot_root(new_root: str, put_old: str) -> None:
    check(syscall(_PIVOT_ROOT, os.fsencode(new_root), os.fsencode(put_old)), "pivot_root", new_root)


def open_tree(source: str, *, dir_fd: int = AT_FDCWD, recursive: bool = False, clone: bool = True) -> int:
    """A descriptor of the mount at `source`; with `clone` of a detached copy. `source` "" means `dir_fd` itself."""
    flags = _OPEN_TREE_CLOEXEC | (_OPEN_TREE_CLONE if clone else 0) | (_AT_RECURSIVE if recursive and clone else 0)
    flags |= 0 if source else _AT_EMPTY_PATH
    return check(
        syscall(_OPEN_TREE, ctypes.c_int(dir_fd), os.fsencode(source), ctypes.c_uint(flags)), "open_tree", source
    )


def filesystem_type(fd: int) -> int:
    """The magic number of the file system that `fd` is in (statfs(2))."""
    found = ctypes.create_string_buffer(_STATFS_SIZE)
    check(libc.fstatfs(ctypes.c_int(fd), found), "fstatfs")
    return int.from_bytes(found.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder)


def set_attributes(
    mount_fd: int,
    *,
    on: MountAttr = MountAttr(0),
    off: MountAttr = MountAttr(0),
    propagation: MountFlag = MountFlag(0),
    recursive: bool = False,
) -> None:
    """mount_setattr(2) on the mount behind `mount_fd`. `propagation`: one of the four kinds; none leaves it as it is."""
    # Access time is one choice of several: the kernel wants the one before to be cleared with the whole mask.
    clear = int(off) | (_ATIME_MASK if on & (MountAttr.NOATIME | MountAttr.STRICTATIME) else 0)
    argument = _MountAttrArgument(attr_set=int(on), attr_clr=clear, propagation=int(propagation))
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    result = syscall(
        _MOUNT_SETATTR,
        ctypes.c_int(mount_fd),
        b"",
        ctypes.c_uint(flags),
        ctypes.byref(argument),
        ctypes.c_size_t(ctypes.sizeof(argument)),
    )
    check(result, "mount_setattr", str(propagation or on | off))


def set_id_map(mount_fd: int, user_namespace: int, *, recursive: bool = False) -> None:
    """Show the ids on the detached mount behind `mount_fd` as `user_namespace` maps them (MOUNT_ATTR_IDMAP, Linux 5.12)."""
    argument = _MountAttrArgument(attr_set=_MOUNT_ATTR_IDMAP, userns_fd=user_namespace)
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    size = ctypes.c_size_t(ctypes.sizeof(argument))
    result = syscall(_MOUNT_SETATTR, ctypes.c_int(mount_fd), b"", ctypes.c_uint(flags), ctypes.byref(argument), size)
    check(result, "mount_setattr", "idmap")


def new_filesystem(
    fstype: str, options: Iterable[tuple[str, str | None]] = (), attributes: MountAttr = MountAttr(0), source: str = ""
) -> int:
    """A descriptor of a fresh, detached mount of `fstype`; an option without value is a flag, e.g. ("ro", None)."""
    context = check(syscall(_FSOPEN, fstype.encode(), ctypes.c_uint(_FSOPEN_CLOEXEC)), "fsopen", fstype)
    try:
        if source:
            _configure(context, "source", source, fstype)
        for key, value in options:
            _configure(context, key, value, fstype)
        created = syscall(_FSCONFIG, context, ctypes.c_uint(_FSCONFIG_CMD_CREATE), None, None, ctypes.c_int(0))
        if created == -1:
            _raise_with_log(context, fstype)
        return check(
            syscall(_FSMOUNT, context, ctypes.c_uint(_FSMOUNT_CLOEXEC), ctypes.c_uint(int(attributes))),
            "fsmount",
            fstype,
        )
    finally:
        os.close(context)


def _configure(context: int, key: str, value: str | None, fstype: str) -> None:
    command = _FSCONFIG_SET_FLAG if value is None else _FSCONFIG_SET_STRING
    encoded = None if value is None else os.fsencode(value)
    result = syscall(_FSCONFIG, context, ctypes.c_uint(command), key.encode(), encoded, ctypes.c_int(0))
    if result == -1:
        _raise_with_log(context, f"{fstype} {key}={value}")


def _raise_with_log(context: int, subject: str) -> None:
    """Raise the pending errno with what the kernel wrote into the context's log (fsopen(2), "message retrieval")."""
    number = ctypes.get_errno()
    lines = []
    while True:
        try:
            lines.append(os.read(context, 4096).decode(errors="replace").strip())
        except OSError:  # ENODATA: the log is empty
            break
    ctypes.set_errno(number)
    check(-1, "fsconfig", f"{subject}{': ' if lines else ''}{'; '.join(lines)}")


def move_mount(mount_fd: int, target_fd: int) -> None:
    """Attach the detached mount to the file or directory behind `target_fd`."""
    flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH
    result = syscall(_MOVE_MOUNT, ctypes.c_int(mount_fd), b"", ctypes.c_int(target_fd), b"", ctypes.c_uint(flags))
    check(result, "move_mount")


def attach(mount_fd: int, directory: str) -> None:
    """Attach the detached mount to a directory of the caller's own; its last part is no symlink."""
    target = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        move_mount(mount_fd, target)
    finally:
        os.close(target)
