"""What runs when: restart policies, health, order, limits; on real programs, by the commands of a user."""

from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.checks import err, exit_code, health, log, out, state
from e2e.engine import Result
from e2e.scenario import Check, Scenario, eventually
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
IDLE = 'image: "rootfs:/", stop_grace_period: 0s'


def starts(service: str, number: int) -> Check:
    """The program of the service has begun so often."""

    def check(scenario: Scenario, _result: Result) -> str:
        found = scenario.logs(service).count("begun\n")
        return "" if found == number else f"{service} has begun {found} times, not {number}"

    return check


def more_starts(service: str, number: int) -> Check:
    def check(scenario: Scenario, _result: Result) -> str:
        found = scenario.logs(service).count("begun\n")
        return "" if found >= number else f"{service} has begun {found} times, not {number} or more"

    return check


def told_by_ps(*texts: str) -> Check:
    """All at one moment."""
    return lambda scenario, _: out(*texts)(scenario, scenario.run("ps"))


ENDING = f"""
services:
  always: {{{IDLE}, command: sh -c 'echo begun; exit 0', restart: always}}
  unless: {{{IDLE}, command: sh -c 'echo begun; exit 1', restart: unless-stopped}}
  failing: {{{IDLE}, command: sh -c 'echo begun; exit 1', restart: "on-failure:2"}}
  content: {{{IDLE}, command: sh -c 'echo begun; exit 0', restart: on-failure}}
  plain: {{{IDLE}, command: sh -c 'echo begun; exit 1'}}
"""


def test_each_restart_policy_does_as_it_says(scenario: Tell) -> None:
    story = scenario(ENDING)
    story.step("up -d", eventually(more_starts("always", 4)), eventually(more_starts("unless", 4)))
    story.check(
        eventually(starts("failing", 3)), starts("content", 1), starts("plain", 1),
        eventually(state("failing", "exited")), state("content", "exited"), state("plain", "exited"),
        exit_code("failing", 1), exit_code("content", 0), exit_code("plain", 1),
    )  # fmt: skip
    story.check(eventually(told_by_ps("Restarting (0)", "Restarting (1)")))
    story.step("stop", state("always", "exited"), state("unless", "exited"))
    assert "Restarting" not in story.step("ps -a", out("Exited (0)", "Exited (1)")).out, "a stop by hand holds"
    story.step("start failing", eventually(starts("failing", 6)))


def test_a_stop_by_hand_holds_until_the_engine_starts_anew_and_then_for_unless_stopped_only(scenario: Tell) -> None:
    story = scenario(f"""
services:
  always: {{{IDLE}, command: sleep infinity, restart: always}}
  unless: {{{IDLE}, command: sleep infinity, restart: unless-stopped}}
  killed: {{{IDLE}, command: sleep infinity, restart: unless-stopped}}
  plain: {{{IDLE}, command: sleep infinity}}
""")
    story.step("up -d")
    story.step("stop always unless plain")
    story.step("kill killed", eventually(state("killed", "exited")))
    story.step("engine stop")
    story.step("ps", eventually(state("always", "running")))
    story.check(state("unless", "exited"), state("killed", "exited"), state("plain", "exited"))


def test_who_needs_a_healthy_service_waits_for_its_health(scenario: Tell) -> None:
    story = scenario(f"""
services:
  db:
    {{{IDLE}, command: sleep infinity, volumes: ["./flags:/flags"], healthcheck:
      {{test: test -e /flags/healthy, start_period: 60s, start_interval: 50ms, interval: 50ms, retries: 2}}}}
  web: {{{IDLE}, command: sleep infinity, depends_on: {{db: {{condition: service_healthy}}}}}}
  optional: {{{IDLE}, command: "false"}}
  careless:
    {{{IDLE}, command: sleep infinity, depends_on: {{optional: {{condition: service_completed_successfully, required: false}}}}}}
""")
    with story.engine.start("up", "-d", cwd=story.directory) as up:
        story.check(eventually(state("db", "running")), health("db", "starting"))
        story.check(eventually(state("careless", "running")), state("web", "created"))
        Path(story.directory, "flags/healthy").touch()
        said = up.communicate(timeout=20)[1]
    assert up.returncode == 0
    assert 'optional dependency "optional" failed to start' in said
    story.check(state("web", "running"), health("db", "healthy"))
    Path(story.directory, "flags/healthy").unlink()
    story.check(eventually(health("db", "unhealthy")))
    story.step("restart db", health("db", "starting"))
    Path(story.directory, "flags/healthy").touch()
    story.check(eventually(health("db", "healthy")))


def test_a_failed_dependency_keeps_its_dependents_down_and_says_why(scenario: Tell) -> None:
    story = scenario(f"""
services:
  job: {{{IDLE}, command: sh -c 'exit 3'}}
  after: {{{IDLE}, command: sleep infinity, depends_on: {{job: {{condition: service_completed_successfully}}}}}}
  beside: {{{IDLE}, command: sleep infinity}}
""")
    said = story.step("up -d", err('service "job" didn\'t complete successfully: exit 3', "orchestr8 logs job"), code=1)
    assert said.out == ""
    story.check(state("after", "created"), state("beside", "running"), exit_code("job", 3))


def test_waiting_has_an_end(scenario: Tell) -> None:
    story = scenario(f"""
services:
  slow: {{{IDLE}, command: sleep infinity, healthcheck: {{test: "false", start_period: 60s, start_interval: 50ms}}}}
""")
    story.step("up -d --wait --wait-timeout 1", err("application not healthy after 1s", "slow"), code=1)
    story.check(state("slow", "running"), health("slow", "starting"))


def test_a_stack_stops_in_the_reverse_of_its_order_and_what_is_independent_at_once(scenario: Tell) -> None:
    """Each program writes down when it got the signal, and when it was done."""
    script = "trap 'echo $$NAME asked >> /log/order; sleep 0.3; echo $$NAME done >> /log/order; exit 0' TERM; sleep 1000 & wait"
    service = f"image: 'rootfs:/', command: [bash, -c, \"{script}\"], volumes: ['./log:/log']"
    story = scenario(f"""
services:
  db: {{{service}, environment: {{NAME: db}}}}
  api: {{{service}, environment: {{NAME: api}}, depends_on: [db]}}
  web: {{{service}, environment: {{NAME: web}}, depends_on: [api]}}
  one: {{{service}, environment: {{NAME: one}}, depends_on: [api]}}
""")
    story.step("up -d")
    story.step("stop")
    lines = Path(story.directory, "log/order").read_text().splitlines()
    assert lines[4:] == ["api asked", "api done", "db asked", "db done"]
    assert {*lines[:2]} == {"web asked", "one asked"}, "side by side"
    assert {*lines[2:4]} == {"web done", "one done"}


def test_the_signal_and_the_time_to_stop_are_the_services(scenario: Tell) -> None:
    waiting = "echo begun; sleep 1000 & while true; do wait; done"
    story = scenario(f"""
services:
  polite: {{image: "rootfs:/", command: [bash, -c, "trap 'exit 44' USR1; {waiting}"], stop_signal: SIGUSR1}}
  deaf: {{image: "rootfs:/", command: [bash, -c, "trap '' TERM; {waiting}"], stop_grace_period: 1s}}
  hasty: {{image: "rootfs:/", command: [bash, -c, "trap '' TERM; {waiting}"], stop_grace_period: 1h}}
""")
    story.step("up -d", *(eventually(starts(name, 1)) for name in ("polite", "deaf", "hasty")))
    story.step("stop polite deaf", exit_code("polite", 44), exit_code("deaf", 137))
    story.step("stop -t 0 hasty", exit_code("hasty", 137))
    story.step("start", eventually(starts("hasty", 2)))
    story.step("restart -t 0 hasty", eventually(starts("hasty", 3)))
    story.step("down -t 1")


def test_limits_hold_and_are_told(scenario: Tell) -> None:
    story = scenario(f"""
services:
  greedy:
    {{{IDLE}, mem_limit: 48m, command: [sh, -c, "python3 -c 'x = bytearray(300 << 20)'; echo ended $$?; exit 9"]}}
  whole: {{{IDLE}, mem_limit: 48m, command: [python3, -c, "x = bytearray(300 << 20)"]}}
  small: {{{IDLE}, mem_limit: 48m, cpus: 0.5, pids_limit: 30, command: sleep infinity}}
""")
    story.step("up -d", eventually(exit_code("whole", 137)), eventually(exit_code("greedy", 9)))
    story.check(log("greedy", "Killed", "ended 137"))
    found = {each["service"]: each for each in story.engine.ask("/stacks/shop/containers", all=1)}
    assert (found["whole"]["oom_killed"], found["greedy"]["oom_killed"], found["small"]["oom_killed"]) == (
        True,
        True,
        False,
    )
    said = story.step("exec small sh -c 'for n in $(seq 40); do sleep 9 & done; echo all'", code=2)
    assert "Cannot fork" in said.err
    group = _group(found["small"]["id"])
    assert group("memory.limit_in_bytes", "memory.max") == str(48 << 20)
    assert group("pids.max", "pids.max") == "30"
    quota = group("cpu.cfs_quota_us", "cpu.max").split()[0]
    assert quota == "50000"


def _group(container_id: str) -> Callable[[str, str], str]:
    """Reads a limit of the container's cgroup, by its v1 name or by its v2 name."""
    found = list(Path("/sys/fs/cgroup").glob(f"**/{container_id}"))

    def read(v1: str, v2: str) -> str:
        files = [place / name for place in found for name in (v1, v2) if (place / name).exists()]
        return files[0].read_text().strip()

    return read
