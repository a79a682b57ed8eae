"""`exec`, `run` and `wait`: streams, exit codes, and what is taken away again."""

import threading

import pytest

from orchestr8.wire.frames import encode
from tests.cli.conftest import Cli, Stdin
from tests.cli.fake_engine import ERROR, Call, FakeEngine, container

pytestmark = pytest.mark.usefixtures("shop")


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
    assert (code, err.splitlines()) == (
        125,
        [
            'error[O8-409]: service "web" is not running container #2',
            "  = note: shop-web-1: Up 3 minutes",
            "  = help: there is: #1; `orchestr8 up -d --scale web=N` makes more",
        ],
    )
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


def test_run_tells_of_an_unknown_service_whatever_its_flags_say_of_it(cli: Cli, engine: FakeEngine) -> None:
    code, _, err = cli("run", "-v", "/tmp:/x", "wbe", "true")
    assert (code, err) == (125, "error[O8-203]: no such service: wbe\n  = help: did you mean `web`?\n")


@pytest.mark.parametrize("text", ["A B=1", "=1", "", "A "])
@pytest.mark.parametrize("words", [["run"], ["exec"]], ids=" ".join)
def test_what_cannot_name_a_variable_is_refused(cli: Cli, engine: FakeEngine, words: list[str], text: str) -> None:
    engine.routes["GET /stacks/shop/containers"] = [container("web")]
    code, out, err = cli(*words, "-e", text, "web", "env")
    assert (code, out) == (2, "")
    assert f"-e {text}: `{text.partition('=')[0]}` cannot name a variable" in err


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
