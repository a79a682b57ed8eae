"""clone3(2): a child in new namespaces and, on cgroup v2, in its cgroup from its first instruction.

Only from a process with a single thread: the child goes on with the parent's Python state, as after fork(2), and the
C library is not told. `os.fork` stays right for everything that needs no flags.
"""

import ctypes
import os
from typing import Any, Final

from orchestr8.kernel.libc import check
from orchestr8.kernel.namespaces import CloneFlag

_CLONE3: Final = 435
_CLONE_PIDFD: Final = 0x1000
_CLONE_INTO_CGROUP: Final = 0x200000000
_SIGCHLD: Final = 17

# PyDLL keeps the interpreter's lock during the call: a child that had to take it again would depend on luck.
_locked: Final[Any] = ctypes.PyDLL(None, use_errno=True)
_locked.syscall.restype = ctypes.c_long


class _CloneArguments(ctypes.Structure):
    """struct clone_args."""

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            *("flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls"),
            *("set_tid", "set_tid_size", "cgroup"),
        )
    )


def clone(flags: CloneFlag = CloneFlag(0), *, cgroup_fd: int = -1) -> tuple[int, int]:
    """Fork with `flags`: (pid, pidfd) in the parent, (0, -1) in the child. The pidfd is close-on-exec."""
    pidfd = ctypes.c_int(-1)
    arguments = _CloneArguments(
        flags=int(flags) | _CLONE_PIDFD | (_CLONE_INTO_CGROUP if cgroup_fd >= 0 else 0),
        pidfd=ctypes.addressof(pidfd),
        exit_signal=_SIGCHLD,
        cgroup=max(cgroup_fd, 0),
    )
    size = ctypes.c_size_t(ctypes.sizeof(arguments))
    pid = check(_locked.syscall(_CLONE3, ctypes.byref(arguments), size), "clone3", str(flags))
    if pid == 0:
        # What os.fork does for its child: fresh locks, the right main thread, at-fork hooks.
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0, -1
    return pid, pidfd.value


def exit_code(status: int) -> int:
    """A wait status (wait(2)) as a shell's code: the program's own, or 128 + the signal's number."""
    if os.WIFSIGNALED(status):
        return 128 + os.WTERMSIG(status)
    return os.WEXITSTATUS(status)
