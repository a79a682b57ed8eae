"""Sealed memfds: executables that nobody can change."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from orchestr8.kernel import memfd


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_it_holds_what_was_given_and_takes_nothing_more(size: int, tmp_path: Path) -> None:
    content = os.urandom(1000) * (size // 1000) + b"x" * (size % 1000)
    (tmp_path / "file").write_bytes(content)
    for fd in (memfd.sealed("test", content), memfd.sealed_copy("test", str(tmp_path / "file"))):
        assert not os.get_inheritable(fd)
        assert os.pread(fd, size + 1, 0) == content
        for change in (lambda fd=fd: os.pwrite(fd, b"x", 0), lambda fd=fd: os.ftruncate(fd, size + 1)):
            with pytest.raises(OSError) as caught:
                change()
            assert caught.value.errno == errno.EPERM
        assert os.readlink(f"/proc/self/fd/{fd}") == "/memfd:test (deleted)"
        os.close(fd)


def test_it_can_be_executed_by_descriptor() -> None:
    fd = memfd.sealed_copy("test", "/bin/true")
    done = subprocess.run(["true"], executable=f"/proc/self/fd/{fd}", pass_fds=[fd], check=False)
    os.close(fd)
    assert done.returncode == 0


def test_a_file_that_cannot_be_read_leaves_no_descriptor(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        memfd.sealed_copy("test", str(tmp_path / "missing"))
    assert len(os.listdir("/proc/self/fd")) == before
