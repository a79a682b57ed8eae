"""Each command against an engine that answers as a test tells it to: what is asked, what is shown, the exit code.

`logs` has a file of its own.
"""

import json
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from orchestr8.wire.frames import encode
from tests.cli.conftest import Cli, Stdin
from tests.cli.fake_engine import ERROR, Call, FakeEngine, container

STACK = """
name: shop
services:
  web: {image: "rootfs:/", command: [sleep, "9"], depends_on: [db]}
  db: {image: "rootfs:/"}
  mail: {image: "rootfs:/", profiles: [extra]}
"""


@pytest.fixture(autouse=True)
def _stack() -> None:
    Path("stack.yml").write_text(STACK)


def steps(*events: tuple[str, str, str]) -> Any:
    """A route that does work: these steps, then done."""

    def route(call: Call) -> None:
        call.line(type="plan", steps=len(events), text="")
        for kind, name, status in events:
            call.line(type="step", kind=kind, name=name, status=status)
        call.line(type="done", ports=[], containers=[])
        call.end()

    return route


# --- ps ---------------------------------------------------------------------------------------------------------------


def test_ps_is_a_table(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/containers"] = [
        container(),
        container("db", ports=[], status="Up 3 minutes (healthy)"),
    ]
    assert cli("ps") == (
        0,
        (
            "NAME         IMAGE      COMMAND                  SERVICE   CREATED         STATUS                   PORTS\n"
            'shop-db-1    rootfs:/   "/bin/sh -c while tr…"   db        3 minutes ago   Up 3 minutes (healthy)\n'
            'shop-web-1   rootfs:/   "/bin/sh -c while tr…"   web       3 minutes ago   Up 3 minutes             '
            "0.0.0.0:8080->80/tcp\n"
        ),
        "",
    )
    assert engine.calls[0].query == {}


def test_ps_all_asks_for_those_that_do_not_run_too(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/other/containers"] = []
    code, out, _ = cli("-p", "other", "ps", "-a")
    assert (code, out) == (0, "NAME   IMAGE   COMMAND   SERVICE   CREATED   STATUS   PORTS\n")
    assert engine.calls[0].query == {"all": ["1"]}


def test_ps_json_is_a_line_for_each_container_with_composes_fields(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/containers"] = [container(created_at=0, state="exited", exit_code=3)]
    code, out, _ = cli("ps", "--format", "json", "web")
    assert code == 0
    assert engine.calls[0].query == {"service": ["web"]}
    [line] = out.splitlines()
    found = json.loads(line)
    assert found.pop("RunningFor").endswith(" years ago")
    assert found == {
        "Command": '"/bin/sh -c while tr…"', "CreatedAt": "1970-01-01 00:00:00 +0000 UTC", "ExitCode": 3, "Health": "",
        "ID": "000000000001", "Image": "rootfs:/", "Labels": "a=1,b=2", "Name": "shop-web-1", "Names": "shop-web-1",
        "Networks": "shop_default", "Ports": "0.0.0.0:8080->80/tcp", "Project": "shop",
        "Publishers": [{"URL": "0.0.0.0", "TargetPort": 80, "PublishedPort": 8080, "Protocol": "tcp"}],
        "Service": "web", "State": "exited", "Status": "Up 3 minutes",
    }  # fmt: skip


def test_ps_quiet_prints_ids(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/containers"] = [container(number=2), container(number=1)]
    assert cli("ps", "-q") == (0, "000000000001\n000000000002\n", "")


def test_ps_knows_a_service_that_is_not_up_from_one_that_does_not_exist(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/containers"] = []
    assert cli("ps", "-q", "db", "mail") == (0, "", "")
    code, _, err = cli("ps", "wbe")
    assert code == 1
    assert err.splitlines()[0] == "error[O8-404]: no such service: wbe"


# --- work -------------------------------------------------------------------------------------------------------------


def test_up_detached_tells_its_progress_and_the_addresses(cli: Cli, engine: FakeEngine) -> None:
    def up(call: Call) -> None:
        call.line(type="plan", steps=2, text="")
        call.line(type="warning", message="something is odd", code="O8-111")
        call.line(type="warning", message="and stays", code="")
        call.line(type="step", kind="Container", name="shop-web-1", status="Creating")
        call.line(type="step", kind="Container", name="shop-web-1", status="Created")
        port = {"service": "web", "container": "shop-web-1", "published": 8080, "target": 80}
        ports = [{**port, "host_ip": "0.0.0.0", "url": "http://127.0.0.1:8080"}, {**port, "host_ip": "10.0.0.1"}]
        call.line(type="done", containers=["shop-web-1"], ports=ports)
        call.end()

    engine.routes["POST /stacks/shop/up"] = up
    assert cli("up", "-d", "web", "--scale", "web=3", "-t", "5", "--remove-orphans") == (
        0,
        "",
        (
            "warning[O8-111]: something is odd\n"
            "warning: and stays\n"
            " Container shop-web-1  Creating\n"
            " Container shop-web-1  Created\n"
            " web  http://127.0.0.1:8080  (on every address of this machine)\n"
            " web  10.0.0.1:8080\n"
        ),
    )
    body = engine.calls[0].body
    assert body["options"] == {
        "services": ["web"], "force_recreate": False, "no_recreate": False, "remove_orphans": True, "wait": False,
        "wait_timeout_s": None, "timeout_s": 5.0,
    }  # fmt: skip
    assert body["document"]["services"]["web"]["scale"] == 3
    sent = body["document"]["x-orchestr8"]
    assert (sent["working_dir"], sent["config_files"]) == (os.getcwd(), [f"{os.getcwd()}/stack.yml"])
    assert (sent["origins"]["db"]["image"], sent["contents"]) == ("stack.yml:5", {})


def test_work_that_fails_is_an_error_with_its_notes(cli: Cli, engine: FakeEngine) -> None:
    def up(call: Call) -> None:
        call.line(type="step", kind="Container", name="shop-web-1", status="Error", error={"message": "no such file"})
        call.line(
            type="error", status=500, message="web did not start", code="O8-604", notes=["exit code 127"], helps=["x"]
        )
        call.end()

    engine.routes["POST /stacks/shop/up"] = up
    assert cli("up", "-d") == (
        1,
        "",
        (
            " Container shop-web-1  Error  no such file\n"
            "error[O8-604]: web did not start\n"
            "  = note: exit code 127\n"
            "  = help: x\n"
        ),
    )


def test_work_that_breaks_off_is_an_engine_that_went_away(cli: Cli, engine: FakeEngine) -> None:
    """What one dies over the next one goes on with; what all of them die over is to blame itself."""
    engine.routes["POST /stacks/shop/up"] = lambda call: call.line(type="plan", steps=1, text="")
    code, _, err = cli("up", "-d")
    assert code == 1
    assert err.startswith("error[O8-400]: the engine went away before it had answered\n")
    first, *others = (call.body for call in engine.calls if call.name == "POST /stacks/shop/up")
    assert len(others) == 3
    assert all(each == {**first, "since": others[0]["since"]} for each in others)
    answers = iter([lambda call: call.end(), steps(("Container", "shop-web-1", "Started"))])
    engine.routes["POST /stacks/shop/up"] = lambda call: (call.line(type="plan", steps=1, text=""), next(answers)(call))
    assert cli("up", "-d")[0] == 0
    engine.routes["POST /stacks/shop/kill"] = lambda call: call.end()
    assert cli("kill")[0] == 1, "a signal is sent once"


def test_up_wait_is_the_engines_to_do(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["POST /stacks/shop/up"] = steps(("Container", "shop-web-1", "Healthy"))
    assert cli("up", "--wait", "--wait-timeout", "30")[0] == 0
    options = engine.calls[0].body["options"]
    assert (options["wait"], options["wait_timeout_s"]) == (True, 30.0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--force-recreate", "--no-recreate"], "--force-recreate and --no-recreate contradict each other"),
        (["--wait-timeout", "3"], "--wait-timeout needs --wait"),
        (["--scale", "web"], "--scale web does not say SERVICE=N"),
        (["--scale", "web=-1"], "--scale web=-1 does not say SERVICE=N"),
    ],
)
def test_up_refuses_what_contradicts_itself(cli: Cli, words: list[str], message: str) -> None:
    code, out, err = cli("up", "-d", *words)
    assert (code, out, err.splitlines()[0]) == (2, "", f"error[O8-300]: {message}")


def test_up_of_a_service_that_does_not_exist(cli: Cli) -> None:
    code, _, err = cli("up", "-d", "webb")
    assert (code, err.splitlines()[0]) == (1, "error[O8-203]: no such service: webb")
    code, _, err = cli("up", "-d", "--scale", "webb=2")
    assert (code, err.splitlines()) == (1, ["error[O8-404]: no such service: webb", "  = help: did you mean `web`?"])


def test_down_sends_the_file_so_that_orphans_stay(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["POST /stacks/shop/down"] = steps(("Container", "shop-web-1", "Removed"), ("Network", "n", "Removed"))
    assert cli("down", "-v", "-t", "1") == (0, "", " Container shop-web-1  Removed\n Network n  Removed\n")
    body = engine.calls[0].body
    assert body["options"] == {"volumes": True, "timeout_s": 1.0, "remove_orphans": False, "services": None}
    assert list(body["document"]["services"]) == ["db", "web"]


def test_down_needs_no_file_when_the_name_is_given(cli: Cli, engine: FakeEngine) -> None:
    Path("stack.yml").unlink()
    engine.routes["POST /stacks/other/down"] = steps()
    assert cli("-p", "other", "down") == (0, "", "")
    assert engine.calls[0].body["document"] is None
    code, _, err = cli("down")
    assert (code, err.splitlines()[0]) == (1, "error[O8-107]: no configuration file provided: not found")


def test_down_by_name_does_not_need_the_file_to_be_right(cli: Cli, engine: FakeEngine) -> None:
    Path("stack.yml").write_text("services: [oops\n")
    engine.routes["POST /stacks/shop/down"] = steps()
    code, _, err = cli("-p", "shop", "down")
    assert (code, err.splitlines()[-1]) == (0, "warning: this file is not used: everything of shop goes")
    assert engine.calls[0].body["document"] is None
    assert cli("down")[0] == 1


def test_progress_can_be_moved_to_the_standard_output(cli: Cli, engine: FakeEngine, monkeypatch) -> None:
    monkeypatch.setenv("COMPOSE_STATUS_STDOUT", "true")
    engine.routes["POST /stacks/shop/stop"] = steps(("Container", "shop-web-1", "Stopped"))
    assert cli("stop") == (0, " Container shop-web-1  Stopped\n", "")


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (["start"], {"services": None}),
        (["stop", "-t", "3", "web"], {"services": ["web"], "timeout_s": 3.0}),
        (["restart"], {"services": None, "timeout_s": None}),
        (["kill", "-s", "SIGHUP", "web", "db"], {"services": ["web", "db"], "signal": "SIGHUP"}),
        (["kill"], {"services": None, "signal": "SIGKILL"}),
    ],
)
def test_what_changes_a_stack_that_is_up_needs_only_its_name(
    cli: Cli, engine: FakeEngine, words: list[str], body: dict[str, Any]
) -> None:
    engine.routes[f"POST /stacks/shop/{words[0]}"] = steps(("Container", "shop-web-1", "Stopped"))
    assert cli(*words) == (0, "", " Container shop-web-1  Stopped\n")
    assert engine.calls[0].body == {**body, "document": None}


def test_progress_can_be_json_with_failures_as_json_too(cli: Cli, engine: FakeEngine) -> None:
    def stop(call: Call) -> None:
        call.line(type="step", kind="Container", name="shop-web-1", status="Stopping")
        call.line(type="error", status=500, message="no", code="O8-600")
        call.end()

    engine.routes["POST /stacks/shop/stop"] = stop
    assert cli("--progress", "json", "stop") == (
        1,
        "",
        (
            '{"id": "Container shop-web-1", "status": "Working", "text": "Stopping"}\n'
            '{"error": true, "message": "no", "code": "O8-600"}\n'
        ),
    )
    assert cli("stop", "--progress", "quiet") == (1, "", "error[O8-600]: no\n")


# --- plan -------------------------------------------------------------------------------------------------------------

PLAN = {"steps": [{"number": 1, "action": "CreateNetwork"}], "text": "1. CreateNetwork shop_default -- not found\n"}


def test_plan_prints_the_steps_and_can_tell_by_its_exit_code(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["POST /stacks/shop/plan"] = PLAN
    assert cli("plan") == (0, PLAN["text"], "")
    assert cli("plan", "--detailed-exitcode", "--force-recreate", "db") == (3, PLAN["text"], "")
    assert json.loads(cli("plan", "--format", "json")[1]) == PLAN
    body = engine.calls[1].body
    assert (body["verb"], body["options"]["force_recreate"], body["options"]["services"]) == ("up", True, ["db"])
    engine.routes["POST /stacks/shop/plan"] = {"steps": [], "text": ""}
    assert cli("plan", "--detailed-exitcode") == (0, "", "nothing to do: shop is as it should be\n")


@pytest.mark.parametrize("verb", ["up", "down", "start", "stop", "restart"])
def test_a_dry_run_prints_the_plan_of_that_verb_and_does_nothing(cli: Cli, engine: FakeEngine, verb: str) -> None:
    engine.routes["POST /stacks/shop/plan"] = PLAN
    assert cli(verb, "--dry-run") == (0, PLAN["text"], "")
    assert engine.names == ["POST /stacks/shop/plan"]
    assert engine.calls[0].body["verb"] == verb


# --- exec and run -----------------------------------------------------------------------------------------------------


def test_exec_connects_the_streams_and_exits_as_the_program_did(
    cli: Cli, engine: FakeEngine, stdin: Stdin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(call: Call) -> None:
        stream = call.upgrade()
        heard = b""
        while data := stream.recv(100):
            heard += data
        stream.sendall(encode(1, b"heard " + heard) + encode(2, b"problem\n"))

    engine.routes |= {
        "GET /stacks/shop/containers": [container(number=2), container(number=1)],
        "POST /containers/000000000001/exec": {"Id": "e1"},
        "POST /exec/e1/start": start,
        "GET /exec/e1/json": {"ID": "e1", "Running": False, "ExitCode": 7, "Pid": 0},
    }
    monkeypatch.setenv("PASSED", "on")
    stdin(b"input\n")
    code, out, err = cli(
        "exec", "-e", "A=1", "-e", "PASSED", "-e", "ABSENT", "-u", "1:1", "-w", "/x", "web", "cat", "-v"
    )
    assert (code, out, err) == (7, "heard input\n", "problem\n")
    assert engine.calls[1].body == {
        "Cmd": ["cat", "-v"], "Env": ["A=1", "PASSED=on"], "User": "1:1", "WorkingDir": "/x", "Tty": False,
        "AttachStdin": True,
        "Privileged": False,
    }  # fmt: skip
    assert engine.calls[3].query == {"wait": ["1"]}


def test_exec_needs_a_running_container(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/containers"] = [container(state="exited", status="Exited (1) 2 minutes ago")]
    assert cli("exec", "web", "true") == (
        125,
        "",
        (
            'error[O8-409]: service "web" is not running\n'
            "  = note: shop-web-1: Exited (1) 2 minutes ago\n"
            "  = help: start it: orchestr8 up -d web\n"
        ),
    )
    assert cli("exec", "shop-web-1", "true")[2].splitlines() == [
        'error[O8-409]: container "shop-web-1" is not running',
        "  = note: shop-web-1: Exited (1) 2 minutes ago",
        "  = help: start it: orchestr8 up -d web",
    ]
    engine.routes["GET /stacks/shop/containers"] = [container()]
    code, _, err = cli("exec", "--index", "2", "web", "true")
    assert (code, err.splitlines()[0]) == (125, 'error[O8-409]: service "web" is not running container #2')
    assert cli("exec", "web")[0] == 2


@pytest.mark.parametrize(("code", "exit_code"), [(b"O8-626", 126), (b"O8-627", 127), (b"O8-903", 125)])
def test_exec_of_what_cannot_be_run_tells_by_its_exit_code(
    cli: Cli, engine: FakeEngine, code: bytes, exit_code: int
) -> None:
    engine.routes |= {
        "GET /stacks/shop/containers": [container()],
        "POST /containers/000000000001/exec": {"Id": "e1"},
        "POST /exec/e1/start": lambda call: call.upgrade().sendall(encode(3, ERROR % (b"cannot", code))),
    }
    assert cli("exec", "web", "nope") == (exit_code, "", f"error[{code.decode()}]: cannot\n")


def run_routes(engine: FakeEngine, code: int, *, fail_start: bool = False) -> None:
    def made(call: Call) -> None:
        call.line(type="step", kind="Container", name="shop-db-1", status="Started")
        call.line(type="done", container="abc", name="shop-web-run-1")
        call.end()

    def start(call: Call) -> None:
        if fail_start:
            call.answer({"message": "cannot start", "code": "O8-600"}, status=500)
        else:
            call.answer(status=204)

    def attach(call: Call) -> None:
        stream = call.upgrade()
        while stream.recv(100):
            pass
        stream.sendall(encode(1, b"output\n"))

    engine.routes |= {
        "POST /stacks/shop/run": made,
        "POST /containers/abc/attach": attach,
        "POST /containers/abc/wait": {"StatusCode": code},
        "POST /containers/abc/start": start,
        "DELETE /containers/abc": lambda call: call.answer(status=204),
    }


def test_run_attaches_before_it_starts_and_exits_as_the_program_did(cli: Cli, engine: FakeEngine, stdin: Stdin) -> None:
    run_routes(engine, 3)
    stdin(b"")
    words = ["run", "--rm", "-e", "A=1", "--entrypoint", "sh -c", "--name", "n", "-l", "k=v", "web", "echo", "$A"]
    assert cli(*words) == (3, "output\n", " Container shop-db-1  Started\n")
    assert engine.names == [
        "POST /stacks/shop/run", "POST /containers/abc/attach", "POST /containers/abc/wait", "POST /containers/abc/start",
    ]  # fmt: skip
    body = engine.calls[0].body
    assert body["service"] == "web"
    assert body["options"] == {
        "command": ["echo", "$A"], "entrypoint": ["sh", "-c"], "environment": {"A": "1"}, "user": "", "working_dir": "",
        "tty": False, "stdin": True, "no_deps": False, "name": "n", "labels": {"k": "v"}, "service_ports": False, "rm": True,
        "use_aliases": False, "remove_orphans": False,
    }  # fmt: skip
    assert engine.called("POST /containers/abc/wait").query == {"condition": ["removed"]}


def test_run_detached_prints_the_containers_name(cli: Cli, engine: FakeEngine) -> None:
    run_routes(engine, 0)
    assert cli("run", "-d", "web") == (0, "shop-web-run-1\n", " Container shop-db-1  Started\n")
    assert engine.names == ["POST /stacks/shop/run", "POST /containers/abc/start"]


def test_run_removes_what_could_not_be_started(cli: Cli, engine: FakeEngine) -> None:
    run_routes(engine, 0, fail_start=True)
    code, _, err = cli("run", "--rm", "web")
    assert (code, err.splitlines()[-1]) == (125, "error[O8-600]: cannot start")
    assert engine.names[-1] == "DELETE /containers/abc"


# --- config, version, engine, help ------------------------------------------------------------------------------------


def test_config_needs_no_engine(cli: Cli) -> None:
    code, out, err = cli("config")
    assert (code, err) == (0, "")
    assert out.startswith("name: shop\nservices:\n  db:\n")
    assert json.loads(cli("config", "--format", "json", "web")[1])["services"].keys() == {"db", "web"}  # web needs db
    assert cli("config", "-q") == (0, "", "")
    assert cli("config", "--services") == (0, "db\nweb\n", "")
    assert cli("--profile", "extra", "config", "--services") == (0, "db\nmail\nweb\n", "")
    assert cli("config", "--profiles") == (0, "extra\n", "")
    assert cli("config", "--networks") == (0, "default\n", "")
    assert cli("config", "--volumes") == (0, "", "")
    assert cli("config", "--images") == (0, "rootfs:/\n", "")
    assert cli("config", "-o", "out.yml") == (0, "", "")
    assert Path("out.yml").read_text() == out
    assert cli("config", "-o", "no/such/place")[0] == 1


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


EVENT = {
    "kind": "die", "stack": "shop", "service": "web", "container": "shop-web-1", "id": "0123456789ab",
    "at": 1767182400.25, "attributes": {"exitCode": "3", "image": "rootfs:/"},
}  # fmt: skip


def test_events_are_shown_as_compose_shows_them(cli: Cli, engine: FakeEngine) -> None:
    def happen(call: Call) -> None:
        call.line(**EVENT)
        call.line(missed=True)
        call.line(**{**EVENT, "service": "db"})
        call.end()

    engine.routes["GET /events"] = happen
    engine.routes["GET /stacks/shop/containers"] = [container("web")]
    code, out, err = cli("events", "--json", "--since", "1767182400", "--until", "1767182401", "web")
    assert code == 0
    assert json.loads(out) == {
        "action": "die", "attributes": {"exitCode": "3", "image": "rootfs:/", "name": "shop-web-1"}, "id": "0123456789ab",
        "service": "web", "time": "2025-12-31T12:00:00.250000Z", "type": "container",
    }  # fmt: skip
    assert err == "this was read too slowly: some events are not shown\n"
    assert engine.called("GET /events").query == {
        "stack": ["shop"], "since": ["1767182400.000000"], "until": ["1767182401.000000"],
    }  # fmt: skip
    code, out, _ = cli("events", "--until", "1767182401")
    assert [line.split(" ", 2)[2] for line in out.splitlines()] == [
        "container die 0123456789ab (exitCode=3, image=rootfs:/, name=shop-web-1)"
    ] * 2
    assert cli("events", "--since", "yester-day")[0] == 2


def test_top_is_a_table_of_all_containers_without_what_terminals_obey(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/containers"] = [
        container("web", id="a1"), container("db", id="a2", state="exited"), container("run", number=0, id="a3", oneoff=True),
    ]  # fmt: skip
    for number in (1, 3):
        engine.routes[f"GET /containers/a{number}/top"] = {
            "Titles": ["UID", "PID", "CMD"],
            "Processes": [["root", str(number), "a\x1b[31m b"]],
        }
    code, out, _ = cli("top")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["SERVICE", "#", "UID", "PID", "CMD"],
        ["run", "shop-run-0", "root", "3", "a", "[31m", "b"],
        ["web", "1", "root", "1", "a", "[31m", "b"],
    ]


def test_wait_tells_each_end_and_exits_with_the_last_code(cli: Cli, engine: FakeEngine) -> None:
    ended = container("db", id="d1", state="exited", exit_code=4, finished_at=1.0)
    engine.routes["GET /stacks/shop/containers"] = [
        container("web", id="a1"),
        container("web", number=2, id="a2"),
        ended,
    ]
    first_told = threading.Event()

    def end(call: Call) -> None:
        call.answer({"StatusCode": 3})
        first_told.set()

    def end_later(call: Call) -> None:
        first_told.wait(10)
        call.answer({"StatusCode": 7})

    engine.routes["POST /containers/a1/wait"] = end
    engine.routes["POST /containers/a2/wait"] = end_later
    assert cli("wait", "web") == (
        7, "shop-web-1 exited with status code 3\nshop-web-2 exited with status code 7\n", "",
    )  # fmt: skip
    assert cli("wait", "db") == (4, "shop-db-1 exited with status code 4\n", "")
    assert cli("wait", "shop-db-1", "db") == (4, "shop-db-1 exited with status code 4\n", "")
    assert cli("wait", "shop-web-2") == (7, "shop-web-2 exited with status code 7\n", "")
    assert cli("wait")[0] == 7
    code, _, err = cli("wait", "wbe")
    assert (code, "no such service: wbe" in err) == (1, True)


def test_wait_takes_the_stack_down_once_the_first_has_ended(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/containers"] = [container("web", id="a1"), container("web", number=2, id="a2")]
    over = threading.Event()

    def down(call: Call) -> None:
        call.line(type="done")
        call.end()
        over.set()

    def never_end(call: Call) -> None:
        call.connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        over.wait(10)

    engine.routes["POST /containers/a1/wait"] = never_end
    engine.routes["POST /containers/a2/wait"] = {"StatusCode": 5}
    engine.routes["POST /stacks/shop/down"] = down
    code, out, _ = cli("wait", "--down-project")
    assert (code, out) == (5, "shop-web-2 exited with status code 5\n")
    assert engine.called("POST /stacks/shop/down").body["options"]["volumes"] is False


def test_inspect_shows_documents_or_one_value_of_each(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/containers"] = [container("web", id="a1"), container("web", number=2, id="a2")]
    for number in (1, 2):
        engine.routes[f"GET /containers/a{number}/json"] = {"Name": f"/shop-web-{number}", "State": {"Pid": number}}
    engine.routes["GET /containers/b1/json"] = lambda call: call.answer({"message": "No such container: b1"}, 404)
    code, out, _ = cli("inspect", "web")
    assert (code, [each["State"]["Pid"] for each in json.loads(out)]) == (0, [1, 2])
    assert cli("inspect") == (0, out, "")
    assert cli("inspect", "-f", "{{.State.Pid}}", "web") == (0, "1\n2\n", "")
    assert cli("inspect", "-f", ".Name", "a2") == (0, "/shop-web-2\n", "")
    assert cli("inspect", "-f", "{{json .State}}", "a2") == (0, '{"Pid": 2}\n', "")
    assert cli("inspect", "-f", "{{json .Name}}", "a2") == (0, '"/shop-web-2"\n', "")
    assert cli("inspect", "-f", "{{.Name}}: {{ .State.Pid }}!", "web") == (0, "/shop-web-1: 1!\n/shop-web-2: 2!\n", "")
    assert cli("inspect", "-f", ".Name  .State.Pid", "a2") == (0, "/shop-web-2 2\n", "")
    for wrong in ("Name", "", "{{.Name}} {{.State.Pid", "{{.Name}} {{if .State}}x{{end}}", ".Name State"):
        code, _, err = cli("inspect", "-f", wrong, "a1")
        assert (code, "is not the path of a value" in err) == (2, True), wrong
    code, out, err = cli("inspect", "-f", ".State.Pdi", "a1")
    assert (code, out, err.splitlines()[1:]) == (1, "", ["  = help: it has: Pid"])
    assert cli("inspect", "-f", "{{range .State}}", "a1")[0] == 2
    code, _, err = cli("inspect", "b1")
    assert (code, "No such container: b1" in err) == (1, True)


def test_events_of_an_engine_that_ends_are_over(cli: Cli, engine: FakeEngine) -> None:
    def end(call: Call) -> None:
        os.rename(engine.path, f"{engine.path}.gone")
        engine.path += ".gone"  # where the fixture ends it
        call.line(**EVENT)

    engine.routes["GET /events"] = end
    code, out, err = cli("events")
    assert (code, out.count("die")) == (1, 1)
    assert "the engine ended; containers go on without it" in err


def test_help_of_a_command_that_does_not_exist(cli: Cli) -> None:
    assert cli("help", "up")[1].startswith("Usage: orchestr8 up [flags] [SERVICE…]\n")
    assert cli("help", "uup")[0] == 2


def test_plan_says_what_stays_beside_it(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["POST /stacks/shop/plan"] = {
        "steps": [],
        "text": "nothing to do",
        "warnings": ["Found orphan containers (a)"],
    }
    code, out, err = cli("plan")
    assert (code, out) == (0, "")
    assert err == "warning: Found orphan containers (a)\nnothing to do: shop is as it should be\n"


@pytest.mark.parametrize("text", ["A B=1", "=1", "", "A "])
@pytest.mark.parametrize("words", [["run"], ["exec"]], ids=" ".join)
def test_what_cannot_name_a_variable_is_refused(cli: Cli, engine: FakeEngine, words: list[str], text: str) -> None:
    engine.routes["GET /stacks/shop/containers"] = [container("web")]
    code, out, err = cli(*words, "-e", text, "web", "env")
    assert (code, out) == (2, "")
    assert f"-e {text}: `{text.partition('=')[0]}` cannot name a variable" in err


def test_run_tells_of_an_unknown_service_whatever_its_flags_say_of_it(cli: Cli, engine: FakeEngine) -> None:
    code, _, err = cli("run", "-v", "/tmp:/x", "wbe", "true")
    assert (code, err) == (125, "error[O8-203]: no such service: wbe\n  = help: did you mean `web`?\n")
