"""Children of the shim that end: one that had another born in its place (`kernel.clone.Successor`), from then on that is
meant; and those that are only to be waited for. `Ends` tells when to look.
"""

import contextlib
import functools
import os
import signal
from collections.abc import Callable
from typing import Final

from orchestr8.kernel.clone import Successor
from orchestr8.kernel.signals import signalfd
from orchestr8.runtime.poller import ENDED, READ, Poller

_SIGNALS_SIZE: Final = 4096


class Reserve:
    """A descriptor that is held so that there is room for another, whose lack could not be made up for."""

    def __init__(self) -> None:
        self._fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def spend(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Ends:
    """Tells of SIGCHLD, which the forkserver has blocked for all shims, as long as somebody wants to hear of it.

    For ends that no pidfd tells of yet, since nobody knows the process.
    """

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._fd = -1
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """Call it after the end of each child that ends from now on."""
        if self._fd < 0:
            self._fd = signalfd(signal.SIGCHLD)
            self._poller.watch(self._fd, READ, self._tell)
        self._listeners.append(listener)

    def ignore(self, listener: Callable[[], None]) -> None:
        self._listeners.remove(listener)
        if not self._listeners:
            self._poller.forget(self._fd)
            os.close(self._fd)
            self._fd = -1

    def bury(self, pid: int) -> None:
        """Wait for a child of which there is no pidfd, whenever it ends."""

        def look() -> None:
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG) is not None:
                self.ignore(look)

        self.listen(look)
        look()

    def _tell(self, _events: int) -> None:
        os.read(self._fd, _SIGNALS_SIZE)
        for listener in list(self._listeners):
            listener()


def follow(ends: Ends, successor: Successor, pid: int, pidfd: int, reserve: Reserve) -> tuple[int, int]:
    """(pid, pidfd) of who is meant now. Where that is another, the caller has both pidfds, and is to bury the predecessor.

    Raises OSError when there is no descriptor for that, not even with what was held in `reserve`: then it is killed, for nobody
    could look after it, and nobody is meant any more: asked again, this says who was before.
    """
    if successor.lost or successor.pid in {0, pid}:
        return pid, pidfd
    reserve.spend()
    try:
        following = os.pidfd_open(successor.pid)  # a child of this process, which has not waited for it yet
    except OSError:
        successor.lost = True  # its number is nobody's from the moment it is waited for
        os.kill(successor.pid, signal.SIGKILL)
        ends.bury(successor.pid)
        raise
    try:
        os.waitid(os.P_PIDFD, following, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # the number was not the kernel's
        os.close(following)
        raise
    return successor.pid, following


def has_ended(successor: Successor) -> bool:
    """Is there one that nobody follows yet, and that has ended?"""
    return bool(successor.pid) and (
        os.waitid(os.P_PID, successor.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    )


def kill(pidfd: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def bury(poller: Poller, pidfd: int) -> None:
    """Wait for a child that is ending, and close its pidfd. Whoever traces it may let it wait for long: not here then."""
    if os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG) is None:
        poller.watch(pidfd, ENDED, functools.partial(_bury_again, poller, pidfd))
        return
    os.close(pidfd)


def _bury_again(poller: Poller, pidfd: int, _events: int) -> None:
    if os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG) is not None:
        poller.forget(pidfd)
        os.close(pidfd)
