from typing import Any

import pytest

from orchestr8.model.actions import WaitFor
from orchestr8.model.ids import ContainerId, ServiceName, StackName
from orchestr8.model.observed import ContainerState, Health, ObservedContainer
from orchestr8.model.specs import Condition
from orchestr8.reconcile.execute import WaitFailed
from orchestr8.reconcile.waits import Look, Verdict, judge, timed_out
from tests.worlds import name

DB = name("db")
STARTED, HEALTHY, COMPLETED = Condition.STARTED, Condition.HEALTHY, Condition.COMPLETED
MET, PENDING = Verdict.MET, Verdict.PENDING


def wait(condition: Condition, timeout_s: float | None = None) -> WaitFor:
    return WaitFor(service=ServiceName("db"), containers=(DB,), condition=condition, timeout_s=timeout_s)


def look(state: str, **changes: Any) -> Look:
    of_look = {key: changes.pop(key) for key in ("has_check", "restarts_soon", "check") if key in changes}
    container = ObservedContainer(
        id=ContainerId("0" * 12),
        name=DB,
        stack=StackName("shop"),
        service=ServiceName("db"),
        number=1,
        image="rootfs:/",
        state=ContainerState(state),
        **changes,
    )
    return Look(container=container, **{"has_check": True, **of_look})


@pytest.mark.parametrize(
    ("condition", "seen", "verdict"),
    [
        (STARTED, look("running"), MET),
        (STARTED, look("exited", exit_code=0), MET),
        (STARTED, look("exited", exit_code=1, restarts_soon=True), PENDING),
        (HEALTHY, look("running", health=Health.STARTING), PENDING),
        (HEALTHY, look("running", health=Health.HEALTHY), MET),
        (HEALTHY, look("exited", exit_code=1, restarts_soon=True), PENDING),
        (HEALTHY, look("exited", exit_code=0, restarts_soon=True), PENDING),
        (COMPLETED, look("running"), PENDING),
        (COMPLETED, look("exited", exit_code=0), MET),
        (COMPLETED, look("exited", exit_code=0, restarts_soon=True), MET),
        (COMPLETED, look("exited", exit_code=2, restarts_soon=True), PENDING),
    ],
)
def test_conditions(condition: Condition, seen: Look, verdict: Verdict) -> None:
    assert judge(wait(condition), DB, seen) is verdict


@pytest.mark.parametrize(
    ("condition", "seen", "message"),
    [
        (STARTED, look("exited", exit_code=1), "dependency failed to start: container shop-db-1 exited (1)"),
        (HEALTHY, look("exited", exit_code=0), "dependency failed to start: container shop-db-1 exited (0)"),
        (
            HEALTHY,
            look("running", health=Health.UNHEALTHY),
            "dependency failed to start: container shop-db-1 is unhealthy",
        ),
        (
            HEALTHY,
            look("running", has_check=False),
            "dependency failed to start: container shop-db-1 has no healthcheck configured",
        ),
        (COMPLETED, look("exited", exit_code=4), 'service "db" didn\'t complete successfully: exit 4'),
        (STARTED, look("created"), "dependency failed to start: container shop-db-1 is not started"),
        (
            HEALTHY,
            look("created", error="port taken"),
            "dependency failed to start: container shop-db-1 is not started: port taken",
        ),
        (COMPLETED, Look(container=None), "dependency failed to start: container shop-db-1 was removed"),
    ],
)
def test_what_can_no_longer_be_fails_in_composes_words(condition: Condition, seen: Look, message: str) -> None:
    with pytest.raises(WaitFailed) as caught:
        judge(wait(condition), DB, seen)
    assert (caught.value.message, caught.value.container) == (message, DB)


def test_a_killing_by_the_memory_limit_is_told() -> None:
    with pytest.raises(WaitFailed) as caught:
        judge(wait(HEALTHY), DB, look("exited", exit_code=137, oom_killed=True, memory_max_bytes=1 << 30))
    assert caught.value.notes == ["out of memory: 1G limit"]


def test_a_time_out_tells_what_was_waited_for() -> None:
    error = timed_out(wait(COMPLETED, 2.5), DB, look("running"))
    assert error.message == "application not healthy after 2.5s"
    assert error.notes == ["container shop-db-1: running, waited for it to complete"]
