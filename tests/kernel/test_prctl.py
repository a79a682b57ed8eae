"""prctl(2) on a child of the test's own, and the command line that a process shows."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestr8.kernel import prctl

PACKAGE_PARENT = str(Path(__file__).parent.parent.parent)


def told(function: Callable[[], str]) -> str:
    """What `function` returns in a forked child."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, function().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(pid, 0)
    return text


def field(name: str) -> str:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)[name]


@pytest.mark.parametrize(
    ("name", "shown"), [(b"short", "short"), (b"exactly-15-byte", "exactly-15-byte"), (b"x" * 40, "x" * 15)]
)
def test_a_process_is_called_what_it_says(name: bytes, shown: str) -> None:
    def child() -> str:
        prctl.set_name(name)
        return Path("/proc/self/comm").read_text(encoding="utf-8")

    assert told(child) == f"{shown}\n"


def test_dumpable_can_be_taken_and_given_back_and_is_inherited() -> None:
    def child() -> str:
        values = []
        for dumpable in (False, True, False):
            prctl.set_dumpable(dumpable)
            values.append(str(prctl.prctl(3, 0, 0, 0, 0)))  # PR_GET_DUMPABLE
        values.append(told(lambda: str(prctl.prctl(3, 0, 0, 0, 0))))
        return " ".join(values)

    assert told(child) == "0 1 0 0"


def test_no_new_privileges_is_for_good() -> None:
    def child() -> str:
        before = field("NoNewPrivs")
        prctl.set_no_new_privileges()
        return before + field("NoNewPrivs")

    assert told(child) == "01"


def test_a_child_dies_with_its_parent() -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        ready, go = os.pipe()
        if os.fork() == 0:
            prctl.set_parent_death_signal(9)
            os.write(go, b"x")
            signal.pause()
        os.read(ready, 1)
        os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    assert os.read(reader, 1) == b"", "the grandchild held the other end, and is gone"
    os.close(reader)


@pytest.mark.parametrize("text", ["orchestr8-shim 0123456789ab", "", "x" * 5000, "ümläut"])
def test_the_command_line_is_what_was_written_cut_to_its_room(text: str) -> None:
    code = (
        f"import sys; sys.path.append({PACKAGE_PARENT!r})\n"
        "from orchestr8.kernel.prctl import ArgumentArea\n"
        "area = ArgumentArea()\n"
        f"area.write(area.prepared({text!r}))\n"
        "sys.stdout.buffer.write(open('/proc/self/cmdline', 'rb').read())"
    )
    argv = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(argv, capture_output=True, check=True, env={"LANG": "C.UTF-8", "KEPT": "yes"})
    room = sum(len(each.encode()) + 1 for each in argv)
    shown = done.stdout.rstrip(b"\0")
    assert shown == text.encode()[: room - 1]


def test_the_environment_behind_the_command_line_is_left_alone() -> None:
    code = (
        f"import sys; sys.path.append({PACKAGE_PARENT!r})\n"
        "from orchestr8.kernel.prctl import ArgumentArea\n"
        "area = ArgumentArea()\n"
        "area.write(area.prepared('y' * 9000))\n"
        "sys.stdout.buffer.write(open('/proc/self/environ', 'rb').read())"
    )
    argv = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(argv, capture_output=True, check=True, env={"KEPT": "yes"})
    assert done.stdout == b"KEPT=yes\0"
