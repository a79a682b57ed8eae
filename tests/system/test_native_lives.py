"""A thousand lives of containers, one after the other, and what they leave: nothing."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench import leaks
from orchestr8.backends.native import NativeBackend
from orchestr8.errors import OperationFailed
from orchestr8.model.specs import AttachmentSpec, MountKind, MountSpec, PortSpec
from tests.backends.bench import FRONT, Bench
from tests.system.busybox import needs_busybox
from tests.system.test_native_backend import backend, image  # noqa: F401 - fixtures

pytestmark = [pytest.mark.anyio, pytest.mark.system, needs_busybox]

LIVES = 1000  # a hundred where the machine is busy
LIVES_CAP_S = 40.0


@dataclass(frozen=True)
class Place:
    """What is counted of: see `bench.leaks`."""

    root: str
    run_dir: str
    instance: str
    pids: dict[str, int]

    def status(self) -> dict[str, int]:
        return self.pids


@pytest.mark.timeout(180)
async def test_a_thousand_lives_leave_nothing_behind(
    backend: NativeBackend,  # noqa: F811
    image: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Created, started, killed, deleted: in a network with a port, with a volume, on a terminal; and some cannot start."""
    bench = Bench(backend, image)
    await bench.network()
    attached: dict[str, Any] = {
        "networks": (AttachmentSpec(network=FRONT),),
        "ports": (PortSpec(target=80, published_first=8080, published_last=8080),),
        "mounts": (MountSpec(kind=MountKind.VOLUME, source="", target="/data"),),
    }

    async def live(number: int) -> None:
        kind = number % 4
        words = ("/no/such/program",) if kind == 3 else ("sh", "-c", "sleep 1000 & sleep 1000; true")
        await bench.create(*words, tty=kind == 2, **(attached if kind == 1 else {}))
        if kind == 3:
            with pytest.raises(OperationFailed, match="not found"):
                await bench.start()
        else:
            await bench.start()
            await bench.stop(timeout_s=0)
        await bench.remove(volumes=True)

    place = Place(str(tmp_path / "root"), str(tmp_path / "run"), backend._cgroups.parent.removeprefix("orchestr8-"),
                  {"pid": os.getpid(), "forkserver_pid": backend.forkserver_pid})  # fmt: skip
    for number in range(8):
        await live(number)
    before = leaks.settled(place)
    deadline = time.monotonic() + LIVES_CAP_S
    for number in range(LIVES):
        await live(number)
        if number >= LIVES // 10 and time.monotonic() > deadline:
            break
    assert leaks.leaked(before, leaks.settled(place)) == {}
