"""openat2(2): resolve a path inside a directory that its owner may be changing meanwhile.

Containers, images and volumes are hostile: their paths are resolved once, by the kernel, below a descriptor, and the
descriptor that comes back is what the caller goes on with.
"""

import ctypes
import enum
import errno
import os
import stat
from typing import Final

from orchestr8.kernel.libc import SyscallError, check, syscall

_OPENAT2: Final = 437
_MAX_LINKS: Final = 40  # the kernel's own limit in one look-up


class Resolve(enum.IntFlag):  # values: <linux/openat2.h>
    NO_XDEV = 0x01
    NO_MAGICLINKS = 0x02
    NO_SYMLINKS = 0x04
    BENEATH = 0x08
    IN_ROOT = 0x10


class _OpenHow(ctypes.Structure):
    """struct open_how."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def openat2(dir_fd: int, path: str, flags: int, mode: int = 0, resolve: Resolve = Resolve(0)) -> int:
    """A close-on-exec descriptor. EAGAIN (a rename raced with the look-up) is tried again, as the man page asks."""
    how = _OpenHow(flags=flags | os.O_CLOEXEC, mode=mode, resolve=int(resolve))
    size = ctypes.c_size_t(ctypes.sizeof(how))
    for _ in range(128):
        result = int(syscall(_OPENAT2, ctypes.c_int(dir_fd), os.fsencode(path), ctypes.byref(how), size))
        if result != -1 or ctypes.get_errno() != errno.EAGAIN:
            break
    return check(result, "openat2", path)


def open_in_root(
    root_fd: int, path: str, flags: int = os.O_PATH, mode: int = 0, *, resolve: Resolve = Resolve(0)
) -> int:
    """Open `path` as a process would whose root is `root_fd`: symlinks and ".." never leave it; no magic links."""
    return openat2(root_fd, path.lstrip("/") or ".", flags, mode, Resolve.IN_ROOT | Resolve.NO_MAGICLINKS | resolve)


def open_beneath(dir_fd: int, path: str, flags: int = os.O_PATH, mode: int = 0) -> int:
    """Open `path` below `dir_fd` without following any symlink; leaving the directory is EXDEV."""
    return openat2(dir_fd, path, flags, mode, Resolve.BENEATH | Resolve.NO_SYMLINKS | Resolve.NO_MAGICLINKS)


def make_in_root(root_fd: int, path: str, *, directory: bool, mode: int = 0o755, links: int = _MAX_LINKS) -> int:
    """An O_PATH descriptor of `path` inside `root_fd`, made with its parents when missing.

    Each new part is made below the descriptor of its parent, so a symlink that is swapped in meanwhile can lead to an
    error, never outside. What a dangling symlink names is made, as seen from that root, after at most `links` of them:
    /etc/resolv.conf of many distributions leads into a /run that is empty in an image.
    """
    try:
        return open_in_root(root_fd, path)
    except SyscallError as error:
        if error.errno != errno.ENOENT:
            raise
    parent_path, _, name = path.rstrip("/").rpartition("/")
    parent = make_in_root(root_fd, parent_path or "/", directory=True, links=links)
    try:
        try:
            if directory:
                os.mkdir(name, mode, dir_fd=parent)
            else:
                made = os.open(
                    name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=parent
                )
                os.close(made)
        except FileExistsError:  # another start made it in between, or it is a dangling symlink
            link = _read_link(parent, name)
            if link and links:
                target = link if link.startswith("/") else f"{parent_path}/{link}"
                return make_in_root(root_fd, target, directory=directory, mode=mode, links=links - 1)
        return openat2(parent, name, os.O_PATH, 0, Resolve.BENEATH | Resolve.NO_SYMLINKS | Resolve.NO_MAGICLINKS)
    finally:
        os.close(parent)


def _read_link(dir_fd: int, name: str) -> str:
    try:
        return os.readlink(name, dir_fd=dir_fd)
    except OSError as error:
        if error.errno in {errno.EINVAL, errno.ENOENT}:  # no symlink; gone again
            return ""
        raise


def is_directory(fd: int) -> bool:
    return stat.S_ISDIR(os.fstat(fd).st_mode)
