"""top, inspect, events, wait and kill -s with real containers: what they tell is what the containers do."""

import json
import signal
import time
from collections.abc import Callable

import pytest

from e2e.checks import containers, err, exit_code, out, state
from e2e.scenario import Scenario
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
STACK = """
services:
  trap:
    image: rootfs:/
    command: [bash, -c, "trap 'exit 7' RTMIN+1; echo ready; while :; do sleep 0.05; done"]
    healthcheck: {test: [CMD, "true"], start_interval: 100ms, start_period: 10s}
    mem_limit: 64m
    stop_grace_period: 0s
  calm: {image: "rootfs:/", command: sleep 4321, user: "1234", stop_grace_period: 0s}
"""


def test_what_runs_is_shown_and_its_end_waited_for(scenario: Tell) -> None:
    story = scenario(STACK)
    begun = time.time()
    story.step("up -d --wait")
    story.step("exec -d calm sleep 1234")
    rows = [line.split(maxsplit=9) for line in story.step("top calm").out.splitlines()[1:]]
    assert {(row[0], row[2], row[9]) for row in rows} >= {
        ("calm", "1234", "sleep 4321"),
        ("calm", "1234", "sleep 1234"),
    }
    (trap,) = json.loads(story.step("inspect trap").out)
    health = trap["State"]["Health"]
    assert (trap["State"]["Status"], health["Status"], trap["HostConfig"]["Memory"]) == ("running", "healthy", 64 << 20)
    assert (health["FailingStreak"], health["Log"][0]["ExitCode"]) == (0, 0)
    assert story.step("inspect -f .State.Pid shop-trap-1").out == f"{trap['State']['Pid']}\n"
    story.step("kill -s RTMIN+99 trap", err("invalid signal: RTMIN+99"), code=1)
    story.step("kill -s RTMIN+1 trap")
    story.step("wait trap", out("shop-trap-1 exited with status code 7"), exit_code("trap", 7), code=7)
    story.step("top trap", out())
    story.step("wait --down-project trap", out("code 7"), containers(), code=7)
    told = [
        json.loads(line)
        for line in story.step(f"events --json --since {begun:.3f} --until {time.time():.3f} trap").out.splitlines()
    ]
    assert [each["action"] for each in told] == ["create", "start", "health_status", "kill", "die", "destroy"]
    assert told[3]["attributes"]["signal"] == str(int(signal.SIGRTMIN) + 1)
    assert told[4]["attributes"]["exitCode"] == "7"


def test_waiting_ends_with_the_last_of_those_that_run(scenario: Tell) -> None:
    story = scenario("""
services:
  early: {image: "rootfs:/", command: [bash, -c, "read -t 1 <> <(:); exit 3"], stop_grace_period: 0s}
  late: {image: "rootfs:/", command: [bash, -c, "read -t 2 <> <(:); exit 5"], stop_grace_period: 0s}
""")
    story.step("up -d")
    told = story.step("wait", state("late", "exited"), code=5).out
    assert told == "shop-early-1 exited with status code 3\nshop-late-1 exited with status code 5\n"
