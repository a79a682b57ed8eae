"""`exec` and `run` on a terminal, and signals without one: processes against an engine that a test directs."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from orchestr8.cli.parser import UsageError
from orchestr8.cli.terminal import environment_list, wants_terminal
from orchestr8.wire.frames import encode
from tests.cli.fake_engine import Call, FakeEngine
from tests.cli.process import PATIENCE_S, ROOT, Process

CONTAINER = {
    "id": "abc", "name": "shop-web-1", "service": "web", "number": 1, "oneoff": False, "state": "running", "status": "Up",
}  # fmt: skip


class Program:
    """A program in a container that a test talks through."""

    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.heard = b""
        self.sizes: list[Any] = []
        self.changed = threading.Condition()
        self.ended = threading.Event()
        self.signals: list[str] = []
        self.stream: socket.socket | None = None
        engine.routes |= {
            "GET /stacks/shop/containers": [CONTAINER],
            "POST /containers/abc/exec": {"Id": "e1"},
            "POST /exec/e1/start": self.start,
            "POST /exec/e1/resize": self.resize,
            "GET /exec/e1/json": {"ExitCode": 5},
        }

    def start(self, call: Call) -> None:
        self.stream = call.upgrade()
        self.stream.sendall(b"prompt> ")
        while b"exit" not in self.heard:
            data = self.stream.recv(100)
            if not data:
                return
            self.heard += data
            self.stream.sendall(b"[" + data.replace(b"\r", b"CR").replace(b"\x03", b"^C") + b"]")

    def resize(self, call: Call) -> None:
        call.answer(status=204)
        with self.changed:
            self.sizes.append((call.query["w"], call.query["h"]))
            self.changed.notify_all()

    def wait_for_sizes(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.sizes) >= count, PATIENCE_S)

    def wait_for_signals(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.signals) >= count, PATIENCE_S)


@pytest.fixture
def program(engine: FakeEngine) -> Program:
    Path("stack.yml").write_text('name: shop\nservices: {web: {image: "rootfs:/"}}\n')
    return Program(engine)


def test_every_key_goes_to_the_program_and_the_terminal_is_itself_again_afterwards(program: Program) -> None:
    with Process("exec", "web", "sh", terminal=(90, 30)) as process:
        process.until("prompt> ")
        process.type(b"l\r\x03")
        process.until("^C]")
        process.type(b"exit")
        process.until("exit]")
        assert process.end() == 5
    assert program.heard == b"l\r\x03exit"
    made = program.engine.called("POST /containers/abc/exec").body
    assert (made["Tty"], made["ConsoleSize"], made["Env"]) == (True, [30, 90], ["TERM=xterm"])


def test_a_new_size_of_the_terminal_is_passed_on(program: Program) -> None:
    with Process("exec", "web", "sh", terminal=(90, 30)) as process:
        process.until("prompt> ")
        process.resize(100, 40)
        program.wait_for_sizes(1)
        assert program.sizes[0] == (["100"], ["40"])
        process.type(b"exit")
        assert process.end() == 5


def test_a_new_size_for_a_program_that_has_just_ended_is_no_failure(program: Program, engine: FakeEngine) -> None:
    gone = threading.Event()

    def refuse(call: Call) -> None:
        call.answer({"message": "there is no such terminal"}, status=500)
        gone.set()

    engine.routes["POST /exec/e1/resize"] = refuse
    with Process("exec", "web", "sh", terminal=(90, 30)) as process:
        process.until("prompt> ")
        process.resize(100, 40)
        assert gone.wait(PATIENCE_S)
        process.type(b"exit")
        assert process.end() == 5


def test_a_terminated_exec_leaves_the_program_and_the_terminal_in_order(program: Program) -> None:
    with Process("exec", "web", "sh", terminal=(90, 30)) as process:
        process.until("prompt> ")
        process.signal(signal.SIGTERM)
        assert process.end() == 128 + 15


def test_an_error_instead_of_a_program_is_told_on_a_terminal_too(program: Program, engine: FakeEngine) -> None:
    error = b'{"message": "sh: executable not found", "code": "O8-627"}'
    engine.routes["POST /exec/e1/start"] = lambda call: call.upgrade().sendall(encode(3, error))
    with Process("exec", "web", "sh", terminal=(90, 30)) as process:
        assert process.end() == 127
    assert process.shown() == ["error[O8-627]: sh: executable not found"]


def test_no_terminal_is_asked_for_when_told_so(program: Program, engine: FakeEngine) -> None:
    engine.routes["POST /exec/e1/start"] = lambda call: call.upgrade().sendall(encode(1, b"plain\n"))
    with Process("exec", "-T", "web", "sh", terminal=(90, 30)) as process:
        assert process.end() == 5
    assert engine.called("POST /containers/abc/exec").body["Tty"] is False
    assert program.sizes == []
    assert process.shown() == ["plain"]


def test_large_input_and_output_at_once_do_not_wait_for_each_other(
    program: Program, engine: FakeEngine, tmp_path: Path
) -> None:
    size = 5_000_000

    def echo(call: Call) -> None:
        stream = call.upgrade()
        left = size
        while left:
            data = stream.recv(65536)
            left -= len(data)
            stream.sendall(encode(1, data))

    engine.routes["POST /exec/e1/start"] = echo
    data = os.urandom(size)
    argv = [sys.executable, "-m", "orchestr8", "exec", "web", "cat"]
    done = subprocess.run(
        argv, input=data, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    assert (done.returncode, done.stderr) == (5, b"")
    assert done.stdout == data


def run_routes(program: Program, *, stubborn: bool) -> None:
    def made(call: Call) -> None:
        call.line(type="done", container="abc", name="shop-web-run-1")
        call.end()

    def attach(call: Call) -> None:
        call.upgrade().sendall(encode(1, b"working\n"))
        program.ended.wait()

    def kill(call: Call) -> None:
        call.answer(status=204)
        with program.changed:
            program.signals += call.query["signal"]
            program.changed.notify_all()
        if not stubborn:
            program.ended.set()

    def wait(call: Call) -> None:
        program.ended.wait()
        call.answer({"StatusCode": 130})

    def remove(call: Call) -> None:
        call.answer(status=204)
        program.ended.set()

    program.engine.routes |= {
        "POST /stacks/shop/run": made,
        "POST /containers/abc/attach": attach,
        "POST /containers/abc/wait": wait,
        "POST /containers/abc/start": lambda call: call.answer(status=204),
        "POST /containers/abc/kill": kill,
        "DELETE /containers/abc": remove,
    }


def test_run_passes_signals_on_and_exits_as_the_program_then_does(program: Program) -> None:
    run_routes(program, stubborn=False)
    program.engine.routes["POST /containers/abc/wait"] = delayed_head(program)
    with Process("run", "web", "sh") as process:
        process.until("working")
        process.signal(signal.SIGINT)
        assert process.end() == 130
    assert program.signals == ["SIGINT"]
    assert "DELETE /containers/abc" not in program.engine.names


def delayed_head(program: Program) -> Any:
    """As the engine answers: the head at once, the body at the end of the run."""

    def wait(call: Call) -> None:
        call.connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        program.ended.wait()
        call.connection.sendall(b'13\r\n{"StatusCode": 130}\r\n0\r\n\r\n')

    return wait


def test_a_third_signal_gives_up_on_a_program_that_does_not_listen(program: Program) -> None:
    run_routes(program, stubborn=True)
    program.engine.routes["POST /containers/abc/wait"] = delayed_head(program)
    with Process("run", "--rm", "web", "sh") as process:
        process.until("working")
        for count, number in enumerate((signal.SIGINT, signal.SIGTERM), start=1):
            process.signal(number)
            program.wait_for_signals(count)  # pending together, they would arrive in the order of their numbers
        process.signal(signal.SIGINT)
        assert process.end() == 130
    assert program.signals == ["SIGINT", "SIGTERM"]
    assert "DELETE /containers/abc" in program.engine.names


def test_a_terminal_is_there_when_asked_for_or_when_both_ends_are_one() -> None:
    assert wants_terminal(wanted=True, no_tty=False)
    assert not wants_terminal(wanted=False, no_tty=True)
    with pytest.raises(UsageError, match="-t asks for a terminal and -T for none"):
        wants_terminal(wanted=True, no_tty=True)


def test_variables_are_given_taken_from_the_caller_or_left_out() -> None:
    environ = {"B": "2", "TERM": "xterm"}
    assert environment_list(["A=1", "B", "C", "D="], environ, tty=False) == ["A=1", "B=2", "D="]
    assert environment_list([], environ, tty=True) == ["TERM=xterm"]
    assert environment_list(["TERM=dumb"], environ, tty=True) == ["TERM=dumb"]
