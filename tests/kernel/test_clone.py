"""clone3 as fork: a child with a pidfd, whose Python goes on as after os.fork. Namespaces are tried in tests/system."""

import errno
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from orchestr8.kernel import clone as kernel_clone
from orchestr8.kernel.clone import Successor, clone, exit_code
from orchestr8.kernel.libc import SyscallError
from orchestr8.kernel.namespaces import CloneFlag

needs_succession = pytest.mark.skipif(not kernel_clone.CAN_SUCCEED_IN_PLACE, reason="no code for this machine")


def ended(pid: int, pidfd: int) -> int:
    assert select.select([pidfd], [], [], 10)[0], "a pidfd is readable when its process has ended"
    os.close(pidfd)
    return exit_code(os.waitpid(pid, 0)[1])


def test_the_child_is_a_python_process_of_its_own() -> None:
    marker = ["parent"]
    pid, pidfd = clone()
    if pid == 0:
        marker[0] = "child"
        os._exit(0 if threading.main_thread() is threading.current_thread() and os.getpid() != os.getppid() else 1)
    assert not os.get_inheritable(pidfd)
    assert ended(pid, pidfd) == 0
    assert marker == ["parent"]


def test_the_child_may_fork_and_clone_again() -> None:
    pid, pidfd = clone()
    if pid == 0:
        try:
            inner = os.fork()
            if inner == 0:
                deeper, fd = clone()
                if deeper == 0:
                    os._exit(4)
                os._exit(ended(deeper, fd) + 1)
            os._exit(exit_code(os.waitpid(inner, 0)[1]) + 1)
        finally:
            os._exit(99)
    assert ended(pid, pidfd) == 6


def test_a_successor_is_a_child_of_the_same_parent_and_known_to_it() -> None:
    successor = Successor()
    reader, writer = os.pipe()
    with successor.given():
        pid, pidfd = clone()
        if pid == 0:
            try:
                first = os.getpid()
                successor.take_over()
                os.write(writer, b"%d %d %d" % (first, os.getpid(), os.getppid()))
                os._exit(7)
            finally:
                os._exit(99)
    os.close(writer)
    assert ended(pid, pidfd) == 0, "the first has ended"
    following = successor.pid
    with open(reader, "rb") as said:
        assert said.read().split() == [b"%d" % pid, b"%d" % following, b"%d" % os.getpid()]
    assert exit_code(os.waitpid(following, 0)[1]) == 7


def test_without_a_successor_there_is_no_number() -> None:
    successor = Successor()
    with successor.given():
        pid, pidfd = clone()
        if pid == 0:
            try:
                os.setresuid(65533, 65533, 65533)
                resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
                with pytest.raises(SyscallError, match="clone: Resource temporarily unavailable"):
                    successor.take_over()
                os._exit(5)
            finally:
                os._exit(99)
    assert ended(pid, pidfd) == 5
    assert successor.pid == 0


def test_the_bytes_are_what_the_source_says(tmp_path: Path) -> None:
    if shutil.which("as") is None or os.uname().machine != "x86_64":
        pytest.skip("needs an assembler for x86_64 (binutils)")
    source = Path(kernel_clone.__file__).parent / "x86_64.S"
    subprocess.run(["as", "-o", tmp_path / "clone.o", source], check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", tmp_path / "clone.o", tmp_path / "code"], check=True)
    assert (tmp_path / "code").read_bytes() == kernel_clone._SUCCEED


@needs_succession
def test_a_successor_in_place_has_the_memory_while_the_first_stands_still() -> None:
    """It changes what the first one made, and the first one's ends of pipes are open until it executes something."""
    successor = Successor()
    reader, writer = os.pipe()
    held_reader, held = os.pipe()
    with successor.given():
        pid, pidfd = clone()
        if pid == 0:
            try:
                os.close(held_reader)
                signal.signal(signal.SIGUSR1, lambda *_: None)
                first, memory = os.getpid(), bytearray(b"made by the first")
                address = id(memory)
                successor.take_over_in_place(CloneFlag(0))
                memory[-5:] = b"other"
                os.write(writer, b"%d %d %d %d %s" % (first, os.getpid(), os.getppid(), address == id(memory), memory))
                os.close(held)
                os.execve("/bin/sh", ["sh", "-c", ":"], {})
            finally:
                os._exit(99)
    os.close(writer)
    os.close(held)
    assert os.read(held_reader, 1) == b"", (
        "the first has let go of what it held, once the second has executed something"
    )
    signal.pidfd_send_signal(pidfd, signal.SIGUSR1)  # caught, which ends a pause(2)
    while "ShdPnd:\t0000000000000000" not in Path(f"/proc/{pid}/status").read_text():
        time.sleep(0.001)
    assert os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG) is None, "and waits"
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    assert ended(pid, pidfd) == 137
    following = successor.pid
    with open(reader, "rb") as said:
        numbers, text = said.read().split(b" made by the ")
        assert numbers.split() == [b"%d" % pid, b"%d" % following, b"%d" % os.getpid(), b"1"]
        assert text == b"other"
    assert os.waitpid(following, 0)[1] is not None
    os.close(held_reader)


@needs_succession
def test_where_there_can_be_no_successor_in_place_the_first_goes_on() -> None:
    successor = Successor()
    nothing = os.open(os.devnull, os.O_RDONLY)
    with successor.given():
        pid, pidfd = clone()
        if pid == 0:
            try:
                with pytest.raises(SyscallError, match="clone3"):
                    successor.take_over_in_place(CloneFlag(0), cgroup_fd=nothing)
                inner = os.fork()
                if inner == 0:
                    os._exit(4)
                os._exit(exit_code(os.waitpid(inner, 0)[1]) + 1)
            finally:
                os._exit(99)
    os.close(nothing)
    assert ended(pid, pidfd) == 5
    assert successor.pid == 0


def test_hooks_of_fork_are_run_on_both_sides() -> None:
    code = """
import os, sys
sys.path.insert(0, sys.argv[1])
from orchestr8.kernel.clone import clone
def tell(text): os.write(1, text.encode() + b"\\n")
os.register_at_fork(before=lambda: tell("before"), after_in_parent=lambda: tell("parent"), after_in_child=lambda: tell("child"))
pid, pidfd = clone()
if pid == 0:
    import fractions  # the import lock is free in the child
    os._exit(0)
os.waitpid(pid, 0)
import decimal  # and in the parent
tell("end")
"""
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    done = subprocess.run([sys.executable, "-c", code, here], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert sorted(lines) == ["before", "child", "end", "parent"]
    assert (lines[0], lines[-1]) == ("before", "end")


def test_a_pidfd_signals_its_process() -> None:
    pid, pidfd = clone()
    if pid == 0:
        signal.pause()
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    assert ended(pid, pidfd) == 137


def test_a_clone_that_is_refused_says_so_and_leaves_one_process() -> None:
    reader, writer = os.pipe()
    with pytest.raises(SyscallError) as caught:
        clone(CloneFlag.NEWNS | CloneFlag(0x00000200))  # CLONE_FS: not together with a mount namespace
    assert caught.value.errno == errno.EINVAL
    assert caught.value.call == "clone3"
    with pytest.raises(SyscallError) as caught:
        clone(cgroup_fd=reader)
    assert caught.value.errno == errno.EBADF
    os.close(writer)
    assert os.read(reader, 1) == b"", "nobody else holds the other end"
    os.close(reader)


@pytest.mark.parametrize(
    ("status", "code"), [(0, 0), (1 << 8, 1), (255 << 8, 255), (9, 137), (15 | 0x80, 143), (64, 192)]
)
def test_a_wait_status_is_a_shells_code(status: int, code: int) -> None:
    assert exit_code(status) == code
