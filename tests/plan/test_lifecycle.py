import dataclasses

import pytest

from orchestr8.errors import NotFound
from orchestr8.model.actions import StopContainer
from orchestr8.model.ids import ContainerName
from orchestr8.model.observed import ContainerState, Snapshot
from orchestr8.plan.verbs import (
    KillOptions,
    PauseOptions,
    RestartOptions,
    StartOptions,
    StopOptions,
    plan_kill,
    plan_pause,
    plan_restart,
    plan_start,
    plan_stop,
)
from tests.plan.snapshots import changed, snapshot_of
from tests.worlds import check, desired, name, names, needs, service

TIED = {"condition": "service_started", "restart": True}
SHOP = desired(
    web=service(depends_on=needs(api=TIED)),
    api=service(depends_on=needs(db="service_healthy")),
    db=service(healthcheck=check()),
)
EXITED = {"state": ContainerState.EXITED, "exit_code": 143, "stopped_by_user": True, "health": None}
STOPPED = snapshot_of(SHOP, {"web": EXITED, "api": EXITED, "db": EXITED})


def test_start_follows_the_dependencies() -> None:
    assert plan_start(SHOP, STOPPED).render() == (
        "1. StartContainer shop-db-1 -- exited with code 143\n"
        "2. WaitFor db service_healthy after 1 -- needed by api\n"
        "3. StartContainer shop-api-1 after 2 -- exited with code 143\n"
        "4. StartContainer shop-web-1 after 3 -- exited with code 143"
    )


def test_start_without_a_document_follows_the_labels() -> None:
    assert plan_start(None, STOPPED).render() == plan_start(SHOP, STOPPED).render()


def test_start_of_one_service_starts_what_it_needs() -> None:
    plan = plan_start(SHOP, STOPPED, StartOptions(services=names("api")))
    assert "web" not in plan.render()
    assert len(plan.steps) == 3


def test_start_of_what_runs_does_nothing() -> None:
    plan = plan_start(SHOP, snapshot_of(SHOP))
    assert plan.empty
    assert plan.unchanged == [name("db"), name("api"), name("web")]


def test_start_waits_on_request() -> None:
    plan = plan_start(None, STOPPED, StartOptions(wait=True, wait_timeout_s=9))
    assert [str(step) for step in plan.steps if "--wait" in str(step)] == [
        "5. WaitFor api service_started after 3 -- --wait",
        "6. WaitFor web service_started after 4 -- --wait",
    ]


def test_there_must_be_something_to_start() -> None:
    with pytest.raises(NotFound, match='no container found for project "shop"'):
        plan_start(SHOP, Snapshot())
    with pytest.raises(NotFound, match='service "web" has no container to start'):
        plan_start(SHOP, changed(STOPPED, remove=[name("web")]), StartOptions(services=names("web")))


def test_stop_goes_in_reverse_order() -> None:
    assert plan_stop(SHOP, snapshot_of(SHOP)).render() == (
        "1. StopContainer shop-web-1 -- stop requested\n"
        "2. StopContainer shop-api-1 after 1 -- stop requested\n"
        "3. StopContainer shop-db-1 after 2 -- stop requested"
    )


def test_stop_of_one_service_touches_that_one_only() -> None:
    plan = plan_stop(SHOP, snapshot_of(SHOP), StopOptions(services=names("db"), timeout_s=2))
    (step,) = plan.steps
    assert step.action == StopContainer(name=name("db"), timeout_s=2, by_user=True)


def test_one_replica_is_signalled_and_paused_by_its_own_name_and_once() -> None:
    shop = desired(web=service(scale=2), api=service())
    seen = snapshot_of(shop)
    named = names("shop-web-2")
    assert (
        plan_kill(shop, seen, KillOptions(services=named)).render()
        == "1. KillContainer shop-web-2 SIGKILL -- kill requested"
    )
    assert (
        plan_pause(shop, seen, PauseOptions(services=named)).render()
        == "1. PauseContainer shop-web-2 -- pause requested"
    )
    assert plan_kill(shop, seen, KillOptions(services=names("web", "shop-web-2"))).render() == (
        "1. KillContainer shop-web-1 SIGKILL -- kill requested\n2. KillContainer shop-web-2 SIGKILL -- kill requested"
    )
    with pytest.raises(NotFound, match="no such service: shop-web-3"):
        plan_kill(shop, seen, KillOptions(services=names("shop-web-3")))


def test_a_one_off_is_stopped_and_signalled_by_its_own_name_and_no_other() -> None:
    seen = snapshot_of(SHOP)
    run = dataclasses.replace(seen.containers[name("web")], name=ContainerName("my-run"), number=0, oneoff=True)
    seen = dataclasses.replace(seen, containers={**seen.containers, run.name: run})
    named = names("my-run")
    assert plan_stop(SHOP, seen, StopOptions(services=named, timeout_s=3)).steps[0].action == StopContainer(
        name=run.name, timeout_s=3, by_user=True
    )
    assert plan_stop(SHOP, seen, StopOptions(services=named)).render() == "1. StopContainer my-run -- stop requested"
    assert (
        plan_kill(SHOP, seen, KillOptions(services=named)).render()
        == "1. KillContainer my-run SIGKILL -- kill requested"
    )
    assert (
        plan_pause(SHOP, seen, PauseOptions(services=named)).render() == "1. PauseContainer my-run -- pause requested"
    )
    assert "my-run" not in plan_stop(SHOP, seen).render() + plan_kill(SHOP, seen).render()
    ended = dataclasses.replace(seen, containers={run.name: dataclasses.replace(run, state=ContainerState.EXITED)})
    assert plan_stop(SHOP, ended, StopOptions(services=named)).empty
    with pytest.raises(NotFound, match="no such service: shop-web-1"):
        plan_stop(SHOP, seen, StopOptions(services=names("shop-web-1")))


def test_stop_of_a_stopped_stack_does_nothing() -> None:
    assert plan_stop(SHOP, STOPPED).empty


def test_stop_ends_the_waiting_for_a_restart() -> None:
    shop = desired(web=service(restart="always"), job=service())
    waiting = {"state": ContainerState.EXITED, "exit_code": 1}
    plan = plan_stop(shop, snapshot_of(shop, {"web": waiting, "job": waiting}))
    assert plan.render() == "1. StopContainer shop-web-1 -- stop requested"


def test_restart_is_ordered_and_waits_for_health() -> None:
    assert plan_restart(SHOP, snapshot_of(SHOP)).render() == (
        "1. StopContainer shop-web-1 -- restart requested\n"
        "2. StopContainer shop-api-1 after 1 -- restart requested\n"
        "3. StopContainer shop-db-1 after 2 -- restart requested\n"
        "4. StartContainer shop-db-1 after 3 -- restart requested\n"
        "5. WaitFor db service_healthy after 4 -- needed by api\n"
        "6. StartContainer shop-api-1 after 2, 5 -- restart requested\n"
        "7. StartContainer shop-web-1 after 1, 6 -- restart requested"
    )


def test_a_restart_is_no_stop_by_the_user() -> None:
    stops = [step.action for step in plan_restart(SHOP, snapshot_of(SHOP)).steps]
    assert not any(each.by_user for each in stops if isinstance(each, StopContainer))


def test_restart_of_one_service_takes_along_who_asks_for_it() -> None:
    assert plan_restart(SHOP, snapshot_of(SHOP), RestartOptions(services=names("api"))).render() == (
        "1. StopContainer shop-web-1 -- api is restarted\n"
        "2. StopContainer shop-api-1 after 1 -- restart requested\n"
        "3. StartContainer shop-api-1 after 2 -- restart requested\n"
        "4. StartContainer shop-web-1 after 1, 3 -- api is restarted"
    )
    alone = plan_restart(SHOP, snapshot_of(SHOP), RestartOptions(services=names("api"), no_deps=True))
    assert "web" not in alone.render()


def test_restart_starts_what_has_exited() -> None:
    shop = desired(web=service())
    seen = snapshot_of(shop, {"web": {"state": ContainerState.EXITED, "exit_code": 1}})
    assert plan_restart(shop, seen).render() == "1. StartContainer shop-web-1 -- restart requested"


def test_restart_says_that_changed_settings_are_not_applied() -> None:
    plan = plan_restart(desired(web=service(user="2")), snapshot_of(desired(web=service(user="1"))))
    assert plan.warnings == ["the settings of web have changed since it was created; `up` applies them"]


def test_kill_reaches_what_runs() -> None:
    seen = changed(snapshot_of(SHOP), {name("db"): EXITED})
    assert plan_kill(SHOP, seen, KillOptions(signal="SIGHUP")).render() == (
        "1. KillContainer shop-api-1 SIGHUP -- kill requested\n2. KillContainer shop-web-1 SIGHUP -- kill requested"
    )
    assert plan_kill(None, seen, KillOptions(services=names("web"))).render() == (
        "1. KillContainer shop-web-1 SIGKILL -- kill requested"
    )
