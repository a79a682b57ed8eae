"""`attach`: many may look at a service's program and speak with it, and none of them is what it runs for."""

import os
import select
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.checks import err, exit_code, state
from e2e.engine import COMMAND_S
from e2e.scenario import Scenario, eventually
from tests.cli.process import Process
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
STACK = """
services:
  echo:
    image: rootfs:/
    command: [bash, -c, "while read -r line; do [ \\"$$line\\" = end ] && exit 7; echo \\"got $$line\\"; echo told >&2; done; echo over"]
    stdin_open: true
    stop_grace_period: 0s
  term:
    image: rootfs:/
    command: [dash, -i]
    stdin_open: true
    tty: true
    stop_grace_period: 0s
  busy:
    image: rootfs:/
    command: [bash, -c, "while read -r line && [ $$line = hello ]; do echo hello; done; head -c 20000000 /dev/zero | tr '\\\\0' x; echo; echo all"]
    stdin_open: true
    stop_grace_period: 0s
"""


@pytest.fixture
def story(scenario: Tell, monkeypatch: pytest.MonkeyPatch) -> Scenario:
    story = scenario(STACK)
    for name, value in story.engine.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(story.directory)
    return story


def test_the_end_of_a_clients_input_is_not_the_end_of_the_programs(story: Scenario) -> None:
    story.step("up -d echo")
    with Process("attach", "--no-stdin", "echo") as onlooker, Process("attach", "echo", typing=True) as first:
        first.type(b"one\n")
        first.until("got one")
        first.end_input()
        with Process("attach", "echo", typing=True) as second:
            second.type(b"two\n")
            first.until("got two")
            second.type(b"end\n")
            assert second.end() == 7
        assert first.end() == 7
        assert onlooker.end() == 7
        assert "got two\n" in onlooker.text
    story.step("ps -a", eventually(state("echo", "exited")))
    story.step("attach echo", err('service "echo" is not running'), code=1)


def test_the_two_outputs_stay_apart(story: Scenario) -> None:
    story.step("up -d echo")
    done = story.engine.run("attach", "echo", cwd=story.directory, stdin="one\nend\n")
    assert (done.code, done.out, done.err) == (7, "got one\n", "told\n")


def test_a_terminal_is_left_by_its_keys_and_goes_on(story: Scenario) -> None:
    story.step("up -d term")
    with Process("attach", "term", terminal=(70, 20)) as client:
        client.type(b"stty size; VALUE=kept; echo fi''rst\n")
        client.until("20 70")
        client.until("first")
        client.type(b"sh -c \"echo g''o; exec sleep 1000\"\n")  # which is in the foreground once it says so
        client.until("go\r\n")
        client.output = b""
        client.type(b"\x03")  # to the program, not to us
        client.until("# ")
        client.type(b"echo aft''er\n")
        client.until("after")
        client.type(b"\x10\x11")
        client.until("detached: shop-term-1 goes on")
        assert client.end() == 0
    with Process("attach", "--detach-keys", "ctrl-x,x", "term", terminal=(60, 20)) as client:
        client.type(b"echo $VALUE; stty size\n")
        client.until("kept")
        client.until("20 60")
        client.type(b"\x18x")
        assert client.end() == 0
    with Process("attach", "--no-stdin", "term", terminal=(60, 20)) as onlooker:
        with Process("attach", "term", terminal=(60, 20)) as client:
            client.type(b"while sleep 0.05; do echo se''en; done\n")  # whenever the onlooker is there
            onlooker.until("seen")
            client.type(b"\x03")
            client.type(b"\x10\x11")
            assert client.end() == 0
        onlooker.type(b"\x03")  # to us: nothing else is for the program
        assert onlooker.end() == 130
    story.step("ps", state("term", "running"))


def test_signals_are_passed_on_unless_they_are_not_to_be(story: Scenario) -> None:
    story.step("up -d echo")
    with Process("attach", "--sig-proxy=false", "echo", typing=True) as client:
        client.type(b"one\n")
        client.until("got one")
        client.signal(signal.SIGINT)
        assert client.end() == 130
    story.step("ps", state("echo", "running"))
    with Process("attach", "echo", typing=True) as client:
        client.type(b"two\n")
        client.until("got two")
        client.signal(signal.SIGINT)
        assert client.end() == 130
    story.step("ps -a", eventually(state("echo", "exited")), exit_code("echo", 130))
    story.step("attach --sig-proxy=maybe echo", err("`maybe` is neither true nor false"), code=2)


def test_one_who_does_not_read_keeps_nobody(story: Scenario) -> None:
    """The program ends, its log has all, and the sleeper is told what it missed."""
    story.step("up -d busy")
    with story.engine.start("attach", "--no-stdin", "busy", cwd=story.directory) as sleeper:
        with Process("attach", "busy", typing=True) as client:
            assert sleeper.stdout is not None
            while not select.select([sleeper.stdout], [], [], 0.1)[0]:  # until it is there, too
                client.type(b"hello\n")
            client.type(b"go\n")
            assert client.end() == 0
        story.step("ps -a", eventually(state("busy", "exited")))
        log = story.engine.run("logs", "--no-log-prefix", "busy", cwd=story.directory).out
        assert len(log.removeprefix("hello\n" * log.count("hello"))) == 20_000_000 + len("\nall\n")
        got, told = sleeper.communicate(timeout=COMMAND_S)
        assert len(got) < len(log)
        assert "are not shown here" in told


def test_the_run_that_was_attached_to_is_the_one_that_counts_whatever_a_policy_begins_after_it(
    scenario: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine is killed, the program ends, and the next engine starts it again before anybody asks."""
    story = scenario(
        "services: {again: {image: rootfs:/, command: [bash, -c, 'read -r line; echo here; read -r line; exit 9'], stdin_open: true, restart: always}}"
    )
    for name, value in story.engine.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(story.directory)
    story.step("up -d")
    pid = story.engine.status()["pid"]
    (container,) = story.containers()
    state_file = Path(story.engine.root, "containers", container["ID"], "state.json")
    with Process("attach", "again", typing=True) as client:
        client.type(b"hello\n")
        client.until("here")
        os.kill(pid, signal.SIGSTOP)  # so that it hears nothing of the end
        client.type(b"go\n")
        story.check(eventually(lambda *_: "" if '"exited"' in state_file.read_text() else "it has not ended"))
        os.kill(pid, signal.SIGKILL)
        assert client.end() == 9
    story.step("ps", eventually(state("again", "running")))
