"""Engines come, go and are killed; stacks, logs, ports and names go on. Told from outside, by commands."""

import contextlib
import ctypes
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.checks import containers, err, exit_code, health, out, page, state
from e2e.engine import Engine
from e2e.residue import processes, waiting
from e2e.scenario import Check, Scenario, eventually
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft", "program:busybox")]

Tell = Callable[..., Scenario]
STACK = """
services:
  count:
    image: rootfs:/
    command: [sh, -c, "n=0; while sleep 0.02; do n=$$((n + 1)); echo line $$n; done"]
    stop_grace_period: 0s
  web:
    image: rootfs:/
    command: [sh, -c, "echo hello > /tmp/index.html; exec busybox httpd -f -p 80 -h /tmp"]
    ports: ["8080:80"]
  short:
    image: rootfs:/
    command: [sh, -c, "while ! test -e /flags/end; do sleep 0.02; done; exit 7"]
    volumes: ["./flags:/flags"]
    stop_grace_period: 0s
"""
SYS_PIDFD_GETFD = 438  # the same on every machine: <asm-generic/unistd.h>
PAGE = "http://127.0.0.1:8080/"


def killed(story: Scenario) -> int:
    """SIGKILL the engine, and return its pid."""
    pid = int(story.engine.status()["pid"])
    os.kill(pid, signal.SIGKILL)
    return pid


def killed_slowly(story: Scenario) -> int:
    """The same, and its listening socket goes last, after the two who follow its logs have connected to it once more.

    The kernel closes a process's newest descriptors first, so this happens by itself when the machine is busy.
    """
    status = story.engine.status()
    pid, forkserver = int(status["pid"]), int(status["forkserver_pid"])
    with _listening_socket(pid) as listener:
        listener.settimeout(20)
        os.kill(forkserver, signal.SIGSTOP)  # no other engine until they are here
        try:
            os.kill(pid, signal.SIGKILL)
            with listener.accept()[0], listener.accept()[0]:
                listener.close()
        finally:
            os.kill(forkserver, signal.SIGCONT)
    return pid


def _listening_socket(pid: int) -> socket.socket:
    """A duplicate of the process's listening unix socket, by pidfd_getfd(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    process = os.pidfd_open(pid)
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            if not os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                continue
            fd = libc.syscall(SYS_PIDFD_GETFD, process, int(name), 0)
            assert fd >= 0, os.strerror(ctypes.get_errno())
            found = socket.socket(fileno=fd)
            if found.family == socket.AF_UNIX and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return found
            found.close()
    finally:
        os.close(process)
    raise AssertionError("it listens nowhere")


def another_engine(before: int) -> Check:
    """It was started again, by nobody's command."""

    def check(scenario: Scenario, _result: Any) -> str:
        status = scenario.engine.status()
        if status["state"] == "stopped":
            return "no engine runs"
        return "" if status["pid"] != before else "it is the same engine"

    return check


def runs(story: Scenario) -> dict[str, tuple[int, float]]:
    listed = story.engine.ask("/stacks/shop/containers")
    return {each["name"]: (each["pid"], each["started_at"]) for each in listed}


def whole(lines: list[str]) -> None:
    """`count` has lost no line and shown none twice."""
    assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]


def test_a_killed_engine_is_followed_by_another_that_adopts_everything(scenario: Tell) -> None:
    story = scenario(STACK)
    story.step("up -d", eventually(page(PAGE, "hello")))
    before = runs(story)
    for _ in range(3):
        pid = killed(story)
        story.check(page(PAGE, "hello"), eventually(another_engine(pid), within_s=10))
        assert runs(story) == before
    story.check(page(PAGE, "hello"))
    whole(story.logs("count").splitlines())


@pytest.mark.parametrize("when", ["while it runs", "and it ends before there is another"])
def test_an_exec_outlives_the_engine_that_started_it_and_its_code_is_told(scenario: Tell, when: str) -> None:
    story = scenario(STACK)
    story.step("up -d")
    argv = ["exec", "-T", "count", "sh", "-c", "echo begun; read word; echo $word; exit 42"]
    with story.engine.start(*argv, cwd=story.directory) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stdout.readline() == "begun\n"
        status = story.engine.status()
        if when == "while it runs":
            killed(story)
            story.check(eventually(another_engine(status["pid"]), within_s=10))
            said, _ = client.communicate("on\n", timeout=20)
        else:
            os.kill(status["forkserver_pid"], signal.SIGSTOP)  # it would start another engine at once
            killed(story)
            client.stdin.write("on\n")
            client.stdin.flush()
            assert client.stdout.readline() == "on\n"
            os.kill(status["forkserver_pid"], signal.SIGCONT)
            said, _ = client.communicate(timeout=20)
            said = f"on\n{said}"
        assert (said, client.returncode) == ("on\n", 42)


@pytest.mark.parametrize("kill", [killed, killed_slowly])
def test_whoever_follows_the_logs_goes_on_with_the_next_engine(scenario: Tell, kill: Callable[[Scenario], int]) -> None:
    story = scenario(STACK)
    commands = (["up", "--no-log-prefix", "count"], ["logs", "-f", "--no-log-prefix", "count"])
    with contextlib.ExitStack() as ends:
        followers = []
        for words in commands:
            followers.append(ends.enter_context(story.engine.start(*words, cwd=story.directory)))
            assert next(_reader(followers[-1])).startswith("line ")
        pid = kill(story)
        story.check(eventually(another_engine(pid)))
        last = int(story.logs("count").split()[-1])
        for follower in followers:
            numbers = [int(line.split()[1]) for line in itertools.takewhile(_before(last), _reader(follower))]
            assert numbers == sorted(set(numbers)), "none comes twice"
            assert numbers[-1] - numbers[0] - len(numbers) <= 2, "what was on its way from the dead engine, at most"
        up, logs = followers
        up.send_signal(signal.SIGINT)
        _, said = up.communicate(timeout=20)
        assert (up.returncode, "error" in said) == (130, False), said
        _, said = logs.communicate(timeout=20)
        assert (logs.returncode, said) == (0, ""), "it ends with what it follows"
    story.check(state("count", "exited"))


def _before(last: int) -> Callable[[str], bool]:
    return lambda line: int(line.split()[1]) <= last


def _reader(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    return (line.rstrip("\n") for line in process.stdout)


def test_a_command_whose_engine_dies_over_it_has_the_next_one_finish_it(tmp_path: Path, scenario: Tell) -> None:
    """And hears how that went: where asking twice does nothing twice, an engine's death is a delay, no error."""
    story = scenario(STACK)
    fault = tmp_path / "fault"
    story.engine.environment["ORCHESTR8_FAULT"] = f"@{fault}"
    for point, command in (
        ("before:StartContainer:shop-web-1", "up -d"),
        ("before:StopContainer:shop-web-1", "stop web"),
        ("after:StartContainer:shop-web-1", "start web"),
        ("after:RemoveContainer:shop-count-1", "down"),
    ):
        fault.write_text(point)
        story.step(command)
        assert not fault.exists(), f"{command} came by {point}"
        if command == "up -d":
            made = runs(story)
            story.step("up -d", page(PAGE, "hello"))
            assert runs(story) == made, "nothing was left to do"
    story.check(containers())


def test_what_ends_while_no_engine_looks_is_known_to_the_next(scenario: Tell) -> None:
    story = scenario(STACK)
    story.step("up -d", eventually(page(PAGE, "hello")))
    before = runs(story)
    story.step("engine stop", err("3 containers go on"), page(PAGE, "hello"))
    Path(story.directory, "flags/end").touch()
    _until(lambda: not os.path.exists(f"/proc/{before['shop-short-1'][0]}"))
    story.step("ps -a", out("Exited (7)"), state("short", "exited"), exit_code("short", 7), page(PAGE, "hello"))
    del before["shop-short-1"]
    assert runs(story) == before
    whole(story.logs("count").splitlines())


def test_the_death_of_engine_and_forkserver_together_is_mended_by_the_next_command(scenario: Tell) -> None:
    story = scenario(STACK)
    story.step("up -d", eventually(page(PAGE, "hello")))
    before = runs(story)
    status = story.engine.status()
    for name in ("forkserver_pid", "pid"):
        os.kill(status[name], signal.SIGKILL)
    story.check(page(PAGE, "hello"))
    story.step("ps", state("web", "running"))
    assert runs(story) == before


def test_a_command_right_after_a_crash_leaves_one_engine_and_one_forkserver(scenario: Tell) -> None:
    """The command and the forkserver both start an engine: one of the two gives way, and its forkserver with it."""
    story = scenario(STACK)
    story.step("up -d count")
    _until(lambda: counted(story)[1])
    steady, _ = counted(story)
    for _ in range(3):
        killed(story)
        story.step("ps", out("shop-count-1"))
        _until(lambda: counted(story)[0] == steady and counted(story)[1])


def counted(story: Any) -> tuple[int, int]:
    """Processes of the engine and its containers; and of those which wait for the next start, that come and go."""
    found = processes(story.engine.root, story.engine.instance)
    coming = sum(map(waiting, found))
    return len(found) - coming, coming


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)  # between two looks


def test_names_are_resolved_after_a_crash_and_a_question_waits_for_the_next_engine(scenario: Tell) -> None:
    asking = "import socket; print(socket.gethostbyname('web'))"
    story = scenario("""
services:
  web: {image: "rootfs:/", command: sleep infinity, stop_grace_period: 0s}
  client:
    image: rootfs:/
    command:
      - python3
      - -c
      - |
        import socket, time, sys
        while True:
            print(socket.gethostbyname("web"), flush=True)
            time.sleep(0.01)
    stop_grace_period: 0s
    depends_on: [web]
""")
    story.step("up -d", eventually(lambda scenario, _: "" if scenario.logs("client") else "nothing resolved"))
    pid = killed(story)
    story.check(eventually(another_engine(pid)))
    address = story.step(f'exec client python3 -c "{asking}"').out
    story.check(state("client", "running"))
    assert set(story.logs("client").splitlines()) == {address.strip()}


def test_a_second_engine_on_a_root_is_refused(scenario: Tell) -> None:
    story = scenario(STACK)
    story.step("up -d count")
    words = [os.path.realpath("/proc/self/exe"), "-m", "orchestr8.engine", "--root", story.engine.root]
    import sys

    words[0] = sys.executable
    second = subprocess.run(
        words, env=story.engine.environment, capture_output=True, text=True, timeout=20, check=False
    )
    assert second.returncode == 1
    assert f"another engine (pid {story.engine.status()['pid']}) runs on {story.engine.root}" in second.stderr
    story.check(state("count", "running"))


def test_two_engines_side_by_side_do_not_see_each_other(scenario: Tell, tmp_path: Path) -> None:
    story = scenario(STACK)
    story.step("up -d count web", eventually(page(PAGE, "hello")))
    (tmp_path / "second").mkdir()
    with own_engine_beside(story.engine, str(tmp_path / "second")) as second:
        other = Scenario(second, story.directory)
        other.step("up -d count", containers("shop-count-1"))
        other.step("up -d web", err("8080", "in use", "process"), code=1)
        assert second.stacks() == ["shop"]
        pid = int(second.status()["pid"])
        story.step("engine stop")
        other.check(state("count", "running"))
        assert second.status()["pid"] == pid
        other.step("down -v", containers())
        story.step("ps", state("count", "running"), page(PAGE, "hello"))
    story.check(state("count", "running"), page(PAGE, "hello"))


@contextlib.contextmanager
def own_engine_beside(first: Engine, directory: str) -> Iterator[Engine]:
    """In the same network namespace: what is left in it may be the first one's."""
    second = Engine(directory)
    try:
        yield second
    finally:
        left = [each for each in second.close() if not each.startswith(("link:", "nft:", "engine.log:"))]
        assert not left, left
    assert first.instance != second.instance


def test_what_fills_the_disk_can_be_stopped_and_removed(scenario: Tell) -> None:
    """Every command is stored before it is begun, and there is room for that whatever containers write."""
    story = scenario("""
services:
  greedy: {image: "rootfs:/", command: [sh, -c, "trap '' TERM; cat /dev/zero > /filler; sleep infinity"], stop_grace_period: 0s}
  other: {image: "rootfs:/", command: sleep infinity, stop_grace_period: 0s}
""")
    root = story.engine.root
    os.makedirs(root)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "small", root], check=True)
    try:
        story.step("up -d")
        story.check(eventually(lambda *_: "there is room" if os.statvfs(root).f_bavail else "", within_s=30))
        story.step("stop greedy", state("greedy", "exited"), state("other", "running"))
        story.step("ps -a", out("Exited (137)"))
        story.step("start greedy", state("greedy", "running"))
        story.step("down")
        assert os.statvfs(root).f_bavail > 0
        story.step("engine stop")
    finally:
        subprocess.run(["umount", "-l", root], check=True)


def test_who_may_not_ask_the_engine_hears_that_and_not_that_none_runs(scenario: Tell) -> None:
    story = scenario(STACK)
    story.step("engine start")
    told = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-m", "orchestr8", "version"],
        env=story.engine.environment, cwd="/", capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "engine    no permission to speak with the engine at /" in told.stdout, told.stderr


def test_an_engine_can_be_asked_started_stopped_and_read(scenario: Tell) -> None:
    story = scenario(STACK)
    story.step("engine status", out("not running"), code=1)
    story.step("engine logs", err("no engine has run"), code=1)
    story.step("engine start", err("engine running, pid"))
    story.step("up -d count")
    story.step("engine status", out("running", "stacks      1", "containers  1, 1 running", story.engine.root))
    story.step("engine logs --tail 1", out("up shop: done"))
    with story.engine.start("engine", "logs", "-f") as follower:
        lines = _reader(follower)
        assert "started" in next(lines)
        story.step("stop")
        assert any("stop shop: done" in line for line in lines)
        story.step("engine stop --containers", err("engine stopped"))
        assert "stopp" in follower.communicate(timeout=20)[0]
    story.step("engine stop", err("no engine runs"))
    story.step("engine logs --tail 1", out("engine ended"))
    story.step("ps -a", containers())


def test_an_engine_that_is_told_to_end_in_the_midst_of_an_up_is_followed_by_one_that_ends_it(scenario: Tell) -> None:
    story = scenario("""
services:
  slow:
    image: rootfs:/
    command: sleep infinity
    stop_grace_period: 0s
    healthcheck: {test: [CMD, test, -e, /flags/healthy], start_interval: 50ms, start_period: 60s, interval: 50ms}
    volumes: ["./flags:/flags"]
  last:
    image: rootfs:/
    command: sleep infinity
    stop_grace_period: 0s
    depends_on: {slow: {condition: service_healthy}}
""")
    with story.engine.start("up", "-d", cwd=story.directory) as up:
        assert up.stderr is not None
        while "Waiting" not in up.stderr.readline():
            pass
        story.step("engine stop")
        assert "the next one goes on with this" in up.communicate(timeout=20)[1]
    Path(story.directory, "flags/healthy").touch()
    story.step("ps -a", eventually(state("last", "running")), state("slow", "running"))


def test_health_is_what_it_was_for_the_engine_that_comes_next(scenario: Tell) -> None:
    story = scenario("""
services:
  well:
    image: rootfs:/
    command: sleep infinity
    stop_grace_period: 0s
    healthcheck: {test: [CMD, test, -e, /flags/well], interval: 1h, start_period: 1h, start_interval: 50ms, retries: 3}
    volumes: ["./flags:/flags"]
  ill:
    image: rootfs:/
    command: sleep infinity
    stop_grace_period: 0s
    healthcheck: {test: [CMD, test, -e, /flags/never], interval: 50ms, retries: 2, timeout: 1h}
    volumes: ["./flags:/flags"]
""")
    flag = Path(story.directory, "flags/well")
    flag.parent.mkdir()
    flag.touch()
    story.step("up -d", eventually(health("well", "healthy")), eventually(health("ill", "unhealthy")))
    flag.unlink()  # the one probe that an engine makes when it comes fails, which is one of three
    story.step("engine stop")
    story.step("ps", health("well", "healthy"), health("ill", "unhealthy"))
    killed(story)
    story.step("ps", health("well", "healthy"), health("ill", "unhealthy"))
    story.step("restart well", health("well", "starting"))


def test_an_engine_that_was_just_killed_can_be_told_to_end(scenario: Tell) -> None:
    """Else the next one would be there a second after the user has seen that there is none."""
    story = scenario(STACK)
    story.step("up -d count")
    story.step("down")
    killed(story)
    story.step("engine stop", err("engine stopped"))
    assert processes(story.engine.root, story.engine.instance) == []


def test_a_port_stays_taken_while_no_engine_runs(scenario: Tell) -> None:
    story = scenario(STACK)
    story.step("up -d web")
    story.step("engine stop")
    with pytest.raises(OSError, match="in use"), socket.create_server(("0.0.0.0", 8080)):
        pass
    story.step("stop web")
    with socket.create_server(("0.0.0.0", 8080)):
        pass
