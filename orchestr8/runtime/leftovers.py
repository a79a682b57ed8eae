"""Ends what a container leaves behind whose pid namespace is not its own, so that the kernel ends it for nobody."""

import contextlib
import os
import select
import signal
from typing import Final

_ROUNDS: Final = 100  # a process that forks on and on is caught by one of them: each kills all that it sees
_DEATH_S: Final = 1.0


def kill_all(cgroup: str) -> None:
    """SIGKILL for every process of the group with this directory, until it is empty; a process stuck in the kernel is left to
    die later.
    """
    for _ in range(_ROUNDS):
        dying = [pidfd for pid in _processes(cgroup) if (pidfd := _kill(pid)) >= 0]
        if not dying:
            return
        for pidfd in dying:
            _wait(pidfd)
            os.close(pidfd)


def _processes(cgroup: str) -> list[int]:
    try:
        with open(f"{cgroup}/cgroup.procs", "rb") as file:
            return [int(line) for line in file.read().split()]
    except FileNotFoundError:
        return []


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
