"""A network namespace of one's own: a machine without neighbours, where every port is free and no packet gets out."""

import contextlib
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from typing import Final

from orchestr8.kernel.namespaces import CloneFlag, setns, unshare

_SIOCSIFFLAGS: Final = 0x8914  # <linux/sockios.h>
_IFF_UP: Final = 0x1  # <linux/if.h>


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    """Move the calling thread, and all that it starts, into a fresh namespace with loopback up; and back again."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        unshare(CloneFlag.NEWNET)
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
                fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
            yield
        finally:
            setns(home, CloneFlag.NEWNET)
    finally:
        os.close(home)
