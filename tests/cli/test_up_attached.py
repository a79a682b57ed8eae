"""`up` that stays: logs, signals and what they make of it, as a process against an engine that a test directs."""

import json
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from orchestr8.wire.frames import encode
from tests.cli.fake_engine import Call, FakeEngine
from tests.cli.process import Process


class Director:
    """Plays a stack of one container: comes up, writes lines, stops when told."""

    def __init__(self, engine: FakeEngine) -> None:
        self.stopped = threading.Event()
        self.killed = threading.Event()
        self.running = True
        self.logs_opened = 0
        self.obedient = True
        engine.routes |= {
            "POST /stacks/shop/up": self.up,
            "POST /stacks/shop/stop": self.stop,
            "POST /stacks/shop/kill": self.kill,
            "GET /stacks/shop/logs": self.logs,
            "GET /stacks/shop/containers": lambda call: call.answer(self.containers()),
        }

    def containers(self) -> list[dict[str, Any]]:
        return [{"name": "shop-web-1", "state": "running", "status": "Up 1 second"}] if self.running else []

    def up(self, call: Call) -> None:
        call.line(type="plan", steps=1, text="")
        call.line(type="step", kind="Container", name="shop-web-1", status="Starting")
        call.line(type="step", kind="Container", name="shop-web-1", status="Started")
        port = {"service": "web", "container": "shop-web-1", "host_ip": "127.0.0.1", "published": 8080, "target": 80}
        call.line(type="done", containers=["shop-web-1"], ports=[{**port, "url": "http://127.0.0.1:8080"}])
        call.end()

    def logs(self, call: Call) -> None:
        self.logs_opened += 1
        stream = call.upgrade()
        news = {"source": 0, "name": "web-1", "container": "shop-web-1", "service": "web"}
        stream.sendall(encode(0, json.dumps(news).encode()) + encode(1, b"hello %d\n" % self.logs_opened))
        self.stopped.wait()
        self.running = False
        stream.sendall(encode(1, b"goodbye\n") + encode(0, b'{"source":0,"exited":0,"restarting":false}'))

    def stop(self, call: Call) -> None:
        call.line(type="plan", steps=1, text="")
        call.line(type="step", kind="Container", name="shop-web-1", status="Stopping")
        if not self.obedient:
            self.killed.wait()
        self.running = False
        self.stopped.set()
        call.line(type="step", kind="Container", name="shop-web-1", status="Stopped")
        call.line(type="done")
        call.end()

    def kill(self, call: Call) -> None:
        self.killed.set()
        self.stopped.wait()
        call.line(type="step", kind="Container", name="shop-web-1", status="Killed")
        call.line(type="done")
        call.end()


@pytest.fixture
def director(engine: FakeEngine):
    Path("stack.yml").write_text('name: shop\nservices: {web: {image: "rootfs:/"}}\n')
    director = Director(engine)
    yield director
    director.stopped.set()
    director.killed.set()


def test_it_shows_progress_addresses_and_logs_until_the_last_container_ends(director: Director) -> None:
    with Process("up") as process:
        process.until("hello 1")
        director.stopped.set()
        assert process.end() == 0
    lines = process.text.splitlines()
    assert sorted(lines) == sorted(
        [
            " Container shop-web-1  Starting",
            " Container shop-web-1  Started",
            " web  http://127.0.0.1:8080",
            "web-1  | hello 1",
            "web-1  | goodbye",
            "web-1 exited with code 0",
        ]
    )


def test_an_interrupt_stops_the_stack_in_order_and_shows_its_last_words(director: Director, engine: FakeEngine) -> None:
    with Process("up", "-t", "3", "web") as process:
        process.until("hello 1")
        process.until("http://")
        process.signal(signal.SIGINT)
        assert process.end() == 130
    lines = process.text.splitlines()
    _, *rest = lines[lines.index("stopping in order; Ctrl-C again kills") :]
    assert [line for line in rest if "Container" in line] == [
        " Container shop-web-1  Stopping",
        " Container shop-web-1  Stopped",
    ]
    assert [line for line in rest if "Container" not in line] == ["web-1  | goodbye", "web-1 exited with code 0"]
    assert engine.called("POST /stacks/shop/stop").body == {"services": ["web"], "timeout_s": 3.0}
    assert engine.called("GET /stacks/shop/logs").query["service"] == ["web"]
    assert engine.called("GET /stacks/shop/logs").query["until"] == ["exit"]


def test_a_second_interrupt_kills(director: Director, engine: FakeEngine) -> None:
    director.obedient = False
    with Process("up") as process:
        process.until("hello 1")
        process.signal(signal.SIGTERM)
        process.until("Stopping")
        process.signal(signal.SIGINT)
        assert process.end() == 130
    assert engine.called("POST /stacks/shop/kill").body == {"services": None, "signal": "SIGKILL"}
    assert "goodbye" in process.text


def waits_until_released(engine: FakeEngine) -> threading.Event:
    """An `up` that waits for a container, until this is set."""
    released = threading.Event()

    def slow_up(call: Call) -> None:
        call.line(type="plan", steps=2, text="")
        call.line(type="step", kind="Container", name="shop-web-1", status="Waiting")
        released.wait()

    engine.routes["POST /stacks/shop/up"] = slow_up
    return released


def test_an_interrupt_while_it_comes_up_stops_what_is_there(director: Director, engine: FakeEngine) -> None:
    released = waits_until_released(engine)
    with Process("up") as process:
        process.until("hello 1")
        process.signal(signal.SIGINT)
        assert process.end() == 130
    released.set()
    assert "goodbye" in process.text


def test_a_cli_that_dies_asks_for_nothing(director: Director, engine: FakeEngine) -> None:
    with Process("up") as process:
        process.until("hello 1")
        process.signal(signal.SIGKILL)
        assert process.end() == -9
    assert "POST /stacks/shop/stop" not in engine.names


def test_ctrl_backslash_leaves_the_stack_running(director: Director, engine: FakeEngine) -> None:
    with Process("up") as process:
        process.until("hello 1")
        process.signal(signal.SIGQUIT)
        assert process.end() == 0
    assert process.text.endswith("detached: shop goes on; see orchestr8 -p shop logs -f\n")
    assert "POST /stacks/shop/stop" not in engine.names


def test_an_interrupted_detached_up_says_that_the_engine_goes_on(director: Director, engine: FakeEngine) -> None:
    released = waits_until_released(engine)
    with Process("up", "-d") as process:
        process.until("Waiting")
        process.signal(signal.SIGINT)
        assert process.end() == 130
    released.set()
    assert process.text.endswith("interrupted; the engine goes on with: up shop\n")
    assert engine.names == ["POST /stacks/shop/up"]


def test_an_engine_that_dies_is_followed_by_the_logs_of_the_next(director: Director, engine: FakeEngine) -> None:
    first = director.logs

    def dying(call: Call) -> None:
        director.logs_opened += 1
        call.upgrade().sendall(encode(1, b"before\n"))
        engine.routes["GET /stacks/shop/logs"] = first

    engine.routes["GET /stacks/shop/logs"] = dying
    with Process("up") as process:
        process.until("before")
        process.until("hello 2")
        director.stopped.set()
        assert process.end() == 0
    assert process.text.endswith("web-1  | goodbye\nweb-1 exited with code 0\n")


def test_a_stack_that_does_not_come_up_ends_it_with_the_error(director: Director, engine: FakeEngine) -> None:
    def up(call: Call) -> None:
        call.line(type="plan", steps=1, text="")
        call.line(type="error", status=500, message="db is unhealthy", code="O8-604")
        call.end()

    engine.routes["POST /stacks/shop/up"] = up
    with Process("up") as process:
        assert process.end() == 1
    assert "error[O8-604]: db is unhealthy\n" in process.text


def test_on_a_terminal_the_display_ends_where_the_logs_begin(director: Director) -> None:
    with Process("up", terminal=(70, 20)) as process:
        process.until("hello 1")
        process.until("http://")
        process.type(b"\x03")
        process.until("goodbye")
        assert process.end() == 130
    shown = process.shown()
    rows = [line for line in shown if "Container shop-web-1" in line]
    assert [row.split()[0] for row in rows] == [
        "✔",
        "✔",
    ]  # started; stopped: once each, and nothing left of the drawing
    assert any(line.startswith("web-1  | hello 1") for line in shown)
    assert any(line.startswith("web-1  | goodbye") for line in shown)
    assert sum(line.startswith(" up shop") for line in shown) == 1
    assert sum(line.startswith(" stop shop") for line in shown) == 1
