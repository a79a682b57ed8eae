"""Single containers, as Docker's routes know them: found by name or id, started, waited for, attached to, removed."""

import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from orchestr8.api.errors import as_error
from orchestr8.api.services import Found
from orchestr8.engine.bus import Bus
from orchestr8.engine.inspect import describe
from orchestr8.engine.oneoffs import Departed
from orchestr8.engine.processes import TITLES, rows
from orchestr8.errors import Conflict, NotFound
from orchestr8.model.actions import (
    KillContainer,
    PauseContainer,
    RemoveContainer,
    StartContainer,
    StopContainer,
    UnpauseContainer,
)
from orchestr8.model.backend import Backend, OpenedPath
from orchestr8.model.events import Event, EventKind
from orchestr8.model.ids import ContainerName
from orchestr8.model.observed import ContainerState, ObservedContainer, RunEnd, Snapshot
from orchestr8.model.records import HealthRecord
from orchestr8.model.signals import signal_name, signal_number
from orchestr8.wire.frames import ERROR, encode
from orchestr8.wire.http import Hijacked

log = logging.getLogger("orchestr8.engine")

ID_PART: Final = re.compile(r"[0-9a-f]{1,64}")


class Containers:
    """`api.services.ContainerService`."""

    def __init__(
        self,
        backend: Backend,
        bus: Bus,
        departed: Departed,
        look: Callable[[], Awaitable[Snapshot]],
        known_health: Callable[[ObservedContainer], HealthRecord | None],
    ) -> None:
        """`look`: what there is, with the health of each container. `known_health`: what its probes found."""
        self._backend = backend
        self._known_health = known_health
        self._look_at_all = look
        self._bus = bus
        self._departed = departed

    async def find(self, reference: str) -> Found:
        snapshot = await self._backend.observe()
        container = snapshot.containers.get(ContainerName(reference))
        if container is None:
            found = [each for each in snapshot.containers.values() if _is_id(reference, each.id)]
            if len(found) > 1:
                raise Conflict(f"several containers have an id that begins with {reference}")
            if not found:
                raise NotFound(f"No such container: {reference}")
            container = found[0]
        spec = snapshot.specs.get(container.name)
        return Found(container=container, has_terminal=spec is not None and spec.tty)

    async def inspect(self, reference: str) -> dict[str, Any]:
        name = (await self.find(reference)).container.name
        snapshot = await self._look_at_all()
        if name not in snapshot.containers:
            raise NotFound(f"No such container: {reference}")
        container = snapshot.containers[name]
        return describe(container, snapshot.specs[name], snapshot.volumes, self._known_health(container))

    async def top(self, reference: str) -> dict[str, Any]:
        found = await self._backend.processes((await self.find(reference)).container.name)
        uptime_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        return {"Titles": list(TITLES), "Processes": rows(found, now=time.time(), uptime_s=uptime_s)}

    def departed(self, reference: str) -> RunEnd | None:
        return self._departed.end_of(reference)

    def past(self, container: ObservedContainer, run: float) -> RunEnd:
        end = self._departed.end_of_run(container.id, run)
        if end is None:
            raise Conflict(
                f"{container.name} was started again, and how its run before that ended is not known",
                helps=["orchestr8 logs says what it wrote last"],
            )
        return end

    async def start(self, name: ContainerName) -> Sequence[str]:
        return await self._backend.apply(StartContainer(name=name))

    async def kill(self, name: ContainerName, signal: str) -> None:
        await self._backend.apply(KillContainer(name=name, signal=signal_name(signal_number(signal))))

    async def pause(self, name: ContainerName, *, paused: bool) -> None:
        await self._backend.apply(PauseContainer(name=name) if paused else UnpauseContainer(name=name))

    async def remove(self, container: ObservedContainer, *, force: bool) -> None:
        """A one-off's anonymous volumes go with it: nobody else can have a use for them."""
        if container.state is ContainerState.RUNNING:
            if not force:
                raise Conflict(
                    f'cannot remove container "{container.name}": container is running: '
                    "stop the container before removing or force remove"
                )
            await self._backend.apply(StopContainer(name=container.name, timeout_s=0))
        await self._backend.apply(RemoveContainer(name=container.name, volumes=container.oneoff))

    async def resize(self, name: ContainerName, rows: int, columns: int) -> None:
        await self._backend.resize(name, rows, columns)

    async def open_path(
        self, name: ContainerName, path: str, *, write: bool = False, follow: bool = False
    ) -> OpenedPath:
        return await self._backend.open_path(name, path, write=write, follow=follow)

    async def attach(self, found: Found, connection: Hijacked, *, stdin: bool, guest: bool) -> None:
        name = found.container.name
        try:
            await self._backend.attach(name, connection.fileno(), connection.early, stdin=stdin, guest=guest)
        except Exception as failure:  # noqa: BLE001 - the border: the answer has begun, so it is told in the stream
            await connection.send(error_bytes(failure, tty=found.has_terminal))

    async def wait(
        self,
        container: ObservedContainer,
        condition: str,
        begun: Callable[[], Awaitable[None]],
        run: float | None = None,
    ) -> RunEnd:
        """Docker's conditions; without one, the end of the run that is on or that comes next; of the one that began at `run`."""
        with self._bus.subscribe(container.stack) as subscription:
            end = await self._already(container, condition, run)
            if end is not None and condition != "removed":
                return end
            await begun()
            while True:
                for event in await subscription.next():
                    if event.id != container.id:
                        continue
                    if event.kind is EventKind.DIE:
                        end = RunEnd(await self._exit_code(event), event.attributes.get("why", ""))
                        if condition != "removed":
                            return end
                    elif event.kind is EventKind.DESTROY:
                        if condition == "removed":
                            return end or RunEnd(0)
                        raise NotFound(f"{container.name} was removed before it ended")
                if condition == "removed" and await self._look(container) is None:
                    return end or RunEnd(0)

    async def _already(self, container: ObservedContainer, condition: str, run: float | None) -> RunEnd | None:
        """The end, when there is nothing to wait for."""
        now = await self._look(container)
        if now is None:
            raise NotFound(f"No such container: {container.name}")
        if run is not None and now.started_at != run:
            return self.past(now, run)
        if now.state is ContainerState.EXITED and condition != "next-exit":
            return RunEnd.of(now)
        if now.state is ContainerState.CREATED and condition == "not-running":
            return RunEnd(0)
        return None

    async def _look(self, container: ObservedContainer) -> ObservedContainer | None:
        found = (await self._backend.observe(container.stack)).containers.get(container.name)
        return found if found is not None and found.id == container.id else None

    async def _exit_code(self, event: Event) -> int:
        text = event.attributes.get("exitCode", "")
        if text.lstrip("-").isdecimal():
            return int(text)
        found = (await self._backend.observe(event.stack)).containers.get(event.container)
        return (found.exit_code if found is not None else None) or 0


def _is_id(reference: str, container_id: str) -> bool:
    """Docker's ids have 64 digits of which clients show 12: either may be asked for."""
    if not ID_PART.fullmatch(reference):
        return False
    return container_id.startswith(reference) or (
        len(reference) > len(container_id) and reference.startswith(container_id)
    )


def error_bytes(failure: BaseException, *, tty: bool = False) -> bytes:
    """A failure after the connection was handed over: Docker's stream of the engine's own errors; text for a terminal."""
    error = as_error(failure)
    return f"{error.message}\r\n".encode() if tty else encode(ERROR, json.dumps(error.to_json()).encode())
