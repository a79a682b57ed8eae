"""Ends what a container leaves behind whose pid namespace is not its own, so that the kernel ends it for nobody."""

import contextlib
import errno
import os
import select
import signal
from typing import Final

_ROUNDS: Final = 100  # a process that forks on and on is caught by one of them: each kills all that it sees
_DEATH_S: Final = 1.0
_UNLISTED: Final = {errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP}  # removed meanwhile; threads, listed by a group above


def kill_all(cgroup: str) -> None:
    """SIGKILL for every process of the group with this directory and of those below it, until they are empty.

    A process stuck in the kernel is left to die later.
    """
    for _ in range(_ROUNDS):
        dying = [pidfd for pid in _processes(cgroup) if (pidfd := _kill(pid)) >= 0]
        if not dying:
            return
        for pidfd in dying:
            _wait(pidfd)
            os.close(pidfd)


def _processes(cgroup: str) -> list[int]:
    found: list[int] = []
    for group, _, _ in os.walk(cgroup):
        try:
            with open(f"{group}/cgroup.procs", "rb") as file:
                found += map(int, file.read().split())
        except OSError as error:
            if error.errno not in _UNLISTED:
                raise
    return found


def _kill(pid: int) -> int:
    """A pidfd of a process that has just been killed; -1 when it is gone."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return -1
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    return pidfd


def _wait(pidfd: int) -> None:
    waiting = select.poll()
    waiting.register(pidfd, select.POLLIN)
    waiting.poll(_DEATH_S * 1000)
