"""Whose namespace a container shares: found among what runs."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from orchestr8.backends.native.joining import find_sharer, opened
from orchestr8.errors import Conflict
from orchestr8.model.ids import ContainerId, ContainerName, ServiceName, StackName
from orchestr8.model.observed import ContainerState, ObservedContainer
from orchestr8.model.records import ContainerRecord
from orchestr8.model.specs import ContainerSpec

SPY = ContainerRecord(
    id=ContainerId("0" * 12), name=ContainerName("shop-spy-1"), stack=StackName("shop"), service=ServiceName("spy"),
    number=1, oneoff=False, config_hash="", spec=ContainerSpec(image="x"), labels={}, created_at=0.0,
)  # fmt: skip


def web(number: int, pid: int, **changes: object) -> ObservedContainer:
    seen = ObservedContainer(
        id=ContainerId(f"{number:012}"), name=ContainerName(f"shop-web-{number}"), stack=StackName("shop"),
        service=ServiceName("web"), number=number, image="x", config_hash="", oneoff=False,
        state=ContainerState.RUNNING, pid=pid, created_at=0.0, labels={},
    )  # fmt: skip
    return replace(seen, **changes)  # type: ignore[arg-type]


def test_a_service_is_its_first_replica_that_runs() -> None:
    first = web(1, 11, state=ContainerState.EXITED)
    assert find_sharer([web(3, 13), web(2, 12), first], SPY, "service:web") == 12


def test_a_service_of_another_stack_or_a_one_off_is_not_meant() -> None:
    others = [web(1, 11, stack=StackName("other")), web(1, 12, oneoff=True)]
    with pytest.raises(Conflict, match="service web, whose namespace it shares, does not exist"):
        find_sharer(others, SPY, "service:web")


def test_a_container_is_meant_by_its_name_or_its_whole_id_in_any_stack() -> None:
    other = web(7, 17, stack=StackName("other"), name=ContainerName("db"))
    assert find_sharer([web(1, 11), other], SPY, "container:db") == 17
    assert find_sharer([web(1, 11), other], SPY, "container:000000000007") == 17


def test_one_that_does_not_run_cannot_be_joined() -> None:
    with pytest.raises(Conflict, match="is not running") as caught:
        find_sharer([web(1, 0, state=ContainerState.EXITED)], SPY, "service:web")
    assert caught.value.code == "O8-617"


def test_descriptors_are_closed_and_mean_the_process_that_was_found() -> None:
    with opened({"pid": "service:web"}, lambda _whose: os.getpid()) as fds:
        assert f"Pid:\t{os.getpid()}\n" in Path(f"/proc/self/fdinfo/{fds['pid']}").read_text()
    assert not os.path.exists(f"/proc/self/fd/{fds['pid']}")


def test_one_that_is_replaced_while_it_is_looked_up_is_not_joined() -> None:
    pids = iter([os.getpid(), os.getppid()])
    with pytest.raises(Conflict, match="has just ended"), opened({"pid": "service:web"}, lambda _whose: next(pids)):
        pass
