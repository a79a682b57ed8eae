"""Children of the shim that end: one that had another born in its place (`kernel.clone.Successor`), from then on that is
meant; and those that are only to be waited for.
"""

import contextlib
import functools
import os
import signal

from orchestr8.kernel.clone import Successor
from orchestr8.runtime.poller import ENDED, Poller


def follow(poller: Poller, successor: Successor, pid: int, pidfd: int) -> tuple[int, int]:
    """(pid, pidfd) of who is meant now. The predecessor, which does nothing more but end, is buried when it has."""
    if successor.pid in {0, pid}:
        return pid, pidfd
    following = os.pidfd_open(successor.pid)  # a child of this process, which has not waited for it yet
    bury(poller, pidfd)
    return successor.pid, following


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
