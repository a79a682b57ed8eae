"""Terminals of the OCI command line: handed to whoever listens on a console socket, or shown on the caller's own."""

import os
import socket
import subprocess
from collections.abc import Callable

import pytest

from tests.cli.process import Process
from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.oci_lab import LIMIT_S, Runtime

pytestmark = [pytest.mark.system, requires("root"), needs_busybox]


def _master(listener: socket.socket) -> int:
    listener.settimeout(LIMIT_S)
    connection, _ = listener.accept()
    with connection:
        name, (master,), _, _ = socket.recv_fds(connection, 4096, 1)
    assert name
    return master


def _read_until(master: int, end: bytes) -> bytes:
    said = b""
    while end not in said:
        said += os.read(master, 4096)
    return said


def test_a_terminals_master_goes_to_the_console_socket(oci: Runtime) -> None:
    oci.write(
        "sh",
        "-c",
        "tty; stty size; read -r line; echo got $line",
        process={"terminal": True, "consoleSize": {"height": 30, "width": 90}},
    )
    assert "--console-socket" in oci("create", "--bundle", str(oci.bundle), oci.name, code=1).stderr
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(oci.folder / "console"))
        listener.listen()
        name, _ = oci.create("--console-socket", str(oci.folder / "console"))
        master = _master(listener)
        oci("start", name)
        assert _read_until(master, b"30 90\r\n") == b"/dev/pts/0\r\n30 90\r\n"
        flags = ("--tty", "--detach", "--console-socket", str(oci.folder / "console"))
        with oci.waited_for("exec", *flags, name, "sh", "-c", "tty; sleep 1000"):
            second = _master(listener)
            assert _read_until(second, b"\n") == b"/dev/pts/1\r\n"
            os.close(second)
        os.write(master, b"hello\n")
        assert b"got hello" in _read_until(master, b"got hello")
        os.close(master)
    oci.wait("stopped")


@pytest.fixture
def on_terminal(oci: Runtime) -> Callable[..., Process]:
    """`on_terminal("run", …)`: a command on a terminal of its own, of 70 columns and 20 rows."""
    return lambda *words: Process("oci", "--root", str(oci.root), *words, terminal=(70, 20))


def test_run_in_a_terminal_hands_it_to_the_program(oci: Runtime, on_terminal: Callable[..., Process]) -> None:
    oci.write("sh", process={"terminal": True, "env": ["PATH=/bin", "PS1=$ "]})
    with on_terminal("run", "--bundle", str(oci.bundle), oci.name) as shell:
        shell.until("$ ")
        shell.type(b"tty; stty size; ls -l /proc/self/fd/0 /dev/console | wc -l\r")
        shell.until("/dev/pts/0\r\n20 70\r\n2")
        shell.resize(100, 30)
        shell.type(b"until test \"$(stty size)\" = '30 100'; do sleep 0.01; done; echo res''ized\r")
        shell.until("resized")
        shell.type(b"sh -c 'echo wai\"\"ting; exec sleep 1000'\r")
        shell.until("waiting")
        shell.type(b"\x03")
        shell.type(b"echo interr''upted $?\r")
        shell.until("interrupted 130")
        shell.type(b"stty raw -echo; echo re''ady; exec head -c 200000\r")
        shell.until("ready")
        shell.paste(b"~" * 200_000)
        assert shell.end() == 0
        assert shell.output.count(b"~") == 200_000
        assert shell.echoes()
    assert "does not exist" in oci("state", oci.name, code=1).stderr


def test_exec_in_a_terminal_hands_it_to_the_program(oci: Runtime, on_terminal: Callable[..., Process]) -> None:
    oci.write("sleep", "1000")
    name, _ = oci.create()
    oci("start", name)
    with on_terminal(
        "exec", "--tty", name, "sh", "-c", "tty; stty size; read -r line; echo got $line; exit 6"
    ) as shell:
        shell.until("/dev/pts/0\r\n20 70\r\n")
        shell.type(b"hello\r")
        assert shell.end() == 6
        assert "got hello" in shell.text
        assert shell.echoes()


def test_a_terminal_without_one_outside_is_still_the_programs(oci: Runtime) -> None:
    done = oci.run("sh", "-c", "tty; exit 5", process={"terminal": True}, code=5)
    assert done.stdout == "/dev/pts/0\n"


def test_a_program_that_writes_more_than_it_reads_is_shown_while_it_is_typed_to(oci: Runtime) -> None:
    lines = (b"x" * 63 + b"\n") * 6000
    script = f"stty raw -echo; echo ready; head -c {len(lines)} | sed s/x/yyyyyyyyyy/g"
    oci.write("sh", "-c", script, process={"terminal": True})
    words = oci.words("run", "--bundle", str(oci.bundle), oci.name)
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"ready")
        said, _ = process.communicate(lines, LIMIT_S)  # writes and reads by turns
    assert said.count(b"y") == lines.count(b"x") * 10


def test_the_end_of_what_is_piped_into_a_terminal_is_the_end_of_its_programs_input(oci: Runtime) -> None:
    oci.write("cat", process={"terminal": True})
    for piped, shown in ((b"abc", "abcabc"), (b"a\n", "a\na\n"), (b"", "")):
        assert oci("run", "--bundle", str(oci.bundle), oci.name, stdin=piped).stdout == shown


def test_a_terminal_hangs_up_when_nobody_sees_it_any_more(oci: Runtime) -> None:
    oci.write("sh", "-c", "while echo more; do :; done; exit 3", process={"terminal": True})
    words = oci.words("run", "--bundle", str(oci.bundle), oci.name)
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"more\r\n"
        process.stdout.close()
        try:
            assert process.wait(LIMIT_S) == 3
        finally:
            process.kill()
