"""Flags of an inode (ioctl_iflags(2), chattr(1)), where the filesystem has them."""

import fcntl
import os
import struct
from enum import IntFlag
from typing import Final

_GET: Final = 0x80086601  # FS_IOC_GETFLAGS, on 64 bits; it reads an int all the same
_SET: Final = 0x40086602
_INT: Final = struct.Struct("=i")


class InodeFlag(IntFlag):
    IMMUTABLE = 0x10
    APPEND_ONLY = 0x20
    TOP_OF_TREES = 0x20000  # FS_TOPDIR_FL: directories made below have nothing to do with each other


def read(fd: int) -> int:
    """Raises OSError where there are none: ENOTTY, EOPNOTSUPP."""
    return int(_INT.unpack(fcntl.ioctl(fd, _GET, bytes(_INT.size)))[0])


def add(fd: int, flag: InodeFlag) -> None:
    """Raises OSError where the filesystem has no such flag (EOPNOTSUPP), or the caller no right to it."""
    flags = read(fd)
    if not flags & flag:
        fcntl.ioctl(fd, _SET, _INT.pack(flags | flag))


def add_if_known(path: str, flag: InodeFlag) -> None:
    """To the directory at `path`; nothing where that is not known, for a flag that is only advice."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        add(fd, flag)
    except OSError:
        return
    finally:
        os.close(fd)
