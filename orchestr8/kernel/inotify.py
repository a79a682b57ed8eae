"""inotify(7): who is told of which change is decided by the caller; nothing here waits or polls."""

import ctypes
import enum
import os
import struct
from typing import Final, NamedTuple

from orchestr8.kernel.libc import check, libc


class InotifyMask(enum.IntFlag):  # values: <sys/inotify.h>
    MODIFY = 0x2
    OPEN = 0x20
    MOVED_FROM = 0x40
    MOVED_TO = 0x80
    CREATE = 0x100
    DELETE = 0x200
    DELETE_SELF = 0x400
    MOVE_SELF = 0x800
    Q_OVERFLOW = 0x4000
    IGNORED = 0x8000
    ONLYDIR = 0x0100_0000


class InotifyEvent(NamedTuple):
    watch: int  # -1 for Q_OVERFLOW: events were lost, look at everything
    mask: InotifyMask
    name: str  # of the entry in a watched directory; "" for the watched thing itself


_HEADER: Final = struct.Struct("iIII")  # struct inotify_event without its name
_READ_BYTES: Final = 64 * 1024
_FLAGS: Final = os.O_NONBLOCK | os.O_CLOEXEC  # IN_NONBLOCK and IN_CLOEXEC are the same numbers


class Inotify:
    """One inotify instance (a user may have few of them, see fs.inotify.max_user_instances: share it)."""

    def __init__(self) -> None:
        self.fd = check(libc.inotify_init1(_FLAGS), "inotify_init1")

    def add(self, path: str, mask: InotifyMask) -> int:
        """The watch's number; the same directory has the same number, and its mask is replaced."""
        return check(
            libc.inotify_add_watch(self.fd, os.fsencode(path), ctypes.c_uint32(mask)), "inotify_add_watch", path
        )

    def remove(self, watch: int) -> None:
        check(libc.inotify_rm_watch(self.fd, watch), "inotify_rm_watch")

    def read(self) -> list[InotifyEvent]:
        """What has happened; empty when nothing has."""
        try:
            data = os.read(self.fd, _READ_BYTES)
        except BlockingIOError:
            return []
        events = []
        start = 0
        while start < len(data):
            watch, mask, _cookie, length = _HEADER.unpack_from(data, start)
            start += _HEADER.size
            events.append(
                InotifyEvent(watch, InotifyMask(mask), os.fsdecode(data[start : start + length].rstrip(b"\0")))
            )
            start += length
        return events

    def close(self) -> None:
        os.close(self.fd)
