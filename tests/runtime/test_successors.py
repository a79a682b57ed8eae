"""Who is followed: a child of this process, and nobody else, whatever a number says."""

import errno
import faulthandler
import os
import resource
import signal

import pytest

from orchestr8.kernel.clone import Successor, clone
from orchestr8.runtime.poller import Poller
from orchestr8.runtime.successors import Ends, Reserve, follow


def test_a_number_that_is_no_childs_is_not_followed() -> None:
    poller, successor, reserve = Poller(), Successor(), Reserve()
    successor._number.value = os.getppid()
    descriptors = os.listdir("/proc/self/fd")
    with pytest.raises(ChildProcessError):
        follow(Ends(poller), successor, -1, -1, reserve)
    assert len(os.listdir("/proc/self/fd")) == len(descriptors) - 1, "the reserve is spent, and nothing else is open"
    poller.close()


def test_whoever_is_cloned_at_another_time_has_no_part_in_it() -> None:
    successor = Successor()
    with successor.given():
        first, first_pidfd = clone()
        if first == 0:
            successor._number.value = 7
            os._exit(0)
    os.waitpid(first, 0)
    assert successor.pid == 7
    second, second_pidfd = clone()
    if second == 0:
        faulthandler.disable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        successor._number.value = 8  # there is nothing there
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(second, 0)[1]) == signal.SIGSEGV
    assert successor.pid == 7
    for pidfd in (first_pidfd, second_pidfd):
        os.close(pidfd)


def test_one_that_had_to_be_given_up_is_not_asked_for_again() -> None:
    """In a process with one thread, as a shim is: another thread could take its SIGCHLD."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            _give_up_and_ask_again()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def _give_up_and_ask_again() -> None:
    poller, successor, reserve = Poller(), Successor(), Reserve()
    ends = Ends(poller)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    successor._number.value = pid
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pidfd_open", _no_descriptor)
        with pytest.raises(OSError, match="Too many open files"):
            follow(ends, successor, -1, -1, reserve)
    assert follow(ends, successor, -1, -1, reserve) == (-1, -1)
    while ends._listeners:
        poller.wait()
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)  # it was waited for, and once


def _no_descriptor(_pid: int) -> int:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
