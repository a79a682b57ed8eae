"""An engine that is killed at a line of what it does for a container, and the next one, which finishes it.

`crash_lab` kills between Actions. Here the engine is killed within one, at each line of the backend, of storage, network and
client that the Action comes by, the first time that it does: whatever has been done by then is what its successor finds.
`python -m tests.system.crash_steps` goes through all lines, which takes some minutes; a test run through some of them.
"""

import contextlib
import os
import select
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

import anyio

from e2e.network import own_network
from e2e.residue import residue
from orchestr8.backends.native import NativeBackend
from orchestr8.engine.store import Store
from orchestr8.model import actions
from orchestr8.model.observed import ContainerState
from orchestr8.model.specs import AttachmentSpec, MountKind, MountSpec, PortSpec, VolumeSpec
from tests.backends.bench import DATA, FRONT, STACK, WEB, Bench
from tests.system.busybox import make_image

PACKAGE: Final = Path(__file__).parent.parent.parent / "orchestr8"
WATCHED: Final = tuple(
    f"{PACKAGE}/{name}"
    for name in (
        *("backends/native/", "storage/", "network/manager.py"),
        *("runtime/client.py", "runtime/channel.py", "runtime/forkserver_client.py"),
    )
)
WITHIN_S: Final = 20.0
PROGRAM: Final = ("sh", "-c", "echo begun >> /data/begun; sleep 1000")


class Killed:
    """Counts the watched lines that are come by for the first time, and SIGKILLs this process at one of them."""

    def __init__(self, at: int, told: int) -> None:
        self._at = at
        self._told = told  # a pipe: where it was
        self._lines: set[tuple[str, int]] = set()
        self._lock = threading.Lock()
        self.armed = False
        threading.settrace(self._trace)  # worker threads outlive what they were made for
        sys.settrace(self._trace)

    def tell(self, what: str) -> None:
        os.write(self._told, what.encode())

    def _trace(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        return self._line if self.armed and frame.f_code.co_filename.startswith(WATCHED) else None

    def _line(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            place = (frame.f_code.co_filename, frame.f_lineno)
            with self._lock:
                if place not in self._lines:
                    self._lines.add(place)
                    if len(self._lines) == self._at:
                        self.tell(f"{Path(place[0]).relative_to(PACKAGE)}:{place[1]}")
                        os.kill(os.getpid(), signal.SIGKILL)
        return self._line


class Steps:
    """A root, engines of it that are killed, and their successors."""

    def __init__(self, path: Path) -> None:
        self.path = path
        tree = path / "tree"
        make_image(str(tree))
        (tree / "data").mkdir()
        (tree / "data" / "seed").touch()
        self.image = f"rootfs:{tree}"
        self.instance = os.urandom(4).hex()
        self.root, self.run_dir = path / "root", path / "run"

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[Bench]:
        log = os.open(self.path / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        async with Store.open(str(self.root / "state.db")) as store:
            backend = NativeBackend(
                root=str(self.root),
                run_dir=str(self.run_dir),
                instance=self.instance,
                registry=store,
                log_fd=log,
            )
            clean = False
            try:
                await backend.start()
                yield Bench(backend, self.image)
                clean = not (await backend.observe()).containers
            finally:
                await backend.close(remove=clean)
                os.close(log)

    # --- the engine that dies -------------------------------------------------------------------------------------

    def kill_at(self, verb: str, number: int) -> str:
        """Where it was killed; "" when `verb` was done before so many lines were come by."""
        self.root.mkdir(exist_ok=True)
        self.run_dir.mkdir(exist_ok=True)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.close(reader)
                os.setsid()
                anyio.run(self._do, verb, Killed(number, writer))
                code = 0
            except BaseException:  # noqa: BLE001 - told, and then this process ends, whatever it was
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(writer)
        with open(reader, encoding="utf-8") as told:
            forkserver, _, place = told.read().partition("\n")
        _, status = os.waitpid(pid, 0)
        # Where an engine is started by the forkserver of the one that died, that is done with what it was told before.
        await_end(int(forkserver))
        code = os.waitstatus_to_exitcode(status)
        assert code in {0, -signal.SIGKILL}, f"{verb}, line {number}: it ended with {code}"
        return place

    async def _do(self, verb: str, killed: Killed) -> None:
        """`verb` under observation, and all that comes before it."""
        async with self.engine() as bench:
            killed.tell(f"{bench.backend.forkserver_pid}\n")
            await bench.network()
            await bench.backend.apply(actions.CreateVolume(STACK, VolumeSpec(name=DATA, key="data")))
            for each in ("create", "start", "stop", "remove"):
                killed.armed = each == verb
                await _VERBS[each](bench)
                if each == verb:
                    os._exit(0)  # as killed, but after it

    # --- its successor --------------------------------------------------------------------------------------------

    async def finish(self, verb: str, where: str) -> None:
        """What was begun is brought to its end by the next engine, once; then everything goes, without a trace."""
        async with self.engine() as bench:
            seen = (await bench.backend.observe()).containers
            if verb in {"create", "start"}:
                if WEB not in seen:
                    assert verb == "create", f"{where}: it is lost"
                    await create(bench)
                if (await bench.see()).state is not ContainerState.RUNNING:
                    await bench.start()
                container = await bench.see()
                assert container.state is ContainerState.RUNNING, where
                begun = Path(self.root, "volumes", DATA, "data/begun")
                with anyio.fail_after(WITHIN_S):
                    while not (begun.exists() and begun.read_text()):
                        await anyio.sleep(0.01)  # between two looks
                assert begun.read_text() == "begun\n", f"{where}: its program ran twice"
                assert (begun.parent / "seed").exists(), f"{where}: its volume was not filled"
                assert container.ports, where
            if WEB in (await bench.backend.observe()).containers:
                await bench.stop(timeout_s=0)
                assert (await bench.see()).state is not ContainerState.RUNNING, where
                await bench.remove(volumes=True)
            await bench.backend.apply(actions.RemoveNetwork(FRONT))
            await bench.backend.apply(actions.RemoveVolume(DATA))
        left = [each for each in residue(str(self.root), self.instance, str(self.run_dir)) if "/run" not in each]
        assert left == [], f"{where}: {left}"
        assert os.listdir(self.run_dir) == [], where


async def create(bench: Bench) -> None:
    await bench.create(
        *PROGRAM,
        networks=(AttachmentSpec(network=FRONT),),
        mounts=(
            MountSpec(kind=MountKind.VOLUME, source=DATA, target="/data"),
            MountSpec(kind=MountKind.VOLUME, target="/scratch"),
        ),
        ports=(PortSpec(target=80, published_first=8080, published_last=8080),),
        hostname="web",
    )


_VERBS: Final[dict[str, Callable[[Bench], Any]]] = {
    "create": create,
    "start": lambda bench: bench.start(),
    "stop": lambda bench: bench.stop(timeout_s=0),
    "remove": lambda bench: bench.remove(volumes=True),
}


def await_end(pid: int) -> None:
    """Of a process that need not be a child of this one."""
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(pid)
        ended, _, _ = select.select([pidfd], [], [], WITHIN_S)
        os.close(pidfd)
        assert ended, f"process {pid} does not end"


def go_through(verb: str, first: int, stride: int) -> int:
    """Every `stride`th line from the `first` on; how many there were."""
    times = 0
    while True:
        with tempfile.TemporaryDirectory(prefix="orchestr8-steps-") as folder, own_network():
            steps = Steps(Path(folder))
            place = steps.kill_at(verb, first + times * stride)
            where = f"{verb} killed at {place or 'its end'}"
            try:
                anyio.run(steps.finish, verb, where)
            except BaseException as error:
                error.add_note(f"{where}\n{(steps.path / 'log').read_text()}")
                raise
        if not place:
            return times
        times += 1


def main() -> None:
    for verb in _VERBS:
        print(f"{verb}: each of {go_through(verb, 1, 1)} lines", flush=True)


if __name__ == "__main__":
    main()
