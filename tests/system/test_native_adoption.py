"""What a former engine of the same root left: a living shim, a dying one, an end that nobody saw, damaged files."""

import asyncio
import os
import select
import signal
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from orchestr8.backends.native import NativeBackend, sandbox
from orchestr8.engine.store import Store
from orchestr8.errors import OperationFailed
from orchestr8.kernel.cgroup import CgroupTree
from orchestr8.model.actions import Action, PauseContainer, RemoveContainer, StopContainer, UnpauseContainer
from orchestr8.model.observed import ContainerState
from tests.backends.bench import WEB, Bench
from tests.system.busybox import make_image, needs_busybox

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.usefixtures("own_network"), needs_busybox]


class Place:
    """A root and its engines, one after the other."""

    def __init__(self, path: Path) -> None:
        self.root, self.run_dir = path / "root", path / "run"
        self.root.mkdir()
        self.run_dir.mkdir()
        self.instance = os.urandom(4).hex()
        self.image = f"rootfs:{make_image(f'{path}/tree')}"

    @asynccontextmanager
    async def engine(
        self, *, last: bool = False, forkserver: tuple[socket.socket, int] | None = None
    ) -> AsyncIterator[Bench]:
        async with Store.open(str(self.root / "state.db")) as store:
            backend = NativeBackend(
                root=str(self.root),
                run_dir=str(self.run_dir),
                instance=self.instance,
                registry=store,
                forkserver=forkserver,
            )
            try:
                await backend.start()
                yield Bench(backend, self.image)
                if last:
                    await backend.apply(StopContainer(name=WEB, timeout_s=0))
                    await backend.apply(RemoveContainer(name=WEB))
            finally:
                await backend.close(remove=last)

    def shims(self) -> list[str]:
        return os.listdir(self.run_dir / "shims")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def wait_for_end(pid: int) -> None:
    """Of a process that is nobody's child here."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([fd], [], [])
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("told", "rests"),
    [((), False), ((PauseContainer(name=WEB),), True), ((PauseContainer(name=WEB), UnpauseContainer(name=WEB)), False)],
    ids=["for a moment", "by the user", "no longer"],
)
async def test_what_stood_still_for_an_engine_that_died_goes_on_unless_the_user_has_paused_it(
    place: Place, told: tuple[Action, ...], rests: bool
) -> None:
    async with place.engine() as bench:
        await bench.create()
        await bench.start()
        held = bench.backend._container(WEB).stillness.held()  # type: ignore[attr-defined]
        await held.__aenter__()  # and nobody leaves it before the next engine is there
        for action in told:
            await bench.backend.apply(action)
        assert (await bench.see()).paused
    async with place.engine(last=True) as bench:
        assert (await bench.see()).paused == rests
        await bench.backend.apply(UnpauseContainer(name=WEB))
        assert not (await bench.see()).paused
        await held.__aexit__(None, None, None)  # this process is still the one that should have died


async def test_an_end_that_nobody_saw_is_seen_and_its_shim_let_go(place: Place) -> None:
    async with place.engine() as bench:
        await bench.create("sleep", "1000")
        await bench.start()
        pid = (await bench.see()).pid
    os.kill(pid, signal.SIGKILL)
    await anyio.to_thread.run_sync(wait_for_end, pid)
    async with place.engine(last=True) as bench:
        seen = await bench.until_exited()
        assert seen.exit_code == 137
        assert place.shims() == []


async def test_a_shim_that_ends_while_it_is_adopted_is_a_dead_one(place: Place) -> None:
    async with place.engine() as bench:
        await bench.create("true")
        container_id = (await bench.see()).id
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(place.run_dir / "shims" / container_id))
        listener.listen()

        def accept_and_die() -> None:
            listener.accept()[0].close()

        dying = threading.Thread(target=accept_and_die)
        dying.start()
        async with place.engine(last=True) as bench:
            assert (await bench.see()).state is ContainerState.CREATED
            await bench.start()
            assert (await bench.until_exited()).exit_code == 0
        dying.join()


async def test_files_that_a_power_cut_emptied_keep_no_engine_from_starting(place: Place) -> None:
    async with place.engine() as bench:
        await bench.create("true")
        await bench.start()
        await bench.until_exited()
        container_id = (await bench.see()).id
    bundle = place.root / "containers" / container_id
    (bundle / "state.json").write_bytes(bytes(2048))  # its length was on the disk, its content not yet
    (bundle / "config.json").write_bytes(b"")
    async with place.engine(last=True) as bench:
        seen = await bench.see()
        assert (seen.state, seen.exit_code) == (ContainerState.EXITED, 137)
        await bench.start()
        assert (await bench.until_exited()).exit_code == 0


async def test_a_shim_that_was_killed_a_moment_ago_can_be_stopped(place: Place) -> None:
    """The engine has not read the end of its connection yet when the order comes."""
    async with place.engine(last=True) as bench:
        await bench.create("sleep", "1000")
        await bench.start()
        shim = bench.backend.shim_pid(WEB)
        os.kill(shim, signal.SIGKILL)
        wait_for_end(shim)
        await bench.stop()
        assert (await bench.see()).exit_code == 137


async def test_an_end_that_cannot_be_cleaned_up_is_no_end_of_the_engine(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = anyio.Event()
    async with place.engine(last=True) as bench:
        loop = asyncio.get_running_loop()

        def remove(_tree: CgroupTree, _container: str) -> None:
            loop.call_soon_threadsafe(tried.set)
            raise OperationFailed("it is busy")

        with monkeypatch.context() as patch:
            patch.setattr(CgroupTree, "remove", remove)
            await bench.create("true")
            await bench.start()
            await tried.wait()
            await anyio.wait_all_tasks_blocked()
        assert (await bench.until_exited()).exit_code == 0
        await bench.start()


async def test_a_shim_that_says_nothing_keeps_no_engine_from_starting(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "_ANSWER_S", 0.05)
    async with place.engine() as bench:
        await bench.create("sleep", "1000")
        await bench.start()
        shim = bench.backend.shim_pid(WEB)
    os.kill(shim, signal.SIGSTOP)
    try:
        async with place.engine(last=True) as bench:
            assert (await bench.see()).exit_code == 137
    finally:
        os.kill(shim, signal.SIGKILL)
        await anyio.to_thread.run_sync(wait_for_end, shim)


async def test_a_forkserver_that_died_after_it_started_the_engine_is_replaced(place: Place) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    async with place.engine(last=True, forkserver=(ours, 1)) as bench:
        await bench.create("true")
        await bench.start()
        assert (await bench.until_exited()).exit_code == 0
