"""The C library by ctypes: system calls that Python 3.11 lacks, and errno turned into `SyscallError`.

Imported by the forkserver before its heap is frozen; nothing here may import lazily after a fork.
"""

import ctypes
import errno
import os
from typing import Any, Final

libc: Final[Any] = ctypes.CDLL(None, use_errno=True)
syscall: Final[Any] = libc.syscall
syscall.restype = ctypes.c_long

REMEDY: Final = {
    ("mount", errno.EPERM): "run as root, or allow unprivileged user namespaces",
    ("mount", errno.ENODEV): "this kernel lacks that filesystem; check /proc/filesystems",
    ("unshare", errno.EPERM): "run as root, or allow unprivileged user namespaces",
    ("unshare", errno.ENOSPC): "a limit of namespaces is reached; see /proc/sys/user/max_*_namespaces",
    ("clone3", errno.EPERM): "run as root, or allow unprivileged user namespaces",
    ("clone3", errno.EAGAIN): "the limit of processes is reached; see `ulimit -u` and the cgroup's pids.max",
    ("openat2", errno.ENOSYS): "this kernel is older than 5.6",
    ("seccomp", errno.EINVAL): "this kernel refuses the filter; is CONFIG_SECCOMP_FILTER on?",
}


class SyscallError(OSError):
    """An errno, the call that returned it, what it was about, and the remedy when we know one."""

    def __init__(self, number: int, call: str, subject: str = "") -> None:
        super().__init__(number, os.strerror(number), subject or None)
        self.call = call
        self.subject = subject
        self.remedy = REMEDY.get((call, number), "")

    def __str__(self) -> str:
        about = f" {self.subject}" if self.subject else ""
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{self.call}{about}: {self.strerror}{remedy}"


def check(result: int, call: str, subject: object = "") -> int:
    """`result` of a call that returns -1 and sets errno on failure; only then is `subject` made a text."""
    if result == -1:
        raise SyscallError(ctypes.get_errno(), call, str(subject))
    return result


def set_file_ids(uid: int, gid: int) -> None:
    """Act on files as this user and group (setfsuid(2), setfsgid(2)); they return what was before, and never an error."""
    for call, number in ((libc.setfsgid, gid), (libc.setfsuid, uid)):
        call(ctypes.c_uint(number))
        if call(ctypes.c_uint(-1)) != number:
            raise SyscallError(errno.EPERM, "setfsuid", str(number))
