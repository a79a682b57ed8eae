"""unshare(2), setns(2) and setdomainname(2). Which namespaces a container gets is decided by runtime."""

import ctypes
import enum
import os
from typing import Any, Final

from orchestr8.kernel.libc import check, libc

_unshare: Final[Any] = libc.unshare
_unshare.argtypes = (ctypes.c_int,)
_setns: Final[Any] = libc.setns
_setns.argtypes = (ctypes.c_int, ctypes.c_int)


class CloneFlag(enum.IntFlag):  # values: <linux/sched.h>
    NEWTIME = 0x00000080
    FS = 0x00000200  # root, working directory and umask: none of the namespaces
    NEWNS = 0x00020000
    NEWCGROUP = 0x02000000
    NEWUTS = 0x04000000
    NEWIPC = 0x08000000
    NEWUSER = 0x10000000
    NEWPID = 0x20000000
    NEWNET = 0x40000000


def unshare(flags: CloneFlag) -> None:
    """Move the calling thread into new namespaces (for NEWPID: its next child)."""
    check(_unshare(flags), "unshare", flags)


def setns(fd: int, flags: CloneFlag = CloneFlag(0)) -> None:
    """Move the calling thread into the namespace behind `fd`; with a pidfd, into those of `flags` of that process."""
    check(_setns(fd, flags), "setns", flags)


def set_domain_name(name: str) -> None:
    """The NIS domain of this UTS namespace; the host name's call is in `socket`."""
    encoded = os.fsencode(name)
    check(libc.setdomainname(encoded, ctypes.c_size_t(len(encoded))), "setdomainname", name)
