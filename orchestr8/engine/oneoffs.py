"""One-off containers that are to be removed when they are done, whether or not the client that asked is still there."""

import logging
from collections import OrderedDict
from typing import Final

import anyio

from orchestr8.engine.bus import Bus
from orchestr8.errors import Orchestr8Error
from orchestr8.model.actions import RemoveContainer
from orchestr8.model.backend import Backend
from orchestr8.model.events import EventKind
from orchestr8.model.ids import ContainerId
from orchestr8.model.observed import ContainerState, ObservedContainer, Snapshot

log = logging.getLogger("orchestr8.engine")

REMOVE_WHEN_DONE: Final = "dev.orchestr8.remove-when-done"
_KEPT: Final = 100


class Departed:
    """The exit codes of the last of those that were removed: whose engine died over a `run` asks the next one."""

    def __init__(self) -> None:
        self._codes: OrderedDict[ContainerId, int] = OrderedDict()

    def keep(self, container: ObservedContainer) -> None:
        self._codes[container.id] = container.exit_code or 0
        while len(self._codes) > _KEPT:
            self._codes.popitem(last=False)

    def code_of(self, container_id: str) -> int | None:
        return self._codes.get(ContainerId(container_id))


async def remove_finished(
    backend: Backend, bus: Bus, departed: Departed, *, task_status: anyio.abc.TaskStatus[None]
) -> None:  # fmt: skip
    """Remove those that have ended, now and whenever one ends, until cancelled."""
    with bus.subscribe() as subscription:
        task_status.started()
        await _remove(backend, await backend.observe(), departed)
        while True:
            events = await subscription.next()
            for stack in {each.stack for each in events if each.kind is EventKind.DIE}:
                await _remove(backend, await backend.observe(stack), departed)


async def _remove(backend: Backend, snapshot: Snapshot, departed: Departed) -> None:
    for container in snapshot.containers.values():
        done = container.oneoff and container.state is ContainerState.EXITED
        if done and container.labels.get(REMOVE_WHEN_DONE) == "true":
            departed.keep(container)
            try:
                await backend.apply(RemoveContainer(name=container.name, volumes=True))
            except (Orchestr8Error, OSError) as error:
                log.warning("%s could not be removed: %s", container.name, error)
