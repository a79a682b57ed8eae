"""A child of the shim that had another born in its place (`kernel.clone.Successor`): from then on that one is meant."""

import functools
import os

from orchestr8.kernel.clone import Successor
from orchestr8.runtime.poller import READ, Poller


def follow(poller: Poller, successor: Successor, pid: int, pidfd: int) -> tuple[int, int]:
    """(pid, pidfd) of who is meant now. The predecessor, which does nothing more but end, is buried when it has."""
    if successor.pid in {0, pid}:
        return pid, pidfd
    following = os.pidfd_open(successor.pid)
    try:
        # A child of this process and nobody else: its number has been in memory that it could write to.
        os.waitid(os.P_PIDFD, following, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except BaseException:
        os.close(following)
        raise
    if not _bury(poller, pidfd):
        poller.watch(pidfd, READ, functools.partial(_bury_later, poller, pidfd))
    return successor.pid, following


def _bury(_poller: Poller, pidfd: int) -> bool:
    if os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG) is None:
        return False
    os.close(pidfd)
    return True


def _bury_later(poller: Poller, pidfd: int, _events: int) -> None:
    poller.forget(pidfd)
    _bury(poller, pidfd)
