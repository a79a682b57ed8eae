"""One-off containers that are to be removed when they are done, whether or not the client that asked is still there."""

import logging
from typing import Final

import anyio

from orchestr8.engine.bus import Bus
from orchestr8.errors import Orchestr8Error
from orchestr8.model.actions import RemoveContainer
from orchestr8.model.backend import Backend
from orchestr8.model.events import EventKind
from orchestr8.model.observed import ContainerState, Snapshot

log = logging.getLogger("orchestr8.engine")

REMOVE_WHEN_DONE: Final = "dev.orchestr8.remove-when-done"


async def remove_finished(backend: Backend, bus: Bus, *, task_status: anyio.abc.TaskStatus[None]) -> None:
    """Remove those that have ended, now and whenever one ends, until cancelled."""
    with bus.subscribe() as subscription:
        task_status.started()
        await _remove(backend, await backend.observe())
        while True:
            events = await subscription.next()
            for stack in {each.stack for each in events if each.kind is EventKind.DIE}:
                await _remove(backend, await backend.observe(stack))


async def _remove(backend: Backend, snapshot: Snapshot) -> None:
    for container in snapshot.containers.values():
        done = container.oneoff and container.state is ContainerState.EXITED
        if done and container.labels.get(REMOVE_WHEN_DONE) == "true":
            try:
                await backend.apply(RemoveContainer(name=container.name, volumes=True))
            except (Orchestr8Error, OSError) as error:
                log.warning("%s could not be removed: %s", container.name, error)
