"""The executable that the forkserver runs from: sealed where that can be, else read-only."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestr8.errors import OperationFailed
from orchestr8.kernel import sockets
from orchestr8.runtime import messages, sealed
from orchestr8.runtime.sealed import Interpreter, remove_rehearsals, start_forkserver


def test_this_interpreter_runs_from_a_sealed_memfd() -> None:
    interpreter = Interpreter()
    assert interpreter.sealed
    assert os.path.isabs(interpreter.argv0)
    assert not os.path.islink(interpreter.argv0)
    with pytest.raises(PermissionError):
        os.pwrite(interpreter.fd, b"x", 0)
    interpreter.close()


def test_one_that_does_not_run_from_there_runs_from_a_read_only_mount(monkeypatch: pytest.MonkeyPatch) -> None:
    real, tried = sealed._runs, []

    def runs(fd: int, argv: list[str]) -> bool:
        tried.append(fd)
        return len(tried) > 1 and real(fd, argv)

    monkeypatch.setattr(sealed, "_runs", runs)
    before = len(os.listdir("/proc/self/fd"))
    try:
        interpreter = Interpreter()
    except PermissionError:
        pytest.skip("only root may make detached mounts")
    assert not interpreter.sealed
    with pytest.raises(OSError, match=r"Read-only file system|Text file busy"):
        os.close(os.open(f"/proc/self/fd/{interpreter.fd}", os.O_WRONLY))
    interpreter.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_one_that_runs_from_neither_is_told_and_leaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "_runs", lambda _fd, _argv: False)
    monkeypatch.setattr(sealed, "read_only_mount", lambda path: os.open(path, os.O_PATH | os.O_CLOEXEC))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OperationFailed, match="runs neither from a memfd nor from a read-only mount") as caught:
        Interpreter()
    assert caught.value.code == "O8-630"
    assert len(os.listdir("/proc/self/fd")) == before


def test_where_memfds_may_not_be_executed_that_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(subprocess, "run", refuse)
    assert not sealed._runs(0, [sys.executable])


def test_it_starts_with_a_bare_environment_and_ends_when_told(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    before = len(os.listdir("/proc/self/fd"))
    sock, process = start_forkserver(writer, str(tmp_path))
    with sock:
        try:
            sockets.send_packet(sock, messages.encode(messages.Configure()))
            environment = b""
            while not environment:  # the kernel is still at the execve
                with open(f"/proc/{process.pid}/environ", "rb") as environ:
                    environment = environ.read()
            assert {each.partition(b"=")[0] for each in environment.split(b"\0") if each} == {b"PATH", b"LANG"}
            assert os.getsid(process.pid) == process.pid
        finally:
            sockets.send_packet(sock, messages.encode(messages.Shutdown()))
            assert process.wait(10) == 0
    os.close(writer)
    assert os.read(reader, 100) == b"", "nothing was complained of"
    os.close(reader)
    assert len(os.listdir("/proc/self/fd")) == before - 2


def test_what_a_killed_forkserver_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "rehearsal-7-99/log").mkdir(parents=True)
    (tmp_path / "rehearsal-7-99/log/current.log").write_text("a line")
    (tmp_path / "shims").mkdir()
    remove_rehearsals(str(tmp_path))
    assert [each.name for each in tmp_path.iterdir()] == ["shims"]
