"""The engine as a process, with the memory backend: how it begins, refuses, and ends."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestr8.engine.wiring import own_argv
from orchestr8.wire.client import Client
from orchestr8.wire.paths import socket_path

PACKAGE = str(Path(__file__).parents[2])
BOOT = "import runpy, sys; sys.path.append(sys.argv.pop(1)); runpy.run_module('orchestr8.engine', run_name='__main__')"


class Process:
    def __init__(self, root: Path, environ: dict[str, str]) -> None:
        reader, writer = os.pipe()
        self.environ = environ
        self.root = str(root)
        self.popen = subprocess.Popen(
            [sys.executable, "-I", "-c", BOOT, PACKAGE, "--root", self.root, "--ready-fd", str(writer)],
            env=environ, pass_fds=[writer], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(writer)
        with os.fdopen(reader) as lines:
            self.ready: dict[str, Any] = json.loads(lines.readline() or "{}")

    @property
    def socket(self) -> str:
        return socket_path(self.root, self.environ)

    def end_of_itself(self) -> int:
        code = self.popen.wait(timeout=20)
        self.end()
        return code

    def end(self) -> int:
        if self.popen.stderr is not None:
            self.popen.stderr.close()
        if self.popen.poll() is None:
            self.popen.terminate()
        return self.popen.wait(timeout=20)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "ORCHESTR8_BACKEND": "memory", "ORCHESTR8_RUN_DIR": str(tmp_path / "run")}


@pytest.fixture
def engine(tmp_path: Path, environ: dict[str, str]) -> Iterator[Process]:
    process = Process(tmp_path / "root", environ)
    yield process
    process.end()


def test_it_says_that_it_is_ready_when_it_answers(engine: Process) -> None:
    assert engine.ready == {"ready": True, "pid": engine.popen.pid}
    assert Client(engine.socket).request("GET", "/_ping") == "OK"
    assert Client(engine.socket).request("GET", "/engine")["pid"] == engine.popen.pid


def test_its_socket_is_for_root_and_its_group(engine: Process) -> None:
    found = os.stat(engine.socket)
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert (found.st_uid, found.st_gid) == (os.geteuid(), 0 if os.geteuid() == 0 else os.getegid())


def test_a_second_one_on_the_same_root_is_refused(engine: Process) -> None:
    second = Process(Path(engine.root), engine.environ)
    assert second.ready["error"]["code"] == "O8-409"
    assert second.ready["error"]["message"] == f"another engine (pid {engine.popen.pid}) runs on {engine.root}"
    assert second.end_of_itself() == 1
    assert Client(engine.socket).request("GET", "/_ping") == "OK"


def test_sigterm_ends_it_and_takes_its_socket_away(engine: Process, tmp_path: Path) -> None:
    engine.popen.send_signal(signal.SIGTERM)
    assert engine.popen.wait(timeout=20) == 0
    assert not os.path.exists(engine.socket)
    assert os.listdir(tmp_path / "run") == []
    log = Path(engine.root, "engine.log").read_text()
    assert "received SIGTERM" in log
    assert log.rstrip().endswith("engine ended")


def test_a_request_ends_it(engine: Process) -> None:
    assert Client(engine.socket).request("POST", "/engine/stop", body={}) == {}
    assert engine.popen.wait(timeout=20) == 0


def test_the_next_one_takes_over_from_one_that_was_killed(engine: Process) -> None:
    engine.popen.kill()
    engine.end()
    second = Process(Path(engine.root), engine.environ)
    assert second.ready == {"ready": True, "pid": second.popen.pid}
    assert Client(second.socket).request("GET", "/_ping") == "OK"
    assert second.end() == 0


def test_what_keeps_it_from_starting_is_told(tmp_path: Path, environ: dict[str, str]) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "state.db").write_bytes(b"nonsense" * 1000)
    process = Process(root, environ)
    assert process.ready["error"]["code"] == "O8-912"
    assert "state.db" in process.ready["error"]["message"]
    assert process.end_of_itself() == 1
    process = Process(tmp_path / "other", {**environ, "ORCHESTR8_BACKEND": "docker"})
    assert process.ready["error"]["message"] == "ORCHESTR8_BACKEND=docker: there is no such backend"
    assert process.end_of_itself() == 1


def test_while_nothing_happens_it_does_not_wake_up(engine: Process) -> None:
    Client(engine.socket).request("GET", "/_ping")

    def switches() -> int:
        total = 0
        for task in os.listdir(f"/proc/{engine.popen.pid}/task"):
            for line in Path(f"/proc/{engine.popen.pid}/task/{task}/status").read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    total += int(line.split()[1])
        return total

    def settled() -> int:
        """Once two looks in a row agree: what the request left behind is over."""
        before = -1
        while (now := switches()) != before:
            before = now
            time.sleep(0.05)
        return now

    before = settled()
    time.sleep(0.5)
    assert switches() == before


def test_the_command_that_starts_it_again_is_without_what_was_this_process_s_own() -> None:
    argv = ["python", "-I", "-m", "orchestr8.engine", "--root", "x", "--ready-fd", "3", "--forkserver-fd=7"]
    assert own_argv(argv, "/srv/x") == [sys.executable, "-I", "-m", "orchestr8.engine", "--root", "/srv/x"]
