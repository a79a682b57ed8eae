"""Starting an engine: a real one, whose containers exist in its memory only, so that no root is needed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import orchestr8
from orchestr8.cli import launch
from orchestr8.wire.client import Client
from orchestr8.wire.paths import run_dir, socket_path
from tests.cli.conftest import Cli
from tests.cli.process import ROOT


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch, cli: Cli):
    monkeypatch.setenv("ORCHESTR8_BACKEND", "memory")
    yield
    assert cli("engine", "stop")[0] == 0
    root = os.environ["ORCHESTR8_ROOT"]
    assert not os.path.exists(run_dir(root))


@pytest.mark.usefixtures("memory")
def test_a_command_that_finds_no_engine_starts_one(cli: Cli) -> None:
    Path("stack.yml").write_text('name: shop\nservices: {web: {image: "rootfs:/", command: [sleep, "9"]}}\n')
    assert cli("ps", "-q") == (0, "", "")
    status = cli("engine", "status")
    assert (status[0], status[1].splitlines()[0]) == (0, "running")


@pytest.mark.usefixtures("memory")
def test_commands_at_the_same_time_start_one_engine_together() -> None:
    argv = [sys.executable, "-m", "orchestr8", "-p", "shop", "ps", "-q"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = [subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(4)]
    assert [(process.communicate()[0], process.returncode) for process in started] == [(b"", 0)] * 4
    assert Path(os.environ["ORCHESTR8_ROOT"], "engine.log").read_text().count(" started: pid ") == 1


@pytest.mark.usefixtures("memory")
def test_an_engine_gets_nothing_of_the_callers_but_what_it_needs(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    assert cli("engine", "start")[0] == 0
    pid = Client(socket_path(os.environ["ORCHESTR8_ROOT"])).request("GET", "/engine")["pid"]
    names = {
        pair.partition(b"=")[0].decode() for pair in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if pair
    }
    assert "SECRET_TOKEN" not in names
    assert {"ORCHESTR8_BACKEND", "ORCHESTR8_RUN_DIR"} <= names
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert os.getsid(pid) == pid
    for fd in (0, 1):
        assert os.readlink(f"/proc/{pid}/fd/{fd}") == "/dev/null"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose engine is what a test writes into it."""
    package = tmp_path / "site/orchestr8"
    (package / "engine").mkdir(parents=True)
    for name in ("__init__.py", "engine/__init__.py"):
        (package / name).touch()
    monkeypatch.setattr(orchestr8, "__file__", str(package / "__init__.py"))
    monkeypatch.setattr(
        launch,
        "_BOOT",
        launch._BOOT.replace("package in sys.path or sys.path.append", "sys.path.insert(0, package) or print"),
    )
    return package / "engine/__main__.py"


def test_an_engine_that_dies_at_once_shows_its_last_words(cli: Cli, package: Path) -> None:
    package.write_text("import sys\nprint('about to', file=sys.stderr)\nsys.exit('no luck today')\n")
    assert cli("-p", "shop", "ps") == (
        1,
        "",
        (
            "error[O8-900]: the engine ended with exit code 1 while it started\n"
            "  = note: about to\n"
            "  = note: no luck today\n"
        ),
    )
    assert not os.path.exists(run_dir(os.environ["ORCHESTR8_ROOT"]))


def test_an_engine_that_is_killed_is_said_to_be(cli: Cli, package: Path) -> None:
    package.write_text("import os\nos.kill(os.getpid(), 9)\n")
    assert cli("-p", "shop", "ps")[2].startswith("error[O8-900]: the engine was killed by signal 9 while it started\n")


def test_an_engine_that_cannot_start_says_why_itself(cli: Cli, package: Path) -> None:
    package.write_text(
        "import os, json\n"
        "os.write(3, json.dumps({'error': {'message': 'no cgroups', 'code': 'O8-401', 'helps': ['mount them']}}).encode())\n"
    )
    assert cli("-p", "shop", "ps") == (1, "", "error[O8-401]: no cgroups\n  = help: mount them\n")


def test_another_engine_that_is_about_to_listen_is_waited_for(cli: Cli, package: Path) -> None:
    """The forkserver restarts an engine by itself, so the one that we start may find the root taken."""
    socket_name = socket_path(os.environ["ORCHESTR8_ROOT"])
    other = (
        "import socket, time\n"
        "time.sleep(0.1)\n"
        f"s = socket.socket(socket.AF_UNIX); s.bind({socket_name!r}); s.listen()\n"
        "while True:\n"
        "    c, _ = s.accept()\n"
        "    if c.recv(9999):\n"
        "        c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: 2\\r\\n\\r\\n[]')\n"
        "        break\n"
    )
    package.write_text(
        "import json, os, subprocess, sys\n"
        f"subprocess.Popen([sys.executable, '-c', {other!r}])\n"
        "os.write(3, json.dumps({'error': {'message': 'another engine runs', 'code': 'O8-409'}}).encode())\n"
    )
    assert cli("-p", "shop", "ps", "-q") == (0, "", "")
    shutil.rmtree(run_dir(os.environ["ORCHESTR8_ROOT"]))


def test_without_permission_the_way_out_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/run/orchestr8")

    monkeypatch.setattr(os, "makedirs", refused)
    code, _, err = cli("-p", "shop", "ps")
    assert (code, err.splitlines()) == (
        1,
        [
            "error[O8-400]: no engine runs, and this user may not start one",
            "  = note: [Errno 13] Permission denied: '/run/orchestr8'",
            "  = help: run this as root",
        ],
    )
