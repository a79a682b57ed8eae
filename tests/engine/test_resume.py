"""An engine that is killed at any Action is followed by one that finishes what was asked for.

The kill is a BaseException out of the fault point: nothing of the engine catches it, so nothing more is stored or done.
The backend lives on, as containers and shims would.
"""

import contextlib
import os
from collections.abc import Callable
from typing import Any

import pytest

from orchestr8.engine.store import Store
from orchestr8.errors import Unavailable
from orchestr8.model.ids import ContainerName, StackName
from orchestr8.model.observed import ContainerState

pytestmark = pytest.mark.anyio

Make = Callable[..., dict[str, Any]]
SLEEP = ["sleep", "infinity"]


class Killed(BaseException):
    pass


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The engine's SIGKILLs of itself, which end its tasks but not the test."""
    found: list[int] = []

    def kill(pid: int, number: int) -> None:
        assert pid == os.getpid()
        found.append(number)
        raise Killed

    monkeypatch.setattr("orchestr8.engine.wiring.os.kill", kill)
    return found


def stack(make_document: Make) -> dict[str, Any]:
    needs = {"db": {"condition": "service_started", "required": True}}
    job = {"command": ["true"], "depends_on": needs}
    done = {"job": {"condition": "service_completed_successfully", "required": True}}
    return make_document(web={"command": SLEEP, "depends_on": done}, job=job, db=SLEEP)


async def crash(start: Any, point: str, kills: list[int], path: str, body: Any) -> None:
    """Begin some work with an engine that dies at `point`."""
    try:
        async with start({"ORCHESTR8_FAULT": point}) as engine:
            with contextlib.suppress(Unavailable):  # or a last line that says so
                await engine.work(path, body)
    except* Killed:
        pass
    assert kills == [9], f"{point} was not reached"


def states(backend: Any) -> dict[str, str]:
    return {name: each.seen.state.value for name, each in backend._containers.items()}


UP = [
    "CreateNetwork:shop_default", "CreateContainer:shop-db-1", "StartContainer:shop-db-1",
    "CreateContainer:shop-job-1", "StartContainer:shop-job-1", "CreateContainer:shop-web-1", "StartContainer:shop-web-1",
]  # fmt: skip
DOWN = [
    "StopContainer:shop-web-1", "RemoveContainer:shop-web-1", "RemoveContainer:shop-job-1",
    "StopContainer:shop-db-1", "RemoveContainer:shop-db-1", "RemoveNetwork:shop_default",
]  # fmt: skip


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("action", UP)
async def test_an_up_is_finished_by_the_next_engine(
    start: Any, make_document: Make, backend: Any, kills: list[int], eventually: Any, action: str, moment: str
) -> None:
    await crash(start, f"{moment}:{action}", kills, "/stacks/shop/up", {"document": stack(make_document)})
    expected = {"shop-db-1": "running", "shop-job-1": "exited", "shop-web-1": "running"}
    async with start():
        await eventually(lambda: states(backend) == expected)
    assert sum("StartContainer shop-job-1" in each for each in backend.applied) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("action", DOWN)
async def test_a_down_is_finished_by_the_next_engine(
    start: Any, make_document: Make, backend: Any, kills: list[int], eventually: Any, action: str, moment: str
) -> None:
    async with start() as engine:
        await engine.work("/stacks/shop/up", {"document": stack(make_document)})
    await crash(start, f"{moment}:{action}", kills, "/stacks/shop/down", {})
    async with start() as engine:
        await eventually(lambda: not backend._containers and not backend._networks)
        await eventually(lambda: _stored(engine) == {})


def _stored(engine: Any) -> dict[Any, Any]:
    store = Store.open(f"{engine.engine._paths.root}/state.db")
    try:
        return dict(store.intents)
    finally:
        store._writer._connection.close()


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_what_a_user_stopped_stays_stopped(
    start: Any, make_document: Make, backend: Any, kills: list[int], eventually: Any, moment: str
) -> None:
    document = make_document(web={"command": SLEEP, "restart": "unless-stopped"}, db=SLEEP)
    async with start() as engine:
        await engine.work("/stacks/shop/up", {"document": document})
    await crash(start, f"{moment}:StopContainer:shop-web-1", kills, "/stacks/shop/stop", {"services": ["web"]})
    backend.applied.clear()
    async with start():
        await eventually(lambda: states(backend) == {"shop-db-1": "running", "shop-web-1": "exited"})
    assert "StartContainer shop-web-1" not in backend.applied


async def test_a_container_that_ended_while_no_engine_was_there_is_restarted_by_its_policy(
    start: Any, make_document: Make, backend: Any, eventually: Any
) -> None:
    async with start() as engine:
        document = make_document(web={"command": SLEEP, "restart": "always"}, db=SLEEP)
        await engine.work("/stacks/shop/up", {"document": document})
    for name in ("shop-web-1", "shop-db-1"):
        backend._containers[ContainerName(name)].program.signal(9)
    async with start():
        await eventually(lambda: states(backend)["shop-web-1"] == "running")
        assert states(backend)["shop-db-1"] == ContainerState.EXITED


async def test_a_named_service_brings_up_no_other_after_a_crash(
    start: Any, make_document: Make, backend: Any, kills: list[int], eventually: Any
) -> None:
    body = {"document": make_document(web=SLEEP, other=SLEEP), "options": {"services": ["web"]}}
    await crash(start, "before:StartContainer:shop-web-1", kills, "/stacks/shop/up", body)
    async with start():
        await eventually(lambda: states(backend) == {"shop-web-1": "running"})


async def test_an_intent_is_stored_before_anything_is_done(
    start: Any, make_document: Make, kills: list[int], tmp_path: Any
) -> None:
    await crash(start, "before:CreateNetwork:*", kills, "/stacks/shop/up", {"document": make_document(web=SLEEP)})
    async with Store.open(str(tmp_path / "root" / "state.db")) as store:
        assert (store.intents[StackName("shop")].document or {})["name"] == "shop"


async def test_a_document_that_is_not_understood_any_more_keeps_no_engine_from_starting(
    start: Any, make_document: Make, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with start() as engine:
        await engine.work("/stacks/shop/up", {"document": make_document(web=SLEEP)})
    async with Store.open(str(tmp_path / "root" / "state.db")) as store:
        intent = store.intents[StackName("shop")]
        document = {"name": "shop", "services": {"web": {"ports": "nonsense"}}}
        await store.save_intent(type(intent)(stack=intent.stack, goal=intent.goal, document=document))
    async with start() as engine:
        assert len(await engine.ask("GET", "/stacks")) == 1
    assert "stack shop cannot be resumed" in caplog.text
