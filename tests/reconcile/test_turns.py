"""Several commands at once, engines that start, and engines with nothing to do."""

import asyncio

import anyio
import pytest

from orchestr8.backends.memory import MemoryBackend
from orchestr8.errors import Conflict, InvalidInput
from orchestr8.model.ids import StackName
from orchestr8.model.observed import ContainerState, Health, Snapshot
from orchestr8.plan.plan import Plan
from orchestr8.plan.verbs import (
    DownOptions,
    KillOptions,
    StopOptions,
    plan_down,
    plan_kill,
    plan_reconcile,
    plan_stop,
)
from orchestr8.reconcile.report import PlanReport, WarningReport
from orchestr8.reconcile.room import Caller
from tests.reconcile.rigs import SHOP, rig
from tests.virtual_time import VirtualLoop, virtual_now
from tests.worlds import check, desired, names, needs, service

pytestmark = pytest.mark.anyio
RUNNING, EXITED = ContainerState.RUNNING, ContainerState.EXITED


def crashing(code: int = 1, after_s: float = 0.0) -> list[str]:
    return ["sh", "-c", f"sleep {after_s}; exit {code}"]


# --- side by side ---------------------------------------------------------------------------------------------------


async def test_commands_for_a_stack_take_turns() -> None:
    slow = desired(web=service(depends_on=needs(db="service_healthy")), db=service(healthcheck=check()))
    async with rig() as it:
        first = it.begin(lambda: it.up(slow))
        second = it.begin(lambda: it.up(slow))
        await anyio.sleep(4)
        assert (first.done, second.done) == (False, False)
        await anyio.sleep(2)
        assert (first.done, second.done) == (True, True)
        assert [each.to_json()["steps"] for each in it.reports if isinstance(each, PlanReport)] == [6, 0]


async def test_a_down_cuts_short_an_up_that_waits() -> None:
    shop = desired(web=service(depends_on=needs(db="service_healthy")), db=service(healthcheck=check(interval="60s")))
    async with rig() as it:
        up = it.begin(lambda: it.up(shop))
        queued = it.begin(lambda: it.up(shop))
        await anyio.sleep(1)
        await it.run(lambda seen: plan_down(shop, seen), preempt=True)
        assert isinstance(up.error, Conflict)
        assert isinstance(queued.error, Conflict)
        assert (await it.backend.observe()).containers == {}
        assert anyio.current_time() == 1.0


async def test_an_up_replaces_an_earlier_one_that_nobody_waits_for_any_more() -> None:
    """Who mends the file and says `up` again must not wait for what the old file waits for, perhaps for ever."""
    broken = desired(web=service(depends_on=needs(db="service_healthy")), db=service(healthcheck=check(interval="1h")))
    mended = desired(web=service(), db=service())
    async with rig() as it:
        caller = Caller("up", replaceable=True)
        up = it.begin(lambda: it.up(broken, caller=caller))
        await anyio.sleep(5)
        caller.leave()
        await anyio.sleep(5)
        assert not up.done, "what is begun goes on until something else is asked for"
        await it.up(mended, caller=Caller("up", replaces=True, replaceable=True))
        assert isinstance(up.error, Conflict)
        assert await it.states() == {"web": RUNNING, "db": RUNNING}
        assert anyio.current_time() == 10.0


async def test_an_up_that_is_left_while_another_one_waits_for_it_makes_way() -> None:
    broken = desired(web=service(depends_on=needs(db="service_healthy")), db=service(healthcheck=check(interval="1h")))
    async with rig() as it:
        caller = Caller("up", replaceable=True)
        first = it.begin(lambda: it.up(broken, caller=caller))
        part = it.begin(lambda: it.run(lambda seen: plan_stop(None, seen), caller=Caller("restart")))
        second = it.begin(lambda: it.up(desired(web=service()), caller=Caller("up", replaces=True)))
        await anyio.sleep(5)
        assert (first.done, part.done, second.done) == (False, False, False)
        caller.leave()
        await anyio.sleep(0.1)
        assert isinstance(first.error, Conflict)
        assert (part.error, second.done, second.error) == (None, True, None)


async def test_an_up_that_somebody_waits_for_is_not_replaced_and_who_waits_behind_it_is_told() -> None:
    broken = desired(web=service(depends_on=needs(db="service_healthy")), db=service(healthcheck=check(interval="1h")))
    async with rig() as it:
        first = it.begin(lambda: it.up(broken, caller=Caller("up", replaceable=True)))
        second = it.begin(lambda: it.up(broken, caller=Caller("up", replaces=True)))
        await anyio.sleep(0.9)
        assert it.warnings() == []
        await anyio.sleep(60)
        assert (first.done, second.done) == (False, False)
        assert [each.to_json() for each in it.reports if isinstance(each, WarningReport)] == [
            {
                "type": "warning",
                "message": "waiting for an earlier `up` of shop, which waits for db to be healthy",
                "code": "",
                "helps": ["orchestr8 stop, or down, ends what it does"],
            }
        ]


async def test_who_waits_for_a_container_that_ends_at_each_start_is_told_once() -> None:
    shop = desired(
        web=service(depends_on=needs(db="service_healthy")),
        db=service(command=crashing(3, 1), restart="always", healthcheck=check(interval="1h")),
    )
    async with rig() as it:
        it.begin(lambda: it.up(shop))
        await anyio.sleep(60)
        assert len(it.starts_of("shop-db-1")) > 3
        assert [each.to_json() for each in it.reports if isinstance(each, WarningReport)] == [
            {
                "type": "warning",
                "message": "container shop-db-1 exited (3) and will be started again,"
                " while others wait for it to be healthy",
                "code": "",
                "helps": ["see why: orchestr8 logs db"],
            }
        ]


async def test_a_plan_that_is_interrupted_while_it_is_made_leaves_restart_policies_working() -> None:
    shop = desired(web=service(command=crashing(1, 1), restart="always"))
    async with rig() as it:
        await it.up(shop)
        observe = it.backend.observe

        async def slowly(stack: StackName | None = None) -> Snapshot:
            await anyio.sleep(0.3)
            return await observe(stack)

        it.backend.observe = slowly  # type: ignore[method-assign]
        again = it.begin(lambda: it.up(shop, force_recreate=True))
        await anyio.sleep(0.1)
        await it.run(lambda _: Plan(), preempt=True)
        assert isinstance(again.error, Conflict)
        it.backend.observe = observe  # type: ignore[method-assign]
        await anyio.sleep(10)
        assert len(it.starts_of("shop-web-1")) > 3


async def test_a_second_down_waits_for_the_first() -> None:
    shop = desired(web=service(command=["sh", "-c", "trap '' TERM; sleep 1000"]))
    async with rig() as it:
        await it.up(shop)
        first = it.begin(lambda: it.run(lambda seen: plan_down(shop, seen), preempt=True))
        await anyio.sleep(1)
        assert (await it.run(lambda seen: plan_down(shop, seen), preempt=True)).empty
        assert (first.done, first.error) == (True, None)
        assert anyio.current_time() == 10.0


async def test_a_kill_reaches_what_a_stop_waits_for() -> None:
    shop = desired(web=service(command=["sh", "-c", "trap '' TERM; sleep 1000"], stop_grace_period="5m"))
    async with rig() as it:
        await it.up(shop)
        stop = it.begin(lambda: it.run(lambda seen: plan_stop(shop, seen, StopOptions()), preempt=True))
        await anyio.sleep(1)
        assert not stop.done
        await it.run(lambda seen: plan_kill(shop, seen), beside=True)
        await anyio.sleep(0.1)
        assert (stop.done, stop.error) == (True, None)


async def test_stacks_do_not_wait_for_each_other() -> None:
    slow = desired(web=service(depends_on=needs(db="service_healthy")), db=service(healthcheck=check()))
    async with rig() as it:
        it.begin(lambda: it.up(slow))
        await anyio.sleep(1)
        await it.reconciler.run("other", lambda seen: plan_down(None, seen, DownOptions()))
        assert anyio.current_time() == 1.0


async def test_a_crash_during_an_up_is_repaired_beside_it() -> None:
    shop = desired(
        web=service(depends_on=needs(db="service_healthy")),
        db=service(healthcheck=check(interval="60s")),
        worker=service(command=crashing(1, 2), restart="always"),
    )
    async with rig() as it:
        up = it.begin(lambda: it.up(shop))
        await anyio.sleep(5)
        assert it.starts_of("shop-worker-1") == [0.0, 2.1, 4.3]
        assert not up.done


# --- an engine that starts ------------------------------------------------------------------------------------------


async def test_after_a_reboot_policies_start_containers_in_order() -> None:
    shop = desired(
        web=service(restart="always", depends_on=needs(db="service_healthy")),
        db=service(restart="unless-stopped", healthcheck=check()),
        job=service(command=crashing(0)),
        idle=service(restart="unless-stopped"),
    )
    backend = MemoryBackend(now=virtual_now)
    async with rig(backend) as it:
        await it.up(shop)
        await it.run(lambda seen: plan_stop(shop, seen, StopOptions(services=names("idle", "web"))))
        await it.run(lambda seen: plan_kill(shop, seen, KillOptions(signal="SIGHUP")), beside=True)
    async with rig(backend) as it:
        await anyio.sleep(20)
        assert await it.states() == {"web": RUNNING, "db": RUNNING, "job": EXITED, "idle": EXITED}
        assert it.starts_of("shop-web-1") == [it.starts_of("shop-db-1")[0] + 5.0]


async def test_an_unfinished_up_is_resumed() -> None:
    shop = desired(web=service(depends_on=needs(db="service_healthy")), db=service(healthcheck=check()))
    backend = MemoryBackend(now=virtual_now)
    async with rig(backend) as it:
        it.begin(lambda: it.up(shop))
        await anyio.sleep(1)
    async with rig(backend, {SHOP: lambda seen: plan_reconcile(shop, seen)}) as it:
        await anyio.sleep(1)
        assert await it.states() == {"web": RUNNING, "db": RUNNING}


async def test_what_ran_before_the_engine_is_probed_at_once() -> None:
    shop = desired(web=service(healthcheck=check(interval="60s")))
    backend = MemoryBackend(now=virtual_now)
    async with rig(backend) as it:
        await it.up(shop)
        assert (await it.see("web")).health is Health.STARTING
    async with rig(backend) as it:
        await anyio.sleep(0.1)
        assert (await it.see("web")).health is Health.HEALTHY


async def test_resuming_that_fails_does_not_end_the_engine() -> None:
    def fail(_: object) -> object:
        raise InvalidInput("external network is gone")

    async with rig(resume={SHOP: fail}) as it:  # type: ignore[dict-item]
        await anyio.sleep(1)
        await it.up(desired(web=service()))
        assert await it.states() == {"web": RUNNING}


# --- quiet ----------------------------------------------------------------------------------------------------------


async def test_an_idle_engine_has_no_timer() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with rig() as it:
        await it.up(desired(web=service(restart="always"), db=service(depends_on=needs("web"))))
        await anyio.sleep(1)
        assert loop.timers() == 0


async def test_a_health_check_is_the_only_timer_of_a_healthy_stack() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with rig() as it:
        await it.up(desired(web=service(healthcheck=check()), db=service()))
        await anyio.sleep(61)
        assert loop.timers() == 1


async def test_a_burst_of_events_is_looked_at_a_few_times_only() -> None:
    async with rig() as it:
        looks = 0
        observe = it.backend.observe

        async def counted(stack: StackName | None = None) -> Snapshot:
            nonlocal looks
            looks += 1
            return await observe(stack)

        it.backend.observe = counted  # type: ignore[method-assign]
        await it.up(desired(web=service(scale=100)))
        await it.run(lambda seen: plan_down(None, seen), preempt=True)
        assert looks <= 6
