"""The machine code that PID 1 turns into. Run here as an ordinary process with a child: that is all it knows of PID 1."""

import contextlib
import errno
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from orchestr8.runtime import init, reaper

SOURCE: Final = Path(reaper.__file__).parent / "x86_64.S"
pytestmark = pytest.mark.skipif(os.uname().machine not in reaper._CODE, reason="no code for this machine")


def test_the_bytes_are_what_the_source_says(tmp_path: Path) -> None:
    if shutil.which("as") is None or os.uname().machine != "x86_64":
        pytest.skip("needs an assembler for x86_64 (binutils)")
    built = tmp_path / "reaper.o"
    subprocess.run(["as", "-o", built, SOURCE], check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", built, tmp_path / "code"], check=True)
    assert (tmp_path / "code").read_bytes() == reaper._CODE["x86_64"][1]


def test_it_waits_for_the_signals_that_python_blocks() -> None:
    """The set in the code and the mask that the forkserver sets must agree, or a signal is lost or ends PID 1."""
    code = reaper._CODE["x86_64"][1]
    name = code.rindex(b"orchestr8-init\0")
    bits = int.from_bytes(code[name - 8 : name], "little")
    waited = {number for number in range(1, 65) if bits >> (number - 1) & 1}
    assert waited - init.WAITED == {32, 33}, "the C library keeps those two, and Python does not know them"
    assert waited >= init.WAITED


def test_a_machine_without_code_has_no_image() -> None:
    assert reaper.image("s390x") == b""


@contextlib.contextmanager
def reaped(script: str) -> Iterator[subprocess.Popen[str]]:
    """The reaper over `script`: it is executed by the process that forked it, as PID 1 does it."""
    image = reaper.open_image()
    code = f"""
import os, signal
signal.pthread_sigmask(signal.SIG_SETMASK, {sorted(map(int, init.WAITED))})
child = os.fork()
if child == 0:
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execv('/bin/sh', ['sh', '-c', {script!r}])
os.execve({image}, [b'orchestr8-init', b'%d' % child], {{}})
"""
    argv = [sys.executable, "-c", code]
    try:
        running = subprocess.Popen(argv, pass_fds=[image], stdout=subprocess.PIPE, text=True, start_new_session=True)
    finally:
        os.close(image)
    with running:
        try:
            deadline = time.monotonic() + 10
            while Path(f"/proc/{running.pid}/comm").read_text() != "orchestr8-init\n" and running.poll() is None:
                assert time.monotonic() < deadline
            yield running
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 1", 1), ("exit 42", 42), ("exit 255", 255), ("kill -9 $$", 137), ("kill -40 $$", 168)],
)
def test_its_exit_code_is_the_programs_or_128_and_the_signal(script: str, code: int) -> None:
    with reaped(script) as running:
        assert running.wait(10) == code


def test_it_ends_with_the_program_and_not_with_another_child() -> None:
    with reaped("(exit 3) & wait; exit 7") as running:
        assert running.wait(10) == 7


def test_it_forwards_signals_and_is_called_what_it_is() -> None:
    script = "trap 'echo usr1' USR1; trap 'echo term; exit 5' TERM; echo ready; while :; do sleep 1000 & wait; done"
    with reaped(script) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        running.send_signal(signal.SIGUSR1)
        assert running.stdout.readline() == "usr1\n"
        running.send_signal(signal.SIGSTOP)
        running.send_signal(signal.SIGCONT)
        running.send_signal(signal.SIGTERM)
        assert running.stdout.readline() == "term\n"
        assert running.wait(10) == 5


def test_it_is_small() -> None:
    with reaped("echo ready; sleep 1000; true") as running:
        assert running.stdout is not None
        running.stdout.readline()
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{running.pid}/status").read_text().splitlines())
        assert int(fields["VmRSS"].split()[0]) <= 16, "KiB"


# --- when it starts the program itself -----------------------------------------------------------------------------------


def started(argv: list[str], *, options: str = "--", stdin: int = subprocess.DEVNULL) -> tuple[bytes, int, str]:
    """What it said to the socket, its exit code, and what the program wrote."""
    image = reaper.open_image()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    code = f"""
import os, signal
from orchestr8.runtime import program
signal.pthread_sigmask(signal.SIG_SETMASK, {sorted(map(int, init.WAITED))})
program.reset_dispositions()
os.dup2({theirs.fileno()}, 3)
for fd in ({theirs.fileno()}, {image}):
    os.set_inheritable(fd, False)
os.execve({image}, {["orchestr8-init", options, *argv]!r}, {{'WORD': 'there'}})
"""
    try:
        with theirs:
            words = [sys.executable, "-c", code]
            fds = [image, theirs.fileno()]
            running = subprocess.Popen(words, pass_fds=fds, stdin=stdin, stdout=subprocess.PIPE, text=True)
        with ours, running:
            ours.settimeout(10)
            said = ours.recv(100)
            text, _ = running.communicate(timeout=10)
    finally:
        os.close(image)
    return said, running.returncode, text


def test_it_starts_a_program_with_its_words_and_variables() -> None:
    script = "echo $0 $1 $WORD; ls /proc/self/fd | tr '\\n' ' '; grep -E 'Sig(Blk|Ign)' /proc/self/status; exit 42"
    said, code, text = started(["/bin/sh", "sh", "-c", script, "zero", "one"])
    assert (said, code) == (b"", 42), "the program's execve has closed the socket"
    lines = text.splitlines()
    assert lines[0] == "zero one there"
    assert {line.split()[1] for line in lines if line.startswith("Sig")} == {"0" * 16}
    assert lines[1].startswith("0 1 2 3"), "ls has a fourth, for the directory"
    assert "4" not in lines[1].split()


def test_the_program_finds_nothing_in_it() -> None:
    """It may look into PID 1, being the same user: by then the socket is closed, the environment and its own words are gone."""
    for _ in range(100):
        script = (
            "ls /proc/$PPID/fd | tr '\\n' ' '; tr '\\0' ' ' </proc/$PPID/environ; tr '\\0' ' ' </proc/$PPID/cmdline"
        )
        said, code, text = started(["/bin/sh", "sh", "-c", script])
        assert (said, code) == (b"", 0)
        assert text.split() == ["0", "1", "2", "orchestr8-init"]


def test_a_program_leads_a_session_and_has_the_terminal() -> None:
    master, slave = os.openpty()
    try:
        said, code, text = started(
            ["/bin/cut", "cut", "-d ", "-f1,6,7,8", "/proc/self/stat"], options="-t", stdin=slave
        )
    finally:
        os.close(master)
        os.close(slave)
    pid, session, terminal, foreground = text.split()
    assert (said, code) == (b"", 0)
    assert pid == session == foreground
    assert terminal != "0"


@pytest.mark.parametrize(
    ("path", "options", "number"),
    [("/no/such/program", "--", errno.ENOENT), ("/etc/passwd", "--", errno.EACCES), ("/bin/true", "-t", errno.ENOTTY)],
)
def test_why_a_program_was_not_started_is_told_by_number(path: str, options: str, number: int) -> None:
    said, code, _ = started([path, "word"], options=options)
    assert (struct.unpack("=i", said), code) == ((number,), 126)
