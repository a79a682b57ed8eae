"""One-off containers that are to be removed when they are done, whether or not the client that asked is still there."""

import logging
from collections import OrderedDict
from typing import Final

import anyio

from orchestr8.engine.bus import Bus
from orchestr8.engine.store import Store
from orchestr8.errors import Orchestr8Error
from orchestr8.model.actions import RemoveContainer
from orchestr8.model.backend import Backend
from orchestr8.model.events import EventKind
from orchestr8.model.ids import ContainerId
from orchestr8.model.observed import ContainerState, ObservedContainer, RunEnd, Snapshot
from orchestr8.model.records import DepartedRecord

log = logging.getLogger("orchestr8.engine")

REMOVE_WHEN_DONE: Final = "dev.orchestr8.remove-when-done"
_KEPT: Final = 100
_RUNS_KEPT: Final = 1000


class Departed:
    """How runs ended that can no more be seen: whose engine died over a `run` or an `attach` asks the next one.

    Of one-offs that were removed it is stored before they are. Of containers that were started again it is what this
    engine saw, when it came and since: a policy acts only after that.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._runs: OrderedDict[tuple[ContainerId, float], RunEnd] = OrderedDict()

    async def keep(self, container: ObservedContainer) -> None:
        end = RunEnd.of(container)
        record = DepartedRecord(
            name=container.name, stack=container.stack, id=container.id,
            exit_code=end.exit_code, why=end.why, at=container.finished_at,
        )  # fmt: skip
        await self._store.save(record)
        oldest = sorted(self._store.departed.values(), key=lambda each: each.at)[:-_KEPT]
        if oldest:
            await self._store.forget(*oldest)

    def end_of(self, container_id: str) -> RunEnd | None:
        for each in self._store.departed.values():
            if each.id == container_id:
                return RunEnd(each.exit_code, each.why)
        return None

    def see(self, snapshot: Snapshot) -> None:
        for container in snapshot.containers.values():
            if container.state is ContainerState.EXITED:
                self._runs[container.id, container.started_at] = RunEnd.of(container)
        while len(self._runs) > _RUNS_KEPT:
            self._runs.popitem(last=False)

    def end_of_run(self, container_id: ContainerId, started_at: float) -> RunEnd | None:
        return self._runs.get((container_id, started_at))


async def remove_finished(
    backend: Backend, bus: Bus, departed: Departed, *, task_status: anyio.abc.TaskStatus[None]
) -> None:  # fmt: skip
    """Remove those that have ended, now and whenever one ends, until cancelled. "Started" means that what was so before
    any policy acts has been seen.
    """
    with bus.subscribe() as subscription:
        snapshot = await backend.observe()
        departed.see(snapshot)
        task_status.started()
        await _remove(backend, snapshot, departed)
        while True:
            events = await subscription.next()
            for stack in {each.stack for each in events if each.kind is EventKind.DIE}:
                snapshot = await backend.observe(stack)
                departed.see(snapshot)
                await _remove(backend, snapshot, departed)


async def _remove(backend: Backend, snapshot: Snapshot, departed: Departed) -> None:
    for container in snapshot.containers.values():
        done = container.oneoff and container.state is ContainerState.EXITED
        if done and container.labels.get(REMOVE_WHEN_DONE) == "true":
            try:
                await departed.keep(container)
                await backend.apply(RemoveContainer(name=container.name, volumes=True))
            except (Orchestr8Error, OSError) as error:
                log.warning("%s could not be removed: %s", container.name, error)
