"""A Node.js service ends in order, counts on through restarts, and comes back when it is killed."""

from collections.abc import Callable

import pytest

from e2e.checks import containers, exit_code, health, log, out, state
from e2e.programs.checks import confined, kill_main, nothing_left
from e2e.scenario import Scenario
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
CLIENT = "run --rm -T client curl --fail --silent --show-error"
LISTENING = "service: listening"


def test_a_service_in_node_counts_on(program: Tell) -> None:
    story = program("node")
    story.step(
        "up -d --wait",
        exit_code("prepare", 0),
        health("service", "healthy"),
        confined("service", user="node", memory_bytes=192 << 20, pids=32),
        log("service", f"{LISTENING}, 0 visitors"),
    )
    story.step(f"{CLIENT} http://service:3000/", out("visitor number 1\n"))
    kill_main(story, "service")
    story.step(f"{CLIENT} http://service:3000/", out("visitor number 2\n"))
    story.step("stop", state("service", "exited"), exit_code("service", 0), log("service", "service: ended in order"))
    story.step("down", containers())
    story.step("up -d --wait", log("service", f"{LISTENING}, 2 visitors"))
    story.step(f"{CLIENT} http://service:3000/", out("visitor number 3\n"))
    story.step("down -v", containers(), nothing_left)
