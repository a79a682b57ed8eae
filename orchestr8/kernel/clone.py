"""clone3(2): a child in new namespaces and, on cgroup v2, in its cgroup from its first instruction. clone(2): a sibling.

Only from a process with a single thread: the child goes on with the parent's Python state, as after fork(2), and the
C library is not told. `os.fork` stays right for everything that needs no flags.
"""

import contextlib
import ctypes
import mmap
import os
import struct
from collections.abc import Iterator
from typing import Any, Final

from orchestr8.kernel import processors
from orchestr8.kernel.code import load
from orchestr8.kernel.libc import SyscallError, check
from orchestr8.kernel.namespaces import CloneFlag

_CLONE3: Final = 435
_CLONE: Final = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
_CLONE_VM: Final = 0x100
_CLONE_VFORK: Final = 0x4000
_CLONE_PARENT: Final = 0x8000
_CLONE_PARENT_SETTID: Final = 0x100000
_CLONE_PIDFD: Final = 0x1000
_CLONE_INTO_CGROUP: Final = 0x200000000
_SIGCHLD: Final = 17
_ARGUMENTS: Final = struct.Struct("=11Q")  # struct clone_args, CLONE_ARGS_SIZE_VER2

# long succeed(struct clone_args *, size_t): clone3, of which only the child returns, with 0, or a negative errno to the
# caller. The child has the caller's stack, so the caller, when it goes on, touches none: it closes its descriptors and waits.
# 64-bit x86: x86_64.S, beside this file; tests assemble it and compare.
_SUCCEED: Final = {
    "x86_64": bytes.fromhex("b8b30100000f054885c07f01c3bf0300000083ceff31d2b8b40100000f05b8220000000f05ebf7"),
}.get(os.uname().machine, b"")

# PyDLL keeps the interpreter's lock during the call: a child that had to take it again would depend on luck.
_locked: Final[Any] = ctypes.PyDLL(None, use_errno=True)
_syscall: Final[Any] = _locked.syscall
_syscall.restype = ctypes.c_long
_before_fork: Final[Any] = _locked.PyOS_BeforeFork
_after_fork_parent: Final[Any] = _locked.PyOS_AfterFork_Parent
_after_fork_child: Final[Any] = _locked.PyOS_AfterFork_Child
# Made once: what a fork's child does before it settles is memory that each container has for itself.
_pidfd: Final = ctypes.c_int(-1)
_pidfd_address: Final = ctypes.addressof(_pidfd)


def clone(flags: CloneFlag = CloneFlag(0), *, cgroup_fd: int = -1) -> tuple[int, int]:
    """Fork with `flags`: (pid, pidfd) in the parent, (0, -1) in the child. The pidfd is close-on-exec."""
    all_flags = int(flags) | _CLONE_PIDFD | (_CLONE_INTO_CGROUP if cgroup_fd >= 0 else 0)
    arguments = _ARGUMENTS.pack(all_flags, _pidfd_address, 0, 0, _SIGCHLD, 0, 0, 0, 0, 0, max(cgroup_fd, 0))
    _before_fork()  # as os.fork: the import lock, at-fork hooks
    pid = _syscall(_CLONE3, arguments, len(arguments))
    if pid == 0:
        _after_fork_child()
        return 0, -1
    number = ctypes.get_errno()
    _after_fork_parent()
    ctypes.set_errno(number)
    return check(pid, "clone3", flags), _pidfd.value


def _load_succeed() -> Any:
    """The machine code as a function; None where there is none for this machine, or the kernel forbids it."""
    try:
        place = load(_SUCCEED) if _SUCCEED else 0
    except OSError:
        return None
    return ctypes.PYFUNCTYPE(ctypes.c_long, ctypes.c_char_p, ctypes.c_size_t)(place) if place else None


_succeed: Final[Any] = _load_succeed()
CAN_SUCCEED_IN_PLACE: Final = _succeed is not None


class Successor:
    """Who goes on in the place of a process: where the kernel writes its number before it runs (CLONE_PARENT_SETTID).

    Made before the first of the two is cloned, by their common parent or by who forks that one (`give`), in memory that these
    see: so the parent knows of the second whatever becomes of the first. The second, whom others may rule, has no part in it, nor has any other child: who
    could write it would choose what the parent takes for its child.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._memory.madvise(mmap.MADV_DONTFORK)
        self._number = ctypes.c_int.from_buffer(self._memory)
        self.lost = False  # there was one, and the parent had to give it up

    def give(self) -> None:
        """Who is cloned from now on is the one to be succeeded, or the parent of the two."""
        self._memory.madvise(mmap.MADV_DOFORK)

    def keep(self) -> None:
        self._memory.madvise(mmap.MADV_DONTFORK)

    @contextlib.contextmanager
    def given(self) -> Iterator[None]:
        """Who is cloned meanwhile is the one to be succeeded."""
        self.give()
        try:
            yield
        finally:
            self.keep()

    @property
    def pid(self) -> int:
        """As the process that was to be succeeded numbers it; 0: nobody has succeeded it."""
        return self._number.value

    def take_over(self) -> None:
        """Fork, and end: who returns is the successor, a child of this process's own parent, in the pid namespace that
        this process has chosen for its children (setns(2)).

        By clone(2): the seccomp filters of containers refuse clone3, whose flags they cannot see.
        """
        self._memory.madvise(mmap.MADV_DONTFORK)
        _before_fork()
        flags = _CLONE_PARENT | _CLONE_PARENT_SETTID | _SIGCHLD
        pid = _syscall(_CLONE, ctypes.c_ulong(flags), None, ctypes.byref(self._number), None, None)
        if pid == 0:
            _after_fork_child()
            return
        number = ctypes.get_errno()
        _after_fork_parent()
        ctypes.set_errno(number)
        check(pid, "clone")
        os._exit(0)

    def take_over_in_place(self, flags: CloneFlag, *, cgroup_fd: int = -1) -> None:
        """The same by clone3(2), into new namespaces and a cgroup, and without a copy: the successor has this process's memory.

        This process stands still, as after vfork(2), until the successor executes something or ends, then lets go of its
        descriptors, and does nothing more: its parent is to kill it. Only where CAN_SUCCEED_IN_PLACE. The successor begins on
        the processor to which this process was moved, if it was.
        """
        all_flags = int(flags) | _CLONE_VM | _CLONE_VFORK | _CLONE_PARENT | _CLONE_PARENT_SETTID
        all_flags |= _CLONE_INTO_CGROUP if cgroup_fd >= 0 else 0
        number = ctypes.addressof(self._number)
        arguments = _ARGUMENTS.pack(all_flags, 0, 0, number, 0, 0, 0, 0, 0, 0, max(cgroup_fd, 0))
        _before_fork()
        failed = _succeed(arguments, len(arguments))
        if failed < 0:
            _after_fork_parent()
            processors.roam()
            raise SyscallError(-failed, "clone3", str(flags))
        _after_fork_child()
        processors.roam()


def exit_code(status: int) -> int:
    """A wait status (wait(2)) as a shell's code: the program's own, or 128 + the signal's number."""
    if os.WIFSIGNALED(status):
        return 128 + os.WTERMSIG(status)
    return os.WEXITSTATUS(status)
