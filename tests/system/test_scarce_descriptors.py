"""A shim that has no descriptor left at the wrong moment: what was begun fails or goes on, and nothing is left that nobody knows of."""

import contextlib
import os
import resource
import signal
from collections.abc import Iterator

import anyio
import anyio.lowlevel
import pytest

from orchestr8.errors import OperationFailed, Unavailable
from orchestr8.runtime.client import ShimClient
from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.processes import alive, children_of
from tests.system.runtime_fixtures import Box, Runtime, a_cradle, eventually

pytestmark = [pytest.mark.system, pytest.mark.anyio, requires("root", "overlayfs"), needs_busybox]

_PLENTY = 20_000


def descriptors_of(pid: int) -> list[int]:
    return sorted(int(each) for each in os.listdir(f"/proc/{pid}/fd"))


@contextlib.contextmanager
def room_for(pid: int, count: int) -> Iterator[None]:
    """Let the process open `count` descriptors and no more."""
    used = descriptors_of(pid)
    free = [number for number in range(used[-1] + 2 + count) if number not in used]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free[count], _PLENTY))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (_PLENTY, _PLENTY))


async def failed(box: Box) -> bool:
    try:
        await box.start()
    except (OperationFailed, Unavailable):
        return True
    return False


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_a_start_that_fails_at_its_end_leaves_no_program_behind(runtime: Runtime, count: int) -> None:
    """PID 1 is there by then, and known by its number alone."""
    shim, cradle = await a_cradle(runtime)
    box = await runtime.create("sh", "-c", "echo run; exec sleep 1000")
    await box.status()
    outcomes: list[bool] = []

    async def start() -> None:
        outcomes.append(await failed(box))

    os.kill(cradle, signal.SIGSTOP)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(start)
        await eventually(lambda: runtime.waits_in(cradle), "the order")
        with room_for(shim, count):
            os.kill(cradle, signal.SIGCONT)
            await eventually(lambda: outcomes, "the end of the start")
    if outcomes == [True]:
        await eventually(lambda: children_of(shim) == [], "that nothing is left of it")
        assert runtime.tree.pids(box.id) == []
        await box.start()
    await eventually(lambda: children_of(shim) == [box.pid], "that it runs once")


async def test_starts_that_fail_at_their_beginning_leave_no_cradle(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    shim = box.shim_pid
    for count in range(8):
        runs = len(box.exits)
        await box.kill()
        await box.wait(runs + 1)
        await eventually(lambda: children_of(shim) == [], "the end of all")
        before = descriptors_of(shim)
        box.shim.prepare()
        await eventually(lambda: children_of(shim), "a cradle")
        with room_for(shim, count):
            over = await failed(box)
        if over:
            await eventually(lambda: children_of(shim) == [], "that nothing is left")
            assert descriptors_of(shim) == before
            await box.start()
        await eventually(lambda: children_of(shim) == [box.pid], "that it runs once")


async def test_a_shim_is_released_though_it_cannot_open_anything(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its PID 1 waits for a network that nobody brings."""
    shim, cradle = await a_cradle(runtime)
    with monkeypatch.context() as patch:
        patch.setattr(ShimClient, "equip", lambda *_: None)
        box = await runtime.create("sleep", "1000")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(failed, box)
        (init,) = await eventually(lambda: [each for each in children_of(shim) if each != cradle], "PID 1")
        with room_for(shim, 0):
            box.shim.release()
            await eventually(lambda: not alive(shim), "the end of the shim")
    assert not alive(init)
    assert not alive(cradle)


async def test_an_exec_that_nobody_can_follow_ends_alone(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    shim, over = box.shim_pid, []

    async def execute() -> None:
        with contextlib.suppress(OperationFailed):
            await box.exec("sleep", "1000")
        over.append(True)

    async with anyio.create_task_group() as tasks:
        before = set(children_of(shim))
        tasks.start_soon(execute)
        while not (fresh := set(children_of(shim)) - before):
            await anyio.lowlevel.checkpoint()
        for each in fresh:
            os.kill(each, signal.SIGSTOP)
        with room_for(shim, 0):
            for each in fresh:
                os.kill(each, signal.SIGCONT)
            await eventually(lambda: over, "an answer")
    assert alive(box.pid)
    await box.kill()
    assert await box.wait() == 137
    await eventually(lambda: children_of(shim) == [], "that all are waited for")
