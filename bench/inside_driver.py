"""Create and start containers by the native backend itself, without CLI, HTTP or plan: what these cost inside an engine.

A program of its own, run by the Python of the installation that is measured, since it imports that. It prints JSON:
{"one by one": {"create and start": [seconds, …], …}, "restart": [seconds, …], "at once": seconds for all, …,
"document": OCI's of one}.
usage: python inside_driver.py ROOT RUN_DIR ROOTFS COUNT
"""

import glob
import json
import os
import signal
import sys
import time
from typing import Any

import anyio

from orchestr8.backends.native.backend import NativeBackend
from orchestr8.engine.store import Store
from orchestr8.model.actions import (
    CreateContainer,
    CreateNetwork,
    RemoveContainer,
    RemoveNetwork,
    StartContainer,
    StopContainer,
)
from orchestr8.model.events import Event, EventKind
from orchestr8.model.ids import ContainerName, NetworkName, ServiceName, StackName
from orchestr8.model.specs import AttachmentSpec, ContainerSpec, NetworkSpec, RestartMode, RestartPolicy
from orchestr8.plan.restart import FIRST_DELAY_S
from orchestr8.wire.paths import instance_hash

STACK = StackName("inside")
NETWORK = NetworkName("inside_default")
READINGS = 10
REST_S = 1.0  # for an engine to make ahead what it can, as one has done that is asked for something by people


def creation(number: int, rootfs: str, networks: tuple[AttachmentSpec, ...] = ()) -> CreateContainer:
    spec = ContainerSpec(
        image=f"rootfs:{rootfs}",
        command=("sleep", "1000"),
        init=True,
        networks=networks,
        stop_timeout_s=2.0,
        restart=RestartPolicy(mode=RestartMode.UNLESS_STOPPED),
    )
    return CreateContainer(
        name=ContainerName(f"inside-s{number}-1"), stack=STACK, service=ServiceName(f"s{number}"), number=1, spec=spec,
        config_hash="",
    )  # fmt: skip


async def measure(root: str, run_dir: str, rootfs: str, count: int) -> dict[str, Any]:
    os.makedirs(root, exist_ok=True)
    creations = [creation(number, rootfs, (AttachmentSpec(network=NETWORK),)) for number in range(count)]
    alone = [creation(number, rootfs) for number in range(count)]
    found: dict[str, Any] = {}
    async with Store.open(f"{root}/state.db") as store:
        log_fd = os.open(f"{root}/engine.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        backend = NativeBackend(
            root=root, run_dir=run_dir, instance=instance_hash(root), registry=store, log_fd=log_fd
        )  # fmt: skip
        await backend.start()
        try:
            await backend.apply(CreateNetwork(STACK, NetworkSpec(name=NETWORK, key="default")))
            await anyio.sleep(REST_S)
            found["one by one"] = await one_by_one(backend, creations)
            found["document"] = document_of_one(root)
            found["restart"] = await restarts(backend, creations)
            found["stop and remove at once"] = await all_at_once(backend, creations, end)
            found["at once"] = await all_at_once(backend, creations, begin)
            found["figures"] = [await reading(backend, creations) for _ in range(READINGS)]
            await all_at_once(backend, creations, end)
            found["without a network"] = (await one_by_one(backend, alone))["create and start"]
        finally:
            await clear(backend)
            await backend.close(remove=True)
            os.close(log_fd)
    return found


async def reading(backend: NativeBackend, creations: list[CreateContainer]) -> float:
    """What `stats` asks an engine for: the figures of all that run."""
    begun = time.monotonic()
    found = await backend.figures([each.name for each in creations])
    seconds = time.monotonic() - begun
    assert len(found) == len(creations)
    return seconds


async def begin(backend: NativeBackend, container: CreateContainer) -> None:
    await backend.apply(container)
    await backend.apply(StartContainer(name=container.name))


async def end(backend: NativeBackend, container: CreateContainer) -> None:
    await backend.apply(StopContainer(name=container.name))
    await backend.apply(RemoveContainer(name=container.name))


async def clear(backend: NativeBackend) -> None:
    """Shims outlive whoever made them, and so must not be left behind by a measurement that fails."""
    there = await backend.observe(STACK)
    for name in there.containers:
        await backend.apply(StopContainer(name=name))
        await backend.apply(RemoveContainer(name=name))
    for network in there.networks:
        await backend.apply(RemoveNetwork(network))


async def one_by_one(backend: NativeBackend, creations: list[CreateContainer]) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {"create": [], "start": [], "create and start": []}
    for container in creations:
        begun = time.monotonic()
        await backend.apply(container)
        created = time.monotonic()
        await backend.apply(StartContainer(name=container.name))
        started = time.monotonic()
        seconds["create"].append(created - begun)
        seconds["start"].append(started - created)
        seconds["create and start"].append(started - begun)
    return seconds


async def restarts(backend: NativeBackend, creations: list[CreateContainer]) -> list[float]:
    """Of each, killed from outside, from its exit to its program's execve, without the policy's first delay in between.

    Both moments are the shim's: it is the parent, and sees them first.
    """
    died: dict[str, anyio.Event] = {each.name: anyio.Event() for each in creations}

    def hear(event: Event) -> None:
        if event.kind is EventKind.DIE:
            died[event.container].set()

    backend.subscribe(hear)
    seconds = []
    for container in creations:
        there = await backend.observe(STACK)
        os.kill(there.containers[container.name].pid, signal.SIGKILL)  # by nobody who would tell the engine
        await died[container.name].wait()
        told = time.time()
        await anyio.sleep(FIRST_DELAY_S)
        resumed = time.time()
        exited = (await backend.observe(STACK)).containers[container.name].finished_at
        await backend.apply(StartContainer(name=container.name, by_policy=True))
        runs = (await backend.observe(STACK)).containers[container.name].started_at
        seconds.append((told - exited) + (runs - resumed))
    return seconds


def document_of_one(root: str) -> dict[str, Any]:
    """OCI's, of a container that is there."""
    path = glob.glob(f"{root}/containers/*/config.json")[0]
    with open(path, encoding="utf-8") as file:
        document: dict[str, Any] = json.load(file)
    return document


async def all_at_once(backend: NativeBackend, creations: list[CreateContainer], work: Any) -> float:
    begun = time.monotonic()
    async with anyio.create_task_group() as tasks:
        for container in creations:
            tasks.start_soon(work, backend, container)
    return time.monotonic() - begun


if __name__ == "__main__":
    root, run_dir, rootfs, count = sys.argv[1:]
    print(json.dumps(anyio.run(measure, root, run_dir, rootfs, int(count))))
