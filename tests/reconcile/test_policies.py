"""Restart policies: Docker's constants, from the outside and in virtual time."""

import anyio
import pytest

from orchestr8.errors import OperationFailed
from orchestr8.model.actions import StartContainer
from orchestr8.plan.verbs import (
    KillOptions,
    OneOff,
    plan_kill,
    plan_run,
    plan_start,
    plan_stop,
)
from tests.reconcile.rigs import SHOP, rig
from tests.worlds import desired, name, names, service

pytestmark = pytest.mark.anyio


def crashing(code: int = 1, after_s: float = 0.0) -> list[str]:
    return ["sh", "-c", f"sleep {after_s}; exit {code}"]


async def test_a_crashing_container_is_restarted_with_growing_delays() -> None:
    async with rig() as it:
        await it.up(desired(web=service(command=crashing(), restart="always")))
        await anyio.sleep(3)
        assert it.starts_of("shop-web-1") == [0.0, 0.1, 0.3, 0.7, 1.5]
        assert it.reconciler.restarting(SHOP, name("web"))
        assert (await it.see("web")).restarts == 4


async def test_a_long_run_resets_the_delay() -> None:
    async with rig() as it:
        await it.up(desired(web=service(command=crashing(1, 10), restart="always")))
        await anyio.sleep(31)
        assert it.starts_of("shop-web-1") == [0.0, 10.1, 20.2, 30.3]


async def test_on_failure_gives_up_after_its_maximum() -> None:
    async with rig() as it:
        await it.up(
            desired(
                web=service(command=crashing(), restart="on-failure:2"),
                ok=service(command=crashing(0), restart="on-failure"),
            )
        )
        await anyio.sleep(600)
        assert it.starts_of("shop-web-1") == [0.0, 0.1, 0.3]
        assert it.starts_of("shop-ok-1") == [0.0]


async def test_a_command_resets_the_count() -> None:
    shop = desired(web=service(command=crashing(), restart="on-failure:1"))
    async with rig() as it:
        await it.up(shop)
        await anyio.sleep(10)
        assert it.starts_of("shop-web-1") == [0.0, 0.1]
        await it.run(lambda seen: plan_start(shop, seen))
        await anyio.sleep(10)
        assert it.starts_of("shop-web-1") == [0.0, 0.1, 10.0, 10.1]


async def test_a_stop_holds_and_ends_the_waiting_for_a_restart() -> None:
    shop = desired(web=service(command=crashing(), restart="always"), api=service(restart="always"))
    async with rig() as it:
        await it.up(shop)
        await anyio.sleep(1)
        await it.run(lambda seen: plan_stop(shop, seen), preempt=True)
        await anyio.sleep(600)
        assert it.starts_of("shop-web-1") == [0.0, 0.1, 0.3, 0.7]
        assert it.starts_of("shop-api-1") == [0.0]
        assert not it.reconciler.restarting(SHOP, name("web"))


async def test_a_kill_by_the_user_is_no_crash() -> None:
    shop = desired(web=service(restart="always"))
    async with rig() as it:
        await it.up(shop)
        await it.run(lambda seen: plan_kill(shop, seen), beside=True)
        await anyio.sleep(60)
        assert it.starts_of("shop-web-1") == [0.0]


async def test_another_signal_is_left_to_the_policy() -> None:
    shop = desired(web=service(restart="always"))
    async with rig() as it:
        await it.up(shop)
        await it.run(lambda seen: plan_kill(shop, seen, KillOptions(signal="SIGHUP")), beside=True)
        await anyio.sleep(60)
        assert it.starts_of("shop-web-1") == [0.0, 0.1]


async def test_a_failed_start_is_not_repeated() -> None:
    shop = desired(web=service(command=crashing(), restart="always"))
    async with rig() as it:
        it.backend.failures["StartContainer shop-web-1"] = OperationFailed("port taken")
        with pytest.raises(OperationFailed):
            await it.up(shop)
        await anyio.sleep(60)
        assert it.starts_of("shop-web-1") == []


async def test_a_restart_that_cannot_be_done_is_not_repeated_until_a_command_starts_it() -> None:
    shop = desired(web=service(command=crashing(), restart="always"))
    async with rig() as it:
        await it.up(shop)
        await anyio.sleep(0.2)
        it.backend.failures["StartContainer shop-web-1"] = OperationFailed("port taken")
        await anyio.sleep(60)
        assert it.starts_of("shop-web-1") == [0.0, 0.1]
        it.backend.failures.clear()
        await anyio.sleep(39.8)
        await it.run(lambda seen: plan_start(shop, seen))
        await anyio.sleep(0.5)
        assert it.starts_of("shop-web-1") == [0.0, 0.1, 100.0, 100.1, 100.3]


async def test_one_offs_are_never_restarted() -> None:
    shop = desired(web=service(restart="always"))
    run = name("web-run")
    async with rig() as it:
        one_off = OneOff(name=run, command=("false",))
        await it.run(lambda seen: plan_run(shop, names("web")[0], one_off, seen))
        await it.backend.apply(StartContainer(name=run))
        await anyio.sleep(600)
        assert it.starts_of(run) == [0.0]
        assert not it.reconciler.restarting(SHOP, run)
