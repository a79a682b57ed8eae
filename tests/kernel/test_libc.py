"""System calls by ctypes: an errno becomes an error that says which call, about what, and what helps."""

import ctypes
import errno
import os

import pytest

from orchestr8.kernel import libc
from orchestr8.kernel.libc import SyscallError, check


def test_a_failed_call_raises_its_errno_with_call_subject_and_remedy() -> None:
    ctypes.set_errno(errno.ENODEV)
    with pytest.raises(SyscallError) as caught:
        check(-1, "mount", "/x")
    error = caught.value
    assert (error.errno, error.call, error.subject) == (errno.ENODEV, "mount", "/x")
    assert str(error) == "mount /x: No such device (this kernel lacks that filesystem; check /proc/filesystems)"
    assert error.strerror == "No such device"


def test_it_is_an_oserror_of_the_right_kind() -> None:
    assert isinstance(SyscallError(errno.ENOENT, "openat2", "x"), OSError)
    for number, kind in ((errno.ENOENT, FileNotFoundError), (errno.EPERM, PermissionError)):
        with pytest.raises(OSError) as caught:
            raise SyscallError(number, "call")
        assert caught.value.errno == number
        assert not isinstance(caught.value, kind), "SyscallError has its own fields, so errno decides, not the class"


def test_without_a_subject_or_a_remedy_nothing_is_made_up() -> None:
    assert str(SyscallError(errno.EBUSY, "pivot_root")) == "pivot_root: Device or resource busy"


def test_a_result_is_passed_on_and_its_subject_not_looked_at() -> None:
    class Loud:
        def __str__(self) -> str:
            raise AssertionError

    assert check(7, "call", Loud()) == 7
    assert check(0, "call") == 0
    assert check(-2, "call") == -2


def test_a_real_call_sets_a_real_errno() -> None:
    with pytest.raises(SyscallError) as caught:
        check(libc.libc.close(-1), "close")
    assert caught.value.errno == errno.EBADF
    assert libc.syscall(39 if os.uname().machine == "x86_64" else 172) == os.getpid()
