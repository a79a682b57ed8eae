"""The contract of every backend, on this machine: real namespaces, cgroups, overlays and links."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from orchestr8.backends.native import NativeBackend
from orchestr8.engine.store import Store
from orchestr8.errors import Orchestr8Error
from orchestr8.model import actions
from orchestr8.model.ids import ContainerName, ServiceName, StackName
from orchestr8.model.specs import ContainerSpec
from orchestr8.storage.blanks import READY
from tests.backends.contract import *  # noqa: F403 - the fake passes what the real thing passes
from tests.system.busybox import needs_busybox

pytestmark = [pytest.mark.anyio, pytest.mark.system, needs_busybox]


@pytest.fixture
def image(busybox_image: str) -> str:
    return f"rootfs:{busybox_image}"


@pytest.fixture
async def backend(tmp_path: Path, own_network: None) -> AsyncIterator[NativeBackend]:
    root, run_dir = tmp_path / "root", tmp_path / "run"
    root.mkdir()
    run_dir.mkdir()
    async with Store.open(str(root / "state.db")) as store:
        native = NativeBackend(root=str(root), run_dir=str(run_dir), instance=os.urandom(4).hex(), registry=store)
        await native.start()
        try:
            yield native
        finally:
            await clean(native)
            await native.close(remove=True)


async def clean(native: NativeBackend) -> None:
    """Take down whatever a test left."""

    seen = await native.observe()
    for container in seen.containers.values():
        await native.apply(actions.StopContainer(name=container.name, timeout_s=0))
        await native.apply(actions.RemoveContainer(name=container.name, volumes=True))
    for network in seen.networks:
        await native.apply(actions.RemoveNetwork(network))
    for volume in (await native.observe()).volumes:
        await native.apply(actions.RemoveVolume(volume))


async def test_an_image_that_cannot_be_had_is_refused_before_anything_is_made(backend: NativeBackend) -> None:
    for image, told in (("rootfs:/nowhere", "no directory"), ("alpine", "no registries yet")):
        with pytest.raises(Orchestr8Error, match=told):
            await backend.check_image(image)


@pytest.fixture
async def running(backend: NativeBackend, image: str) -> ContainerName:
    name = ContainerName("shop-web-1")
    spec = ContainerSpec(image=image, command=("sleep", "1000"))
    made = actions.CreateContainer(
        name=name, stack=StackName("shop"), service=ServiceName("web"), number=1, spec=spec, config_hash=""
    )
    await backend.apply(made)
    await backend.apply(actions.StartContainer(name=name))
    return name


async def paused(backend: NativeBackend, name: ContainerName) -> bool:
    return (await backend.observe()).containers[name].paused


async def test_what_stands_still_for_two_goes_on_after_the_second(
    backend: NativeBackend, running: ContainerName
) -> None:
    found = backend._container(running)
    async with found.stillness.held():
        async with found.stillness.held():
            assert await paused(backend, running)
        assert await paused(backend, running), "one still needs it"
    assert not await paused(backend, running)


async def test_a_pause_of_the_users_outlasts_one_that_was_for_a_moment(
    backend: NativeBackend, running: ContainerName
) -> None:
    found = backend._container(running)
    async with found.stillness.held():
        await backend.apply(actions.PauseContainer(name=running))
    assert await paused(backend, running)
    async with found.stillness.held():
        assert await paused(backend, running)
    assert await paused(backend, running)
    await backend.apply(actions.UnpauseContainer(name=running))
    assert not await paused(backend, running)


async def test_a_pause_that_comes_at_the_same_time_outlasts_it(backend: NativeBackend, running: ContainerName) -> None:
    async def for_a_moment() -> None:
        async with backend._container(running).stillness.held():
            pass

    for _ in range(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(backend.apply, actions.PauseContainer(name=running))
            tasks.start_soon(for_a_moment)
        assert await paused(backend, running)
        await backend.apply(actions.UnpauseContainer(name=running))
        assert not await paused(backend, running)


async def test_what_the_user_lets_go_on_does_so_when_nobody_needs_it_still(
    backend: NativeBackend, running: ContainerName
) -> None:
    async with backend._container(running).stillness.held():
        await backend.apply(actions.PauseContainer(name=running))
        await backend.apply(actions.UnpauseContainer(name=running))
        assert await paused(backend, running)
    assert not await paused(backend, running)


async def test_folders_are_made_ahead_when_nothing_is_asked_for(
    backend: NativeBackend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blanks, rests = backend._around.blanks, 0
    sleep = anyio.sleep

    async def rest(_seconds: float) -> None:
        nonlocal rests
        rests += 1
        backend._acted += rests < 3  # something was asked for meanwhile, and is done
        await sleep(0)

    monkeypatch.setattr("orchestr8.backends.native.backend.anyio.sleep", rest)
    backend._acting = 1
    await backend._make_ahead()
    assert rests == 0, "somebody wants the processors"
    backend._acting = 0
    await backend._make_ahead()
    assert rests == 3
    assert blanks.ready == READY
    assert blanks.take(str(tmp_path / "one"))
    monkeypatch.setattr(blanks, "fill", lambda _count: False)  # a disk that is full, say
    await backend._make_ahead()
    assert blanks.ready == READY - 1


async def test_a_containers_folder_was_made_ahead_while_none_was_started(
    backend: NativeBackend, running: ContainerName, image: str, tmp_path: Path
) -> None:
    blanks = tmp_path / "root/blanks"
    with anyio.fail_after(10):
        while backend._around.blanks.wanting:
            await anyio.sleep(0.01)
    ready = {path.stat().st_ino for path in blanks.iterdir()}
    name = ContainerName("shop-web-2")
    spec = ContainerSpec(image=image, command=("sleep", "1000"))
    made = actions.CreateContainer(
        name=name, stack=StackName("shop"), service=ServiceName("web"), number=2, spec=spec, config_hash=""
    )
    await backend.apply(made)
    assert os.stat(backend._container(name).bundle).st_ino in ready
    assert len(list(blanks.iterdir())) == len(ready) - 1, "others are made once nothing is to be started"
    await backend.apply(actions.StartContainer(name=name))
    with anyio.fail_after(10):
        while backend._around.blanks.wanting:
            await anyio.sleep(0.01)
    assert len({path.stat().st_ino for path in blanks.iterdir()} & ready) == len(ready) - 1
