"""`engine` and `version`, with an engine and without one."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.cli.fake_engine import Call, FakeEngine

pytestmark = pytest.mark.usefixtures("shop")


def test_version_starts_no_engine(cli: Cli) -> None:
    assert cli("version", "--short") == (0, "0.1.0\n", "")
    assert cli("version") == (0, "orchestr8 0.1.0\nengine    not running\n", "")
    assert json.loads(cli("version", "--format", "json")[1]) == {"version": "0.1.0", "engine": None}


def test_version_tells_the_engines_too(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /version"] = {"Version": "0.2", "ApiVersion": "1.47", "KernelVersion": "6.1"}
    assert cli("version")[1] == "orchestr8 0.1.0\nengine    0.2, API 1.47, kernel 6.1\n"


ENGINE = {
    "pid": 12, "forkserver_pid": 13, "root": "/r", "socket": "/s", "version": "0.1.0", "started_at": 0, "stacks": 1,
    "containers": 3, "running": 2, "memory_pss_bytes": 31457280,
}  # fmt: skip


def test_engine_status_tells_what_runs(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /engine"] = {**ENGINE, "started_at": time.time() - 125}
    assert cli("engine", "status") == (
        0,
        (
            "running\n"
            "  root        /r\n"
            "  socket      /s\n"
            "  version     0.1.0\n"
            "  pid         12, forkserver 13\n"
            "  started     2 minutes ago\n"
            "  stacks      1\n"
            "  containers  3, 2 running\n"
            "  memory      30.0 MiB\n"
        ),
        "",
    )
    assert json.loads(cli("engine", "status", "--format", "json")[1])["state"] == "running"


def test_engine_status_and_stop_start_no_engine(cli: Cli, tmp_path: Path) -> None:
    assert cli("engine", "status") == (1, f"not running\n  root        {tmp_path}/root\n", "")
    assert json.loads(cli("engine", "status", "--format", "json")[1]) == {
        "state": "stopped",
        "root": f"{tmp_path}/root",
    }
    assert cli("engine", "stop") == (0, "", "no engine runs\n")
    assert cli("engine", "dance")[0] == 2


def test_engine_stop_waits_until_the_process_is_gone(cli: Cli, engine: FakeEngine) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        engine.routes["GET /engine"] = {**ENGINE, "pid": process.pid}

        def stop(call: Call) -> None:
            call.answer({}, status=202)
            process.kill()

        engine.routes["POST /engine/stop"] = stop
        assert cli("engine", "stop") == (
            0,
            "",
            "engine stopped; 2 containers go on, and find no names until the next command starts it\n",
        )
    assert engine.called("POST /engine/stop").body == {"containers": False}


def test_engine_logs_come_from_the_engine_or_from_its_file(cli: Cli, engine: FakeEngine, tmp_path: Path) -> None:
    engine.routes["GET /engine"] = ENGINE
    engine.routes["GET /engine/logs"] = lambda call: call.connection.sendall(b"HTTP/1.1 200 OK\r\n\r\na\nb\n")
    assert cli("engine", "logs", "-n", "2") == (0, "a\nb\n", "")
    assert engine.called("GET /engine/logs").query == {"tail": ["2"]}


def test_engine_logs_of_an_engine_that_does_not_run(cli: Cli, tmp_path: Path) -> None:
    code, _, err = cli("engine", "logs")
    assert (code, err.splitlines()[0]) == (
        1,
        f"error[O8-404]: there is no log: no engine has run with root {tmp_path}/root",
    )
    (tmp_path / "root").mkdir()
    (tmp_path / "root/engine.log").write_text("1\n2\n3\n")
    assert cli("engine", "logs", "-n", "2") == (0, "2\n3\n", "")
    assert cli("engine", "logs", "-n", "0") == (0, "", "")
    assert cli("engine", "logs") == (0, "1\n2\n3\n", "")
    assert cli("engine", "logs", "-f")[0] == 1
