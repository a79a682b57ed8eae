"""A stack's logs as one stream: what is stored, in the order of time; then, followed, what is written.

    sources    one per container: a reader of its files (`runtime.logs`), a number, a name
    stored     merged in threads, piece by piece (`logmerge`)
    followed   inotify marks a source, an event says "look again": new containers become sources, and one that ended is
               read to its end before its end is announced, for its shim writes all output before it tells the exit

One task per client writes to its connection, so a slow client delays nobody and costs one piece of memory.
"""

import contextlib
import errno
import itertools
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import anyio
import anyio.to_thread

from orchestr8.api.services import Listed, LogQuery
from orchestr8.engine.bus import Bus, Subscription
from orchestr8.engine.containers import error_bytes
from orchestr8.engine.logmerge import StoredMerge, announcement, block_bytes, frames
from orchestr8.engine.stacks import Stacks
from orchestr8.engine.watch import DirectoryWatcher
from orchestr8.errors import Conflict, NotFound, Orchestr8Error
from orchestr8.model.backend import Backend
from orchestr8.model.events import Event, EventKind
from orchestr8.model.ids import ContainerId
from orchestr8.model.observed import ContainerState, ObservedContainer, lack_of_memory
from orchestr8.model.specs import LogDriver
from orchestr8.plan.order import near
from orchestr8.runtime.logmarks import Mark
from orchestr8.runtime.logrecords import time_text
from orchestr8.runtime.logs import LogReader, Place
from orchestr8.wire.http import Send

BLOCKS_IN_A_ROW: Final = 4  # of one source, before the others have their turn
WRITING_S: Final = 0.1  # from a line's time to when it is in its file
CLOCK_S: Final = 10.0  # how often the clock is looked at


class Logs:
    """`api.services.LogService`."""

    def __init__(self, backend: Backend, bus: Bus, watcher: DirectoryWatcher, stacks: Stacks) -> None:
        self.backend = backend
        self.bus = bus
        self.watcher = watcher
        self.stacks = stacks

    async def check(self, query: LogQuery) -> None:
        containers = (await self.backend.observe(query.stack)).containers.values()
        if query.container and not any(query.container in (each.name, each.id) for each in containers):
            raise NotFound(f"No such container: {query.container}")
        present: set[str] = {each.service for each in containers}
        known = present | self.stacks.services(query.stack) | {each.name for each in containers}
        for service in query.services:
            if service not in known:
                raise NotFound(f"no such service: {service}", helps=near(service, known))
        if query.index is not None:
            numbers = sorted(
                each.number
                for each in containers
                if not each.oneoff and (not query.services or not {each.service, each.name}.isdisjoint(query.services))
            )
            if query.index not in numbers:
                there = f"it has {', '.join(f'#{number}' for number in numbers)}" if numbers else "it has none"
                raise NotFound(f"no container {query.index} of service {', '.join(query.services)}", helps=[there])

        selected = [each for each in containers if _is_selected(each, query) and not each.oneoff]
        if selected and not query.follow and not any(each.log_kept for each in selected):
            names = ", ".join(sorted(short_name(each) for each in selected))
            drivers = " and ".join(sorted({_keeps_nothing(each.log_driver) for each in selected}))
            raise Conflict(f"{names}: the logging driver {drivers} keeps nothing that could be read")

    async def write(self, query: LogQuery, send: Send) -> None:
        with self.bus.subscribe(query.stack) as subscription:
            client = _Client(self, query, send)
            try:
                await client.write_stored()
                if query.follow:
                    await client.follow(subscription)
                    if query.tell_places:  # a stream that ends without this was cut off
                        await send(announcement(b'{"over":true}', 0))
            except* Orchestr8Error as failures:  # the answer has begun, so it is told in the stream
                await send(error_bytes(failures))
            finally:
                client.close()


@dataclass(slots=True)
class _Source:
    number: int
    container: ObservedContainer
    path: str  # of its log
    reader: LogReader
    watched: tuple[int, Callable[[], bool]] | None = None  # the inode of its directory, and is it watched still?
    over: bool = False  # its run has ended, and this was announced


class _Client:
    """One client's view: its sources, and what is still to be sent."""

    def __init__(self, logs: Logs, query: LogQuery, send: Send) -> None:
        self._logs = logs
        self._query = query
        self._send = send
        self._sources: dict[ContainerId, _Source] = {}
        self._dirty: dict[ContainerId, None] = {}  # in the order in which they became so
        self._wake = anyio.Event()
        self._look_due = False
        self._until = None if query.until is None else time_text(query.until)
        self._time_is_up = False  # there will be nothing any more that is not later
        self._watches = contextlib.ExitStack()

    def close(self) -> None:
        self._watches.close()
        for source in self._sources.values():
            source.reader.close()

    # --- the stored part --------------------------------------------------------------------------------------

    async def write_stored(self) -> None:
        containers = await self._look()
        query = self._query
        coalesce = not query.timestamps
        for each in containers:
            with contextlib.suppress(NotFound):  # removed since the look
                await self._add(
                    each.container, tail=query.tail, since=query.since, coalesce=coalesce, beside=len(containers)
                )
        if query.tell_places:  # who comes to another engine now knows which containers are new
            await self._send(announcement(b'{"listed":true}', 0))
        merge = StoredMerge(
            {source.number: source.reader for source in self._sources.values()},
            timestamps=query.timestamps,
            until=query.until,
        )
        while piece := await anyio.to_thread.run_sync(merge.next_frames):
            await self._send(piece)
        for source in self._sources.values():
            await self._tell_place(source)
        for source in self._sources.values():
            if not query.follow or source.container.state is not ContainerState.RUNNING:
                if query.follow and self._ended_unheard(source.container):
                    continue  # `follow` tells of it
                if query.until is None or await anyio.to_thread.run_sync(source.reader.next_time) is None:
                    await self._send_rest(source)
                source.over = True

    async def _look(self) -> list[Listed]:
        """The containers of the selection, in the order in which they are shown."""
        query = self._query
        listed = await self._logs.stacks.containers(query.stack, services=(), stopped=True)
        return [
            each
            for each in listed
            if _is_selected(each.container, query) and (query.index is None or not each.container.oneoff)
        ]

    async def _add(
        self, container: ObservedContainer, *, tail: int | None, since: float | None, coalesce: bool, beside: int
    ) -> None:
        """Make a container a source, and say so."""
        path = self._logs.backend.log_path(container.name, container.id)
        place = self._place_of(container)
        if place is not None:
            tail = since = None

        def open_reader() -> LogReader:
            size = block_bytes(beside)
            return LogReader(path, tail=tail, since=since, place=place, coalesce=coalesce, block_bytes=size)

        number = len(self._sources)
        reader = await anyio.to_thread.run_sync(open_reader)
        source = self._sources[container.id] = _Source(number, container, path, reader)
        if self._query.follow:
            self._watch(source)
        has_ended = container.state is ContainerState.EXITED
        news = {
            "source": number,
            "name": short_name(container),
            "container": container.name,
            **({"id": container.id} if self._query.tell_places else {}),
            **({"ended": True} if self._query.tell_places and place is None and has_ended else {}),
            "service": container.service,
            **({} if container.log_kept else {"kept": False}),
        }
        await self._send(announcement(json.dumps(news).encode(), number))
        await self._tell_place(source)

    def _place_of(self, container: ObservedContainer) -> Place | None:
        """Up to where an engine before this one has sent its log to this client."""
        for each in self._query.places:
            if each.container == container.id:
                mark = Mark(each.records, each.lines) if each.records >= 0 else None
                return Place(each.head, each.offset, each.skip_lines, mark)
        return None

    def _ended_unheard(self, container: ObservedContainer) -> bool:
        """Has its run ended while no engine told this client, which followed it, or was about to?"""
        begun = self._query.ends_since
        return (
            container.state is ContainerState.EXITED
            and container.id not in self._query.ended
            and (self._place_of(container) is not None or (begun is not None and container.finished_at >= begun))
        )

    async def _tell_place(self, source: _Source) -> None:
        """From where another engine would have to go on, unless that cannot be said just now."""
        place = source.reader.place if self._query.tell_places else None
        if place is not None:
            counted = f" {place.mark.records} {place.mark.lines}" if place.mark else ""
            told = {"source": source.number, "place": f"{place.head} {place.offset} {place.skip_lines}{counted}"}
            await self._send(announcement(json.dumps(told).encode(), source.number))

    # --- the followed part ------------------------------------------------------------------------------------

    async def follow(self, subscription: Subscription) -> None:
        async with anyio.create_task_group() as tasks:
            events: list[Event] = []

            async def listen() -> None:
                while True:
                    events.extend(await subscription.next())
                    self._look_due = True
                    self._wake.set()

            self._look_due = True
            tasks.start_soon(listen, name="log events")
            if self._query.until is not None:
                tasks.start_soon(self._wait_until, self._query.until, name="the end of a log")
            while True:
                self._wake = anyio.Event()
                is_last = self._time_is_up
                await self._send_dirty()
                if is_last and not self._dirty:
                    break
                if self._look_due:
                    self._look_due = False
                    news, events[:] = events[:], []
                    if await self._follow_events(news):
                        break
                if not self._dirty and not self._look_due:
                    await self._wake.wait()
            tasks.cancel_scope.cancel()

    async def _wait_until(self, moment: float) -> None:
        while (left := moment + WRITING_S - time.time()) > 0:  # noqa: ASYNC110 - the clock may be set, which nothing tells
            await anyio.sleep(min(left, CLOCK_S))
        self._time_is_up = True
        self._dirty |= dict.fromkeys(self._sources)
        self._wake.set()

    def _watch(self, source: _Source) -> None:
        """Be told of changes; a container that never ran has no folder yet, and is tried again when it starts. The folder
        above tells of one that somebody removes, and that comes again: a file that is open keeps the watch of the old one.
        """
        try:
            self._watch_folder(source, os.path.dirname(source.path))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise

    def _watch_folder(self, source: _Source, folder: str) -> None:
        """Raises OSError, with ENOENT for one that is not there, perhaps since this moment."""
        container_id = source.container.id
        inode = os.stat(folder).st_ino
        if source.watched is None:
            self._watches.enter_context(
                self._logs.watcher.watch(os.path.dirname(folder), lambda: self._mark(container_id))
            )
        elif source.watched[0] == inode and source.watched[1]():
            return
        watch = self._logs.watcher.watch(folder, lambda: self._mark(container_id))
        source.watched = inode, self._watches.enter_context(watch)
        self._mark(container_id)  # for what was written before

    def _mark(self, container_id: ContainerId) -> None:
        self._dirty[container_id] = None
        self._wake.set()

    async def _send_dirty(self) -> None:
        """What the marked sources have; one that has more is marked again, so that the others have their turn."""
        marked, self._dirty = self._dirty, {}
        for container_id in marked:
            source = self._sources[container_id]
            self._watch(source)
            for _ in range(BLOCKS_IN_A_ROW):
                if not await self._send_block(source):
                    break
            else:
                self._dirty[container_id] = None

    async def _send_block(self, source: _Source) -> bool:
        batches = await anyio.to_thread.run_sync(source.reader.read, self._until)
        if batches:
            await self._send(frames(source.number, batches, timestamps=self._query.timestamps))
            await self._tell_place(source)
        return batches is not None

    async def _send_rest(self, source: _Source) -> None:
        """A last line that has no newline."""
        rest = source.reader.finish()
        if rest:
            await self._send(frames(source.number, rest, timestamps=self._query.timestamps))

    async def _follow_events(self, events: list[Event]) -> bool:
        """Look again: new containers, ended ones, and whether this is the end."""
        working = self._logs.stacks.is_working(self._query.stack)  # before the look: its end will be told
        found = await self._look()
        listed = {each.container.id: each for each in found}
        for each in found:
            with contextlib.suppress(NotFound):  # removed since the look: the next one tells
                await self._see(each.container)
        ended_too = {event.id for event in events if event.kind is EventKind.DIE}
        for event in events:
            source = self._sources.get(event.id)
            if source is None or source.over:
                continue
            if event.kind is EventKind.DIE:
                await self._announce_end(source, listed.get(event.id), event.attributes)
            elif event.kind is EventKind.OOM and event.id not in ended_too:
                news = {"source": source.number, "felt": event.attributes.get("why", "")}
                await self._send(announcement(json.dumps(news).encode(), source.number))
        for container_id, source in self._sources.items():
            now = listed.get(container_id)
            ended = now is None or now.container.state is ContainerState.EXITED
            if ended and not source.over:
                await self._announce_end(source, now, {})  # its event has not come yet, or was lost
        goes_on = working or any(each.restarting or each.container.state is ContainerState.RUNNING for each in found)
        return self._query.until_exit and not goes_on

    async def _see(self, container: ObservedContainer) -> None:
        """Take up a container that is new, or that runs again."""
        source = self._sources.get(container.id)
        if source is None:
            await self._add(container, tail=None, since=None, coalesce=not self._query.timestamps, beside=1)
            source = self._sources[container.id]
            source.over = container.state is ContainerState.CREATED
            return
        self._watch(source)
        if container.started_at > source.container.started_at:
            source.over = False
            self._mark(container.id)
            if self._query.tell_places:
                news = {"source": source.number, "ended": False}
                await self._send(announcement(json.dumps(news).encode(), source.number))
        source.container = container

    async def _announce_end(self, source: _Source, now: Listed | None, told: Mapping[str, str]) -> None:
        """Send the run's last output, then say that it has ended."""
        runs_again = now is not None and now.container.state is ContainerState.RUNNING
        for _ in itertools.repeat(None, BLOCKS_IN_A_ROW) if runs_again else itertools.repeat(None):
            if not await self._send_block(source):
                break
        await self._send_rest(source)
        exit_code = told.get("exitCode", "")
        code = int(exit_code) if exit_code.lstrip("-").isdecimal() else source.container.exit_code or 0
        why = told.get("why", "") if told or now is None else lack_of_memory(now.container)
        restarting = runs_again or (now is not None and now.restarting)
        news = {"source": source.number, "exited": code, "restarting": restarting, **({"why": why} if why else {})}
        await self._send(announcement(json.dumps(news).encode(), source.number))
        source.over = not runs_again


def _keeps_nothing(driver: LogDriver) -> str:
    return f"`{driver}`" if driver is LogDriver.NONE else f"`{driver}` with `cache-disabled`"


def _is_selected(container: ObservedContainer, query: LogQuery) -> bool:
    """Is it of the services that are asked for, or asked for by name; and the one of them, if one is?"""
    names = {container.service, container.name}
    return (
        (not any(query.services) or not names.isdisjoint(query.services))
        and (not query.container or query.container in (container.name, container.id))
        and (query.index is None or container.number == query.index)
    )


def short_name(container: ObservedContainer) -> str:
    """Compose's name in logs: "web-1"; a name that the user chose is shown as it is."""
    prefix = f"{container.stack}-{container.service}-"
    return container.name.removeprefix(f"{container.stack}-") if container.name.startswith(prefix) else container.name
