"""prctl(2), and the name that a forked process shows in `ps`."""

import ctypes
import os
from typing import Final

from orchestr8.kernel.libc import check, libc

_SET_PDEATHSIG: Final = 1
_SET_DUMPABLE: Final = 4
_SET_NAME: Final = 15
_SET_NO_NEW_PRIVS: Final = 38


def set_parent_death_signal(signal: int) -> None:
    """Have the kernel send `signal` when the parent dies. A change of user id clears it."""
    check(libc.prctl(_SET_PDEATHSIG, ctypes.c_ulong(signal), 0, 0, 0), "prctl", "PR_SET_PDEATHSIG")


def set_dumpable(dumpable: bool) -> None:
    """Whether processes of the same user may trace this one and open its /proc/PID/fd."""
    check(libc.prctl(_SET_DUMPABLE, ctypes.c_ulong(int(dumpable)), 0, 0, 0), "prctl", "PR_SET_DUMPABLE")


def set_no_new_privileges() -> None:
    check(libc.prctl(_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0), "prctl", "PR_SET_NO_NEW_PRIVS")


def set_name(name: str) -> None:
    """The name in /proc/PID/comm, cut at 15 bytes."""
    check(libc.prctl(_SET_NAME, ctypes.c_char_p(name.encode()[:15]), 0, 0, 0), "prctl", "PR_SET_NAME")


class ArgumentArea:
    """Where the kernel keeps this program's argv (proc_pid_stat(5), fields 48 and 49), to write another text there.

    Found once, before forking: children inherit the place. PR_SET_MM would need CAP_SYS_RESOURCE.
    """

    def __init__(self) -> None:
        with open("/proc/self/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
        self._start, end = int(fields[45]), int(fields[46])
        self._size = end - self._start

    def write(self, text: str) -> None:
        """Show `text` as the command line, cut to the room there is."""
        encoded = os.fsencode(text)[: self._size - 1]
        ctypes.memmove(self._start, encoded.ljust(self._size, b"\0"), self._size)
