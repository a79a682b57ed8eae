import dataclasses

import anyio
import pytest

from orchestr8.backends.memory import MemoryBackend
from orchestr8.errors import Conflict, OperationFailed
from orchestr8.model.backend import ProbeResult
from orchestr8.model.events import EventKind
from orchestr8.model.ids import ContainerId, ContainerName
from orchestr8.model.observed import ContainerState, Health, ObservedContainer
from orchestr8.model.records import HealthRecord
from orchestr8.model.specs import HealthcheckSpec
from orchestr8.plan.verbs import plan_restart
from orchestr8.reconcile.health import HealthMonitor, HealthState, probe_argv
from tests.reconcile.rigs import rig
from tests.virtual_time import virtual_now
from tests.worlds import check, desired, name, names, service

SPEC = HealthcheckSpec(test=("CMD-SHELL", "curl localhost"), interval_s=10, retries=2)
SLOW_START = dataclasses.replace(SPEC, start_period_s=60, start_interval_s=1)
GOOD, BAD = ProbeResult(exit_code=0, output="ok"), ProbeResult(exit_code=1, output="down\n")
TIMED_OUT = ProbeResult(exit_code=None, output="")


def after(spec: HealthcheckSpec, *results: tuple[ProbeResult, float]) -> HealthState:
    state = HealthState(spec)
    for result, age_s in results:
        state.record(result, age_s)
    return state


# --- the rules ----------------------------------------------------------------------------------------------------


def test_one_success_is_enough() -> None:
    assert after(SPEC, (GOOD, 10)).status is Health.HEALTHY


def test_failures_count_up_to_the_retries() -> None:
    assert after(SPEC, (BAD, 10)).status is Health.STARTING
    assert after(SPEC, (BAD, 10), (BAD, 20)).status is Health.UNHEALTHY
    assert after(SPEC, (GOOD, 10), (BAD, 20)).status is Health.HEALTHY
    assert after(SPEC, (GOOD, 10), (BAD, 20), (BAD, 30)).status is Health.UNHEALTHY


def test_a_success_ends_every_streak() -> None:
    state = after(SPEC, (BAD, 10), (GOOD, 20), (BAD, 30))
    assert (state.status, state.failing_streak) == (Health.HEALTHY, 1)
    assert after(SPEC, (BAD, 10), (BAD, 20), (GOOD, 30)).status is Health.HEALTHY


def test_failures_within_the_start_period_do_not_count() -> None:
    assert after(SLOW_START, (BAD, 10), (BAD, 20), (BAD, 59.9)).failing_streak == 0
    assert after(SLOW_START, (BAD, 60), (BAD, 70)).status is Health.UNHEALTHY


def test_failures_after_a_success_count_even_within_the_start_period() -> None:
    assert after(SLOW_START, (GOOD, 1), (BAD, 2), (BAD, 3)).status is Health.UNHEALTHY


def test_probes_come_quicker_while_starting_within_the_start_period() -> None:
    state = HealthState(SLOW_START)
    assert (state.pause_s(0), state.pause_s(59.9), state.pause_s(60)) == (1, 1, 10)
    state.record(GOOD, 1)
    assert state.pause_s(2) == 10
    assert HealthState(SPEC).pause_s(0) == 10


def test_a_time_out_is_a_failure() -> None:
    state = after(SPEC, (TIMED_OUT, 10), (TIMED_OUT, 20))
    assert state.status is Health.UNHEALTHY
    assert state.explain() == ["check: CMD-SHELL curl localhost", "last result: timed out, 2 of 2 tries failed"]


def test_five_results_are_kept() -> None:
    assert len(after(SPEC, *[(GOOD, float(age)) for age in range(9)]).results) == 5


def test_an_explanation_has_the_check_its_result_and_its_output() -> None:
    assert after(SPEC, (BAD, 10)).explain() == [
        "check: CMD-SHELL curl localhost",
        "last result: exit code 1, 1 of 2 tries failed",
        "last output: down",
    ]


def test_a_shell_check_runs_in_a_shell() -> None:
    assert probe_argv(SPEC) == ("/bin/sh", "-c", "curl localhost")
    assert probe_argv(HealthcheckSpec(test=("CMD", "curl", "-f", "x"))) == ("curl", "-f", "x")


# --- the monitor --------------------------------------------------------------------------------------------------


class Probes(MemoryBackend):
    """Tells when it was asked; answers with `results` in turn, after `lasts_s`."""

    def __init__(self, results: list[ProbeResult | Exception], lasts_s: float = 0.0) -> None:
        super().__init__(now=virtual_now)
        self.results = results
        self.lasts_s = lasts_s
        self.asked: list[float] = []

    async def probe(self, container: str, argv: tuple[str, ...], timeout_s: float) -> ProbeResult:  # type: ignore[override]
        self.asked.append(anyio.current_time())
        await anyio.sleep(self.lasts_s)
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, Exception):
            raise result
        return result


def running(started_at: float = 1.0) -> ObservedContainer:
    return ObservedContainer(
        id=ContainerId("0" * 12),
        name=name("web"),
        stack="shop",  # type: ignore[arg-type]
        service=names("web")[0],
        number=1,
        image="rootfs:/",
        state=ContainerState.RUNNING,
        started_at=started_at,
    )


async def watch(backend: Probes, spec: HealthcheckSpec, seconds: float, *, at_once: bool = False) -> list[str]:
    changes: list[str] = []
    monitor = HealthMonitor(backend, lambda _, health: changes.append(f"{anyio.current_time():g} {health}"))
    async with anyio.create_task_group() as tasks:
        monitor.watch(running(), spec, tasks, at_once=at_once)
        monitor.watch(running(), spec, tasks)  # the same run again: nothing new
        await anyio.sleep(seconds)
        monitor.forget(name("web"))
    return changes


@pytest.mark.anyio
async def test_the_first_probe_comes_after_one_interval() -> None:
    backend = Probes([GOOD])
    assert await watch(backend, SPEC, 25) == ["10 healthy"]
    assert backend.asked == [10, 20]


@pytest.mark.anyio
async def test_an_interval_counts_from_the_end_of_a_probe() -> None:
    backend = Probes([GOOD], lasts_s=3)
    await watch(backend, SPEC, 40)
    assert backend.asked == [10, 23, 36]


@pytest.mark.anyio
async def test_within_the_start_period_the_first_success_comes_soon() -> None:
    backend = Probes([BAD, BAD, GOOD])
    assert await watch(backend, SLOW_START, 15) == ["3 healthy"]
    assert backend.asked == [1, 2, 3, 13]


@pytest.mark.anyio
async def test_a_probe_that_cannot_run_is_a_failed_one() -> None:
    backend = Probes([Conflict("container shop-web-1 is not running")])
    assert await watch(backend, SPEC, 25) == ["20 unhealthy"]


@pytest.mark.anyio
async def test_what_was_adopted_is_probed_at_once() -> None:
    backend = Probes([GOOD])
    assert await watch(backend, SPEC, 5, at_once=True) == ["0 healthy"]


class Kept:
    """What an engine remembers, without its file."""

    def __init__(self, *, full: bool = False) -> None:
        self.health: dict[ContainerName, HealthRecord] = {}
        self.full = full
        self.writes = 0

    async def save(self, record: HealthRecord) -> None:
        if self.full:
            raise OperationFailed("no space left")
        self.writes += 1
        self.health[record.name] = record


async def watch_and_keep(backend: Probes, kept: Kept, container: ObservedContainer, seconds: float) -> HealthMonitor:
    monitor = HealthMonitor(backend, lambda *_: None, kept)
    async with anyio.create_task_group() as tasks:
        monitor.watch(container, SPEC, tasks)
        await anyio.sleep(seconds)
        tasks.cancel_scope.cancel()
    return monitor


@pytest.mark.anyio
async def test_what_is_known_of_a_run_is_known_to_the_next_monitor() -> None:
    kept = Kept()
    await watch_and_keep(Probes([GOOD, BAD]), kept, running(), 25)
    monitor = await watch_and_keep(Probes([BAD]), kept, running(), 0)
    assert monitor.health(running()) is Health.HEALTHY
    known = monitor.known(running())
    assert known is not None
    assert known.results == (GOOD, BAD)
    assert [each.ended_at > 0 for each in known.results] == [True, True]
    assert (await watch_and_keep(Probes([BAD]), kept, running(started_at=2.0), 0)).known(running()) == known, "stopped"
    monitor = await watch_and_keep(Probes([BAD]), kept, running(), 15)
    assert monitor.health(running()) is Health.UNHEALTHY
    assert monitor.explain(name("web"))[1] == "last result: exit code 1, 2 of 2 tries failed"


@pytest.mark.anyio
async def test_another_run_is_another_matter() -> None:
    kept = Kept()
    await watch_and_keep(Probes([GOOD]), kept, running(), 15)
    again = running(started_at=2.0)
    assert (await watch_and_keep(Probes([BAD]), kept, again, 0)).health(again) is Health.STARTING


@pytest.mark.anyio
async def test_only_what_changed_is_written_and_a_full_disk_keeps_nobody_from_probing() -> None:
    kept = Kept()
    await watch_and_keep(Probes([GOOD]), kept, running(), 100)
    assert kept.writes == 1
    backend = Probes([GOOD, BAD])
    monitor = await watch_and_keep(backend, Kept(full=True), running(), 35)
    assert (len(backend.asked), monitor.health(running())) == (3, Health.UNHEALTHY)


@pytest.mark.anyio
async def test_a_restart_begins_anew_and_events_tell_each_change() -> None:
    shop = desired(web=service(healthcheck=check(interval="10s", retries=1)))
    async with rig() as it:
        await it.up(shop)
        await anyio.sleep(10.5)
        assert (await it.see("web")).health is Health.HEALTHY
        await it.run(lambda seen: plan_restart(shop, seen))
        assert (await it.see("web")).health is Health.STARTING
        it.backend.probes[name("web")] = [BAD]
        await anyio.sleep(10.5)
        assert (await it.see("web")).health is Health.UNHEALTHY
        told = [each.attributes["status"] for each in it.events if each.kind is EventKind.HEALTH]
        assert told == ["healthy", "unhealthy"]


@pytest.mark.anyio
async def test_a_container_that_does_not_run_or_has_no_check_has_no_health() -> None:
    async with rig() as it:
        await it.up(desired(web=service(), job=service(command=["true"], healthcheck=check())))
        await anyio.sleep(1)
        assert (await it.see("web")).health is None
        assert (await it.see("job")).health is None
