"""A JVM takes the limits of its container for those of the machine, and lives within them."""

import re
from collections.abc import Callable

import pytest

from e2e.checks import containers, exit_code, health, log, out, state
from e2e.programs.checks import confined, kill_main, nothing_left
from e2e.scenario import Scenario
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
CLIENT = "run --rm -T client curl --fail --silent --show-error"


def test_a_service_in_java_lives_within_its_container(program: Tell) -> None:
    story = program("java")
    story.step(
        "up -d --wait",
        health("service", "healthy"),
        log("service", "service: listening"),
        confined("service", user="java", memory_bytes=256 << 20, pids=64),
    )
    limits = story.step(f"{CLIENT} http://service:8080/limits", out("processors 1\n")).out
    heap = int(re.findall(r"heap (\d+) MiB", limits)[0])
    assert 100 <= heap <= 128  # a half of 256 MiB, but for a part that the collector keeps to itself
    filled = story.step(f"{CLIENT} http://service:8080/fill").out
    assert 50 <= int(re.findall(r"full after (\d+) MiB", filled)[0]) <= heap
    story.step(f"{CLIENT} http://service:8080/health", out("well"), health("service", "healthy"))

    # Tools find it, and may look inside.
    story.step("exec -T service jcmd launcher.Main GC.heap_info", out("eden space"))

    kill_main(story, "service")
    story.step(f"{CLIENT} http://service:8080/health", out("well"))

    # 143 is what a JVM ends with on SIGTERM once its hooks have run.
    story.step("stop", state("service", "exited"), exit_code("service", 143), log("service", "service: ended in order"))
    story.step("down -v", containers(), nothing_left)


def test_a_jvm_with_a_heap_that_its_container_has_no_room_for_is_ended_by_the_kernel(program: Tell) -> None:
    story = program("java")
    story.step(
        "run -T --name greedy service java -Xms512m -Xmx512m -XX:+AlwaysPreTouch -version",
        lambda told, _: out("(137)", "out of memory: 256M limit")(told, told.run("ps", "-a")),
        code=137,
    )
    story.step("down -v", containers(), nothing_left)
