"""Redis keeps what it was told through kills, restarts and re-creation, in both kinds of user namespace."""

from collections.abc import Callable

import pytest

from e2e.checks import containers, exit_code, health, log, out, state
from e2e.programs.checks import confined, kill_main, nothing_left
from e2e.scenario import Scenario
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
CLIENT = "run --rm -T client redis-cli -h redis"
READY = "Ready to accept connections"


@pytest.mark.parametrize("userns", ["host", "private"])
def test_redis_keeps_its_values(program: Tell, userns: str) -> None:
    story = program("redis", USERNS_MODE=userns)
    story.step(
        "up -d --wait",
        health("redis", "healthy"),
        log("redis", READY),
        confined("redis", user="redis", memory_bytes=96 << 20, pids=32),
    )
    story.step(f"{CLIENT} set visits 41", out("OK"))
    story.step(f"{CLIENT} incr visits", out("42"))
    story.step(f"{CLIENT} bgsave", out("Background saving started"))  # a fork that writes the volume

    story.step("restart redis")  # saves when it is told to end
    story.step("up -d --wait", log("redis", "User requested shutdown", "DB saved on disk", READY))
    story.step(f"{CLIENT} get visits", out("42"))

    story.step(f"{CLIENT} set visits 43", out("OK"))
    story.step(f"{CLIENT} save", out("OK"))
    kill_main(story, "redis")
    story.step(f"{CLIENT} get visits", out("43"))

    story.step("up -d --wait --force-recreate")
    story.step(f"{CLIENT} get visits", out("43"))
    story.step("stop", state("redis", "exited"), exit_code("redis", 0))
    story.step("down", containers())
    story.step("up -d --wait")
    story.step(f"{CLIENT} get visits", out("43"))
    story.step("down -v", containers(), nothing_left)


def test_redis_refuses_what_is_over_its_own_limit(program: Tell) -> None:
    story = program("redis")
    story.step("up -d --wait")
    story.step(f"{CLIENT} setrange big {60 << 20} x", out(str((60 << 20) + 1)))
    story.step(f"{CLIENT} set other 1", out("OOM command not allowed"))
    story.step(f"{CLIENT} del big", out("1"))
    story.step(f"{CLIENT} set other 1", out("OK"))
    story.step("down -v", containers(), nothing_left)
