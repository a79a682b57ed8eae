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
        await eventually(lambda: not backend._containers and not backend._networks.seen)
        await eventually(lambda: _stored(engine) == {})


def _stored(engine: Any) -> dict[Any, Any]:
    store = Store.open(f"{engine.engine._paths.root}/state.db")
    try:
        return dict(store.intents)
    finally:
        store._writer._connection.close()


async def test_a_down_takes_the_place_of_what_is_resumed(
    start: Any, make_document: Make, backend: Any, kills: list[int], eventually: Any
) -> None:
    done = {"job": {"condition": "service_completed_successfully", "required": True}}
    shop = make_document(web={"command": SLEEP, "depends_on": done}, job=SLEEP)
    await crash(start, "after:StartContainer:shop-job-1", kills, "/stacks/shop/up", {"document": shop})
    async with start() as engine:
        lines = await engine.work("/stacks/shop/down", {})
        assert lines[-1] == {"type": "done"}
        assert states(backend) == {}
        assert (await engine.ask("GET", "/engine"))["containers"] == 0


STOP = ["StopContainer:shop-web-1", "StopContainer:shop-db-1"]
ALWAYS = {"command": SLEEP, "restart": "always"}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("action", STOP)
async def test_a_stop_is_finished_by_the_next_engine_and_holds(
    start: Any, make_document: Make, backend: Any, kills: list[int], eventually: Any, action: str, moment: str
) -> None:
    web = {**ALWAYS, "depends_on": {"db": {"condition": "service_started", "required": True}}}
    async with start() as engine:
        await engine.work("/stacks/shop/up", {"document": make_document(web=web, db=ALWAYS, other=ALWAYS)})
    await crash(start, f"{moment}:{action}", kills, "/stacks/shop/stop", {"services": ["web", "db"]})
    backend.applied.clear()
    expected = {"shop-db-1": "exited", "shop-other-1": "running", "shop-web-1": "exited"}
    for _ in range(2):
        async with start(after_crash=True) as engine:
            await eventually(lambda: states(backend) == expected and _doing(engine) is None)
    assert not [each for each in backend.applied if each.startswith("StartContainer")]
    async with start():  # not in the place of one that was killed, as after a reboot
        await eventually(lambda: set(states(backend).values()) == {"running"})


def _doing(engine: Any) -> Any:
    return _stored(engine)[StackName("shop")].doing


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("action", ["StartContainer:shop-db-1", "StartContainer:shop-web-1"])
@pytest.mark.parametrize("verb", ["up", "start"])
async def test_what_was_to_be_started_again_is_started_by_the_next_engine(
    start: Any,
    make_document: Make,
    backend: Any,
    kills: list[int],
    eventually: Any,
    verb: str,
    action: str,
    moment: str,
) -> None:
    web = {"command": SLEEP, "depends_on": {"db": {"condition": "service_started", "required": True}}}
    document = make_document(web=web, db=SLEEP)
    async with start() as engine:
        await engine.work("/stacks/shop/up", {"document": document})
        await engine.work("/stacks/shop/stop", {})
    await crash(start, f"{moment}:{action}", kills, f"/stacks/shop/{verb}", {"document": document})
    async with start(after_crash=True):
        await eventually(lambda: set(states(backend).values()) == {"running"})


RESTART = [
    "StopContainer:shop-web-1", "StopContainer:shop-db-1", "StartContainer:shop-db-1", "StartContainer:shop-web-1"
]  # fmt: skip
RECREATE = [
    *RESTART,
    *(f"{action}:shop-{name}-1" for action in ("RemoveContainer", "CreateContainer") for name in ("web", "db")),
]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("action", RESTART)
async def test_a_restart_is_finished_by_the_next_engine(
    start: Any, make_document: Make, backend: Any, kills: list[int], eventually: Any, action: str, moment: str
) -> None:
    await _again(start, make_document)
    before = {name: each.seen.started_at for name, each in backend._containers.items()}
    await crash(start, f"{moment}:{action}", kills, "/stacks/shop/restart", {})
    async with start(after_crash=True) as engine:
        await eventually(lambda: set(states(backend).values()) == {"running"} and _doing(engine) is None)
    assert all(each.seen.started_at > before[name] for name, each in backend._containers.items())
    starts = [each for each in backend.applied if each.startswith("StartContainer")]
    assert len(starts) == 4, "no more than one start each: of the `up`, and of the `restart`"


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("action", RECREATE)
async def test_a_forced_replacement_is_finished_by_the_next_engine(
    start: Any, make_document: Make, backend: Any, kills: list[int], eventually: Any, action: str, moment: str
) -> None:
    document = await _again(start, make_document)
    before = {each.seen.id for each in backend._containers.values()}
    body = {"document": document, "options": {"force_recreate": True}}
    await crash(start, f"{moment}:{action}", kills, "/stacks/shop/up", body)
    async with start(after_crash=True) as engine:
        await eventually(lambda: list(states(backend).values()) == ["running"] * 2 and _doing(engine) is None)
    assert not before & {each.seen.id for each in backend._containers.values()}
    created = [each for each in backend.applied if each.startswith("CreateContainer")]
    assert len(created) == 4, "each is replaced once"


async def _again(start: Any, make_document: Make) -> dict[str, Any]:
    web = {"command": SLEEP, "depends_on": {"db": {"condition": "service_started", "required": True}}}
    document = make_document(web=web, db=SLEEP)
    async with start() as engine:
        await engine.work("/stacks/shop/up", {"document": document})
    return document


async def test_containers_that_were_to_stay_as_they_are_stay_so(
    start: Any, make_document: Make, backend: Any, eventually: Any
) -> None:
    changed = make_document(web={"command": SLEEP, "environment": {"NEW": "1"}}, db=SLEEP)
    async with start() as engine:
        await engine.work("/stacks/shop/up", {"document": make_document(web=SLEEP)})
        await engine.work("/stacks/shop/up", {"document": changed, "options": {"no_recreate": True}})
    before = dict(states(backend))
    backend.applied.clear()
    async with start(after_crash=True) as engine:
        await engine.work("/stacks/shop/kill", {"services": ["db"]})  # its turn comes behind what is resumed
        await eventually(lambda: states(backend)["shop-db-1"] == "exited")
    assert before == {"shop-db-1": "running", "shop-web-1": "running"}
    assert backend.applied == ["KillContainer shop-db-1 SIGKILL"]


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
