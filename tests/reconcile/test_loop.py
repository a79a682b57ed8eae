"""Commands and their waiting, from the outside: a reconciler over the fake backend in virtual time."""

import anyio
import pytest

from orchestr8.errors import InvalidInput, NotFound, OperationFailed
from orchestr8.model.backend import ProbeResult
from orchestr8.model.ids import StackName
from orchestr8.model.observed import ContainerState
from orchestr8.plan.plan import Plan
from orchestr8.plan.verbs import (
    plan_down,
    plan_kill,
    plan_restart,
)
from orchestr8.reconcile.report import PlanReport
from tests.reconcile.rigs import SHOP, rig
from tests.virtual_time import virtual_now
from tests.worlds import check, desired, name, needs, service

pytestmark = pytest.mark.anyio
ONE_SHOT = "service_completed_successfully"
RUNNING, EXITED, CREATED = ContainerState.RUNNING, ContainerState.EXITED, ContainerState.CREATED


def crashing(code: int = 1, after_s: float = 0.0) -> list[str]:
    return ["sh", "-c", f"sleep {after_s}; exit {code}"]


# --- up and down ----------------------------------------------------------------------------------------------------


async def test_up_tells_its_plan_and_every_step() -> None:
    shop = desired(web=service(depends_on=needs(db="service_healthy")), db=service(healthcheck=check()))
    async with rig() as it:
        await it.up(shop)
        assert isinstance(it.reports[0], PlanReport)
        assert it.reports[0].to_json()["steps"] == 6
        assert it.lines("shop_default") == ["Creating", "Created"]
        assert it.lines("shop-db-1") == ["Creating", "Created", "Starting", "Started", "Waiting", "Healthy"]
        assert it.lines("shop-web-1") == ["Creating", "Created", "Starting", "Started"]
        assert it.starts_of("shop-web-1") == [5.0]  # after the first probe, one interval after the start


async def test_a_stack_that_cannot_be_resumed_leaves_the_others_alone() -> None:
    def broken(_: object) -> Plan:
        raise KeyError("a bug")

    async with rig(resume={StackName("odd"): broken}) as it:
        await it.up(desired(web=service()))
        assert await it.states() == {"web": RUNNING}


async def test_up_again_has_nothing_to_do() -> None:
    shop = desired(web=service(depends_on=needs(db="service_healthy")), db=service(healthcheck=check()))
    async with rig() as it:
        await it.up(shop)
        it.reports.clear()
        assert (await it.up(shop)).empty
        assert it.lines("shop-web-1") == ["Running"]
        assert it.lines("shop-db-1") == ["Running"]


async def test_a_program_that_fails_at_once_fails_the_wait_for_it() -> None:
    async with rig() as it:
        with pytest.raises(OperationFailed, match=r"container shop-web-1 exited \(1\)"):
            await it.up(desired(web=service(command=crashing(after_s=0.2))), wait=True)


async def test_a_program_that_goes_on_for_a_moment_is_taken_for_running() -> None:
    async with rig() as it:
        began = virtual_now()
        await it.up(desired(web=service()), wait=True)
        assert it.lines("shop-web-1")[-2:] == ["Waiting", "Running"]
        assert round(virtual_now() - began, 3) == 0.5
        await it.up(desired(web=service()), wait=True)  # it has run for long enough
        assert round(virtual_now() - began, 3) == 0.5


async def test_an_image_that_is_missing_leaves_what_runs_alone() -> None:
    async with rig() as it:
        await it.up(desired(web=service()))
        it.reports.clear()
        it.backend.missing_images.add("rootfs:/wrong")
        with pytest.raises(NotFound, match="image rootfs:/wrong"):
            await it.up(desired(web=service(image="rootfs:/wrong")))
        assert it.reports == []
        assert await it.states() == {"web": RUNNING}


async def test_down_leaves_nothing() -> None:
    shop = desired(web=service(depends_on=needs("db")), db=service())
    async with rig() as it:
        await it.up(shop)
        await it.run(lambda seen: plan_down(shop, seen), preempt=True)
        seen = await it.backend.observe()
        assert (seen.containers, seen.networks) == ({}, {})
        assert it.lines("shop-web-1")[-4:] == ["Stopping", "Stopped", "Removing", "Removed"]
        stops = [each for each in it.backend.applied if each.startswith("Stop")]
        assert stops == ["StopContainer shop-web-1", "StopContainer shop-db-1"]


async def test_a_refused_plan_touches_nothing() -> None:
    shop = desired(web=service(depends_on=needs(db="service_healthy")), db=service())
    async with rig() as it:
        with pytest.raises(InvalidInput):
            await it.up(shop)
        assert it.backend.applied == []


async def test_restart_waits_for_health_again() -> None:
    shop = desired(web=service(depends_on=needs(db="service_healthy")), db=service(healthcheck=check()))
    async with rig() as it:
        await it.up(shop)
        await it.run(lambda seen: plan_restart(shop, seen))
        assert it.starts_of("shop-db-1") == [0.0, 5.0]
        assert it.starts_of("shop-web-1") == [5.0, 10.0]


# --- conditions -----------------------------------------------------------------------------------------------------


async def test_a_job_is_waited_for() -> None:
    shop = desired(web=service(depends_on=needs(migrate=ONE_SHOT)), migrate=service(command=crashing(0, 7)))
    async with rig() as it:
        await it.up(shop)
        assert it.starts_of("shop-web-1") == [7.0]
        assert it.lines("shop-migrate-1")[-2:] == ["Waiting", "Completed"]


async def test_a_failed_job_fails_what_waits_for_it() -> None:
    shop = desired(
        web=service(depends_on=needs(migrate=ONE_SHOT)), migrate=service(command=crashing(3)), mail=service()
    )
    async with rig() as it:
        with pytest.raises(OperationFailed) as caught:
            await it.up(shop)
        assert caught.value.message == 'service "migrate" didn\'t complete successfully: exit 3'
        assert caught.value.helps == ["see why: orchestr8 logs migrate"]
        assert await it.states() == {"web": CREATED, "migrate": EXITED, "mail": RUNNING}
        assert it.lines("shop-web-1") == ["Creating", "Created", "Skipped"]
        assert it.lines("shop-migrate-1")[-2:] == ["Waiting", "Error"]


async def test_an_exit_before_health_fails_at_once() -> None:
    shop = desired(
        web=service(depends_on=needs(db="service_healthy")), db=service(command=crashing(1, 2), healthcheck=check())
    )
    async with rig() as it:
        with pytest.raises(OperationFailed, match=r"^dependency failed to start: container shop-db-1 exited \(1\)$"):
            await it.up(shop)
        assert anyio.current_time() == 2.0


async def test_an_unhealthy_dependency_tells_its_check_and_last_output() -> None:
    shop = desired(
        web=service(depends_on=needs(db="service_healthy")), db=service(healthcheck=check("pg_isready", retries=2))
    )
    async with rig() as it:
        it.backend.probes[name("db")] = [ProbeResult(exit_code=2, output="no response\n")]
        with pytest.raises(OperationFailed) as caught:
            await it.up(shop)
        assert caught.value.message == "dependency failed to start: container shop-db-1 is unhealthy"
        assert caught.value.notes == [
            "check: CMD-SHELL pg_isready",
            "last result: exit code 2, 2 of 2 tries failed",
            "last output: no response",
        ]
        assert anyio.current_time() == 10.0
        assert (await it.see("web")).state is CREATED


async def test_an_optional_dependency_only_warns() -> None:
    optional = {"condition": ONE_SHOT, "required": False}
    shop = desired(web=service(depends_on=needs(warm=optional)), warm=service(command=crashing(9)))
    async with rig() as it:
        await it.up(shop)
        assert it.warnings() == [
            'optional dependency "warm" failed to start: service "warm" didn\'t complete successfully: exit 9'
        ]
        assert (await it.see("web")).state is RUNNING


async def test_an_optional_dependency_that_cannot_be_made_only_warns() -> None:
    optional = {"condition": "service_started", "required": False}
    shop = desired(web=service(depends_on=needs(cache=optional)), cache=service())
    async with rig() as it:
        it.backend.failures["CreateContainer shop-cache-1"] = OperationFailed("no space left")
        with pytest.raises(OperationFailed, match="no space left"):
            await it.up(shop)
        assert it.warnings() == ['optional dependency "cache" failed to start: no space left']
        assert (await it.see("web")).state is RUNNING


async def test_a_crashing_dependency_with_a_restart_policy_is_waited_for() -> None:
    shop = desired(
        web=service(depends_on=needs(db="service_healthy")),
        db=service(command=crashing(1, 3), restart="always", healthcheck=check(interval="2s")),
    )
    async with rig() as it:
        it.backend.probes[name("db")] = [ProbeResult(exit_code=1, output=""), ProbeResult(exit_code=0, output="")]
        await it.up(shop)
        assert it.starts_of("shop-db-1") == [0.0, 3.1]
        assert it.starts_of("shop-web-1") == [5.1]


async def test_wait_succeeds_for_a_job_that_ends_well() -> None:
    shop = desired(web=service(healthcheck=check()), job=service(command=crashing(0)))
    async with rig() as it:
        await it.up(shop, wait=True)
        assert anyio.current_time() == 5.0
        assert it.lines("shop-job-1")[-2:] == ["Waiting", "Running"]


async def test_wait_has_a_time_out() -> None:
    shop = desired(web=service(healthcheck=check()))
    async with rig() as it:
        with pytest.raises(OperationFailed) as caught:
            await it.up(shop, wait=True, wait_timeout_s=3)
        assert caught.value.message == "application not healthy after 3s"
        assert caught.value.notes == [
            "container shop-web-1: running (starting), waited for it to be healthy",
            "check: CMD-SHELL true",
            "it has not been run yet",
        ]
        assert anyio.current_time() == 3.0


async def test_a_kill_fails_who_waits_for_the_container() -> None:
    shop = desired(web=service(healthcheck=check(interval="60s")))
    async with rig() as it:
        outcome = it.begin(lambda: it.up(shop, wait=True))
        await anyio.sleep(1)
        kill = plan_kill(shop, await it.backend.observe(SHOP))
        await it.run(lambda _: kill, beside=True)
        await anyio.sleep(1)
        assert str(outcome.error) == "dependency failed to start: container shop-web-1 exited (137)"
