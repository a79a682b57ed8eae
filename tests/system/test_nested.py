"""An engine in a privileged container of another engine: what it makes works, and goes with it."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import orchestr8
from e2e.checks import exit_code, log, state
from e2e.pace import SLOW
from e2e.scenario import Scenario, eventually
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(orchestr8.__file__)))
STORY_S = 45.0 * SLOW  # for what is a dozen commands
INNER = """
services:
  web:
    image: rootfs:/
    command: [bash, -c, "echo $$(cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null); exec sleep infinity"]
    mem_limit: 64m
    pids_limit: 50
    stop_grace_period: 0s
    ports: ["127.0.0.1:8099:80"]
  asks:
    image: rootfs:/
    command: [bash, -c, "getent hosts web >/dev/null && echo asked"]
    depends_on: [web]
"""
# What the outer container's program does, a line for each thing that is then looked for in its log.
SCRIPT = """
cd /inner
engine="{python} -m orchestr8"
$engine up -d && echo up
until $engine ps -a | grep -q 'Exited (0)'; do sleep 0.1; done
$engine logs --no-log-prefix
$engine exec -T web sh -c 'echo inside $(hostname)' | cut -c1-6
kill -9 $($engine engine status --format json | {python} -c 'import json, sys; print(json.load(sys.stdin)["pid"])') && echo killed
until $engine ps -q | grep -q .; do sleep 0.1; done
$engine exec -T web echo went on
{last}
"""
DOWN = (
    '$engine down -v && $engine engine stop && test -z "$(ls /sys/class/net | grep -v lo | grep o8)" && echo all gone'
)


def outer(scenario: Tell, last: str) -> Scenario:
    story = scenario("services: {}")
    inner = Path(story.directory, "inner")
    inner.mkdir()
    (inner / "stack.yml").write_text(INNER)
    (inner / "script").write_text(SCRIPT.format(python=sys.executable, last=last))
    # The checkout and the interpreter's packages may lie where a container of the machine's own files has nothing.
    shown = {*map(os.path.realpath, (CHECKOUT, sys.prefix))}
    return scenario(f"""
services:
  outer:
    image: rootfs:/
    privileged: true
    command: bash /inner/script
    environment: {{ORCHESTR8_ROOT: /var/lib/o8, PYTHONPATH: {CHECKOUT}, PYTHONDONTWRITEBYTECODE: "1"}}
    stop_grace_period: 0s
    volumes: [./inner:/inner, "state:/var/lib/o8", {", ".join(f'"{each}:{each}:ro"' for each in sorted(shown))}]
volumes: {{state: }}
""")


def test_an_engine_in_a_privileged_container_does_all_that_one_outside_does(scenario: Tell) -> None:
    story = outer(scenario, DOWN)
    story.step("up -d", eventually(state("outer", "exited"), STORY_S))
    story.step("ps -a", exit_code("outer", 0))
    story.step("ps", log("outer", "up\n", "67108864\n", "asked\n", "inside\n", "killed\n", "went on\n", "all gone\n"))


def test_it_goes_with_its_container_and_all_that_it_has_made(scenario: Tell) -> None:
    story = outer(scenario, "echo left; exec sleep infinity")
    story.step("up -d", eventually(log("outer", "left\n"), STORY_S))
    story.step("down -v")  # what is left of it would be found at the end of each test
