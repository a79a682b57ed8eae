"""Fifty containers through the deaths of those who look after them; and many lives of one, after which all is as before."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import leaks
from e2e.checks import containers
from e2e.scenario import Check, Scenario, eventually
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft", "program:busybox")]

Tell = Callable[..., Scenario]
MANY = 50
ENDING = 7  # of them
CYCLES = 12
STACK = f"""
services:
  count:
    image: "rootfs:IMAGE"
    command: [sh, -c, "n=1; echo line 1; while sleep 0.1; do n=$$((n + 1)); echo line $$n; done"]
    deploy: {{replicas: {MANY - ENDING}}}
    stop_grace_period: 0s
  short:
    image: "rootfs:IMAGE"
    command: [sh, -c, "n=1; echo line 1; until test -e /flags/end; do sleep 0.1; n=$$((n + 1)); echo line $$n; done; echo line $$((n + 1)); exit 7"]
    deploy: {{replicas: {ENDING}}}
    volumes: ["./flags:/flags"]
    restart: "no"
    stop_grace_period: 0s
"""


def test_fifty_containers_outlive_their_engine_and_are_adopted(scenario: Tell, fresh_image: str) -> None:
    """SIGKILL, and while no engine is there some of them end: none is lost, no line either, and ends are known."""
    story = scenario(STACK.replace("IMAGE", fresh_image))
    Path(story.directory, "flags").mkdir()
    story.step("up -d")
    before = listed(story)
    assert len(before) == MANY
    status = story.engine.status()
    os.kill(status["forkserver_pid"], signal.SIGSTOP)  # it would start another engine at once
    try:
        os.kill(status["pid"], signal.SIGKILL)
        Path(story.directory, "flags/end").touch()
        shorts = [pid for name, (_, pid, _) in before.items() if "short" in name]
        story.check(eventually(sees(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in shorts), "none ends")))
    finally:
        os.kill(status["forkserver_pid"], signal.SIGCONT)
    story.check(
        eventually(sees(lambda: story.engine.status().get("pid", 0) not in {0, status["pid"]}, "no other engine"))
    )
    after = listed(story)
    assert {name: each for name, each in after.items() if "count" in name} == {
        name: each for name, each in before.items() if "count" in name
    }
    ended = story.engine.ask("/stacks/shop/containers", all=1, service="short")
    assert [(each["state"], each["exit_code"]) for each in ended] == [("exited", 7)] * ENDING
    logs: dict[str, list[str]] = {}
    for line in story.run("logs").out.splitlines():
        name, _, text = line.partition("|")
        logs.setdefault(f"shop-{name.strip()}", []).append(text.strip())
    assert logs.keys() == before.keys()
    for lines in logs.values():
        assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
    story.step("down", containers())


def sees(look: Callable[[], bool], otherwise: str) -> Check:
    return lambda _scenario, _result: "" if look() else otherwise


def listed(story: Scenario) -> dict[str, tuple[str, int, float]]:
    """Those that run."""
    found = story.engine.ask("/stacks/shop/containers")
    return {each["name"]: (each["id"], each["pid"], each["started_at"]) for each in found if each["state"] == "running"}


def test_many_lives_leave_nothing_behind(scenario: Tell, fresh_image: str) -> None:
    """Created, started, killed, deleted: with a network, a port, a volume, an exec. `bench leaks` does more of it."""
    story = scenario(f"""
services:
  web:
    image: "rootfs:{fresh_image}"
    command: [sh, -c, "trap '' TERM; sleep 1000 & sleep 1000"]
    ports: ["8080:80"]
    volumes: ["data:/data", /scratch]
    healthcheck: {{test: [CMD, "true"], start_interval: 10ms, start_period: 10s}}
    stop_grace_period: 0s
volumes: {{data: }}
""")

    def live() -> None:
        story.step("up -d --wait")
        story.step("kill web")
        story.step("down -v", containers())

    for _ in range(leaks.WARM_UP_CYCLES):
        live()
    before = leaks.settled(story.engine)
    for _ in range(CYCLES):
        live()
    assert leaks.leaked(before, leaks.settled(story.engine)) == {}
