"""The contract of every backend, on this machine: real namespaces, cgroups, overlays and links."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from orchestr8.backends.native import NativeBackend
from orchestr8.engine.store import Store
from orchestr8.errors import Orchestr8Error
from orchestr8.kernel.namespaces import CloneFlag, setns, unshare
from tests.backends.contract import *  # noqa: F403 - the fake passes what the real thing passes

pytestmark = [pytest.mark.anyio, pytest.mark.system]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def image(tmp_path: Path) -> str:
    """A tree with nothing but busybox, so that a container's start copies nothing of the host."""
    tree = tmp_path / "tree"
    for folder in ("bin", "etc", "tmp", "data"):
        (tree / folder).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin" / "busybox")
    for name in ("sh", "sleep", "echo", "cat", "true", "false", "printf", "kill", "ls", "id", "env", "test"):
        (tree / "bin" / name).symlink_to("busybox")
    (tree / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    return f"rootfs:{tree}"


@pytest.fixture
def network_namespace() -> Iterator[None]:
    """This thread, and those it starts, in a network namespace of their own with loopback up."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    unshare(CloneFlag.NEWNET)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    yield
    setns(before, CloneFlag.NEWNET)
    os.close(before)


@pytest.fixture
async def backend(tmp_path: Path, network_namespace: None) -> AsyncIterator[NativeBackend]:
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
    from orchestr8.model import actions

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
