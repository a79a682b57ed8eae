"""`pause` and `unpause` as a user sees them, through the engine's death too."""

import os
import signal
from collections.abc import Callable

import pytest

from e2e.checks import containers, err, exit_code, out, state
from e2e.scenario import Scenario, eventually
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
STACK = """
services:
  web:
    image: rootfs:/
    command: [bash, -c, "while :; do echo tick; sleep 0.05; done"]
    healthcheck: {test: "true", interval: 100ms, start_interval: 100ms, timeout: 30s, retries: 1}
    stop_grace_period: 5s
  other: {image: "rootfs:/", command: sleep infinity, stop_grace_period: 0s}
"""


def test_a_paused_service_rests_is_seen_as_such_and_goes_on(scenario: Tell) -> None:
    story = scenario(STACK)
    story.step("up -d --wait")
    story.step(
        "pause web", err("shop-web-1  Pausing", "shop-web-1  Paused"), state("web", "paused"), state("other", "running")
    )
    story.step("ps", out("(Paused)"))
    before = story.logs("web")
    story.step("exec web true", err("shop-web-1 is paused", "orchestr8 unpause"), code=125)
    story.step("up -d", err("shop-web-1  Running"), state("web", "paused"))
    os.kill(story.engine.status()["pid"], signal.SIGKILL)
    story.step("ps", eventually(state("web", "paused")))
    assert story.logs("web") == before
    story.step("pause web")  # it is
    story.step("unpause", err("shop-web-1  Unpaused"), state("web", "running"))
    story.step("exec web true")
    story.step(
        "ps", eventually(out("(healthy)")), lambda *_: "" if len(story.logs("web")) > len(before) else "no ticks"
    )
    story.step("unpause web")
    story.step("pause nosuch", err("no such service: nosuch"), code=1)


@pytest.mark.parametrize(("command", "code"), [("stop", 143), ("kill", 137), ("kill -s TERM", 143)])
def test_a_paused_service_can_be_ended(scenario: Tell, command: str, code: int) -> None:
    story = scenario(STACK)
    story.step("up -d")
    story.step("pause")
    story.step(f"{command} web", eventually(state("web", "exited")), exit_code("web", code))
    story.step("up -d", state("web", "running"))
    story.step("pause")
    story.step("restart web", state("web", "running"))
    story.step("pause")
    story.step("down")


@requires("cgroup_v2")
@pytest.mark.parametrize("with_engine", [False, True], ids=["the engine looks", "no engine looks"])
def test_one_that_is_killed_from_outside_is_started_again_and_runs(scenario: Tell, with_engine: bool) -> None:
    """On cgroup v2 a SIGKILL reaches what is frozen; the next run is made in the same group."""
    story = scenario(STACK.replace("    stop_grace_period: 5s", "    stop_grace_period: 5s\n    restart: always"))
    story.step("up -d --wait")
    story.step("pause web", state("web", "paused"))
    (seen,) = [each for each in story.engine.ask("/stacks/shop/containers") if each["service"] == "web"]
    before = story.logs("web")
    if with_engine:
        os.kill(story.engine.status()["pid"], signal.SIGKILL)
    os.kill(seen["pid"], signal.SIGKILL)
    story.step("ps", eventually(state("web", "running")))
    story.step("ps", eventually(lambda *_: "" if len(story.logs("web")) > len(before) else "it does not tick"))
    story.step("exec web true")
    story.step("down", containers())
