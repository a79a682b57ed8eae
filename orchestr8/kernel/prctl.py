"""prctl(2), and the name that a forked process shows in `ps`."""

import ctypes
import os
from typing import Any, Final

from orchestr8.kernel.libc import check, libc

_SET_PDEATHSIG: Final = 1
_SET_DUMPABLE: Final = 4
_SET_NAME: Final = 15
_SET_CHILD_SUBREAPER: Final = 36
_SET_NO_NEW_PRIVS: Final = 38

# Prototypes let ctypes convert plain numbers itself: nothing is allocated in the forked processes that call this.
prctl: Final[Any] = libc.prctl
prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
_prctl_text: Final[Any] = ctypes.CDLL(None, use_errno=True).prctl
_prctl_text.argtypes = (ctypes.c_int, ctypes.c_char_p, *[ctypes.c_ulong] * 3)


def set_parent_death_signal(signal: int) -> None:
    """Have the kernel send `signal` when the parent dies. A change of user id clears it."""
    check(prctl(_SET_PDEATHSIG, signal, 0, 0, 0), "prctl", "PR_SET_PDEATHSIG")


def set_dumpable(dumpable: bool) -> None:
    """Whether processes of the same user may trace this one and open its /proc/PID/fd."""
    check(prctl(_SET_DUMPABLE, dumpable, 0, 0, 0), "prctl", "PR_SET_DUMPABLE")


def set_child_subreaper() -> None:
    """Whatever below this process loses its parent becomes this process's child. execve(2) keeps that, fork does not."""
    check(prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl", "PR_SET_CHILD_SUBREAPER")


def set_no_new_privileges() -> None:
    check(prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl", "PR_SET_NO_NEW_PRIVS")


def set_name(name: bytes) -> None:
    """The name in /proc/PID/comm, cut at 15 bytes."""
    check(_prctl_text(_SET_NAME, name, 0, 0, 0), "prctl", "PR_SET_NAME")


class ArgumentArea:
    """Where the kernel keeps this program's argv (proc_pid_stat(5), fields 48 and 49), to write another text there.

    Found once, before forking: children inherit the place. PR_SET_MM would need CAP_SYS_RESOURCE.
    """

    def __init__(self) -> None:
        with open("/proc/self/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
        self._start, end = int(fields[45]), int(fields[46])
        self._size = end - self._start

    def prepared(self, text: str) -> bytes:
        """`text` as `write` wants it: cut or filled to the room there is."""
        return os.fsencode(text)[: self._size - 1].ljust(self._size, b"\0")

    def write(self, prepared: bytes) -> None:
        """Show what `prepared` made as the command line."""
        ctypes.memmove(self._start, prepared, self._size)
