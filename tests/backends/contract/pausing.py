"""A container that stands still: what waits for it to go on, and what ends it all the same."""

import socket

import anyio
import pytest

from orchestr8.errors import Conflict
from orchestr8.model.actions import KillContainer, PauseContainer, UnpauseContainer
from orchestr8.model.backend import ExecSpec, Paused
from orchestr8.model.events import EventKind
from orchestr8.model.observed import ContainerState
from tests.backends.bench import WEB, Bench
from tests.backends.streams import run_exec


async def test_a_paused_container_does_nothing_until_it_goes_on(bench: Bench) -> None:
    await bench.create("cat", stdin_open=True)
    await bench.start()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        await bench.backend.attach(WEB, theirs.fileno(), stdin=True)
        theirs.close()
        ours.setblocking(False)
        for _ in range(2):  # a second time: nothing to do
            await bench.backend.apply(PauseContainer(name=WEB))
        seen = await bench.see()
        assert (seen.state, seen.paused) == (ContainerState.RUNNING, True)
        ours.sendall(b"said while it was paused\n")
        with pytest.raises(Paused, match="is paused"):
            await run_exec(bench, ExecSpec(argv=("true",), stdin=False), b"")
        with pytest.raises(Paused, match="is paused"):
            await bench.backend.probe(WEB, ("true",), 1.0)
        with pytest.raises(BlockingIOError):
            ours.recv(1)
        for _ in range(2):
            await bench.backend.apply(UnpauseContainer(name=WEB))
        assert not (await bench.see()).paused
        await anyio.wait_readable(ours)
        assert b"said while it was paused" in ours.recv(4096)
    assert [each.kind for each in bench.events if each.kind in {EventKind.PAUSE, EventKind.UNPAUSE}] == [
        EventKind.PAUSE,
        EventKind.UNPAUSE,
    ]
    await bench.stop()


@pytest.mark.parametrize("how", ["stopped", "stopped at once", "killed", "terminated"])
async def test_a_paused_container_can_be_ended(bench: Bench, how: str) -> None:
    await bench.create()
    await bench.start()
    await bench.backend.apply(PauseContainer(name=WEB))
    if how == "killed":
        await bench.backend.apply(KillContainer(name=WEB))
    elif how == "terminated":
        await bench.backend.apply(KillContainer(name=WEB, signal="SIGTERM"))
    else:
        await bench.stop(timeout_s=0 if how == "stopped at once" else None)
    seen = await bench.until_exited()
    assert (seen.paused, seen.stopped_by_user) == (False, True)
    await bench.start()
    assert not (await bench.see()).paused
    await bench.stop()


async def test_what_does_not_run_cannot_be_paused(bench: Bench) -> None:
    await bench.create()
    with pytest.raises(Conflict, match="is not running"):
        await bench.backend.apply(PauseContainer(name=WEB))
    await bench.backend.apply(UnpauseContainer(name=WEB))


async def test_other_signals_wait_until_it_goes_on(bench: Bench) -> None:
    await bench.create(stop_signal="SIGINT")
    await bench.start()
    await bench.backend.apply(PauseContainer(name=WEB))
    await bench.backend.apply(KillContainer(name=WEB, signal="SIGTERM"))
    seen = await bench.see()
    assert (seen.state, seen.paused) == (ContainerState.RUNNING, True)
    await bench.backend.apply(UnpauseContainer(name=WEB))
    assert (await bench.until_exited()).exit_code == 143
