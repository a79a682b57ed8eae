"""One container of this machine: its bundle, its run, and the order in which they come and go.

What is made for a container, in order: record, layer, volumes, bundle; then what a run needs (`sandbox`). Undo goes the
other way. The record is stored first, so that whatever a crash leaves behind has an owner. `backend` decides nothing
about when a container runs; neither does this module. What may happen meanwhile has modules of its own: `stillness` pauses
it, `copies` opens its files, `execs` runs further programs in it.
"""

import base64
import dataclasses
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio

from orchestr8.backends.native.copies import Copies, Copy
from orchestr8.backends.native.execs import RunningExec, start_exec
from orchestr8.backends.native.making import MadeOf, Surroundings, made_of, make_bundle
from orchestr8.backends.native.runs import RunState
from orchestr8.backends.native.sandbox import KILL_GRACE_S, Sandbox
from orchestr8.backends.native.stillness import Stillness
from orchestr8.errors import Conflict, NotFound, OperationFailed, Orchestr8Error, Unavailable
from orchestr8.image.reference import parse_image
from orchestr8.model.actions import CreateContainer
from orchestr8.model.backend import ExecSpec, Paused
from orchestr8.model.events import Event, EventKind
from orchestr8.model.ids import ContainerId, ContainerName, NetworkName
from orchestr8.model.lending import anonymous_volume
from orchestr8.model.observed import ContainerState, ObservedContainer, lack_of_memory, out_of_memory
from orchestr8.model.records import ContainerRecord, VolumeRecord
from orchestr8.model.signals import signal_number
from orchestr8.model.specs import MountKind, RestartMode
from orchestr8.runtime import bundle, messages
from orchestr8.runtime.client import ShimClient
from orchestr8.runtime.places import LOG_FILE

_log: Final = logging.getLogger(__name__)
_KEYS_AT_FAULT: Final = {  # by the code of what kept a container from being made, or from starting
    "O8-401": ("ports",),
    "O8-502": ("image",),
    "O8-610": ("user", "group_add"),
    "O8-611": ("entrypoint", "command", "image"),
    "O8-612": ("working_dir",),
    "O8-615": ("sysctls",),
    "O8-616": ("devices",),
    "O8-620": ("volumes",),
    "O8-621": ("volumes", "tmpfs"),
    "O8-626": ("entrypoint", "command"),
    "O8-627": ("entrypoint", "command", "working_dir"),
    "O8-631": ("logging",),
}


class Container:
    """A record, its run state, and the shim while there is one. Methods that change it hold its lock."""

    def __init__(self, around: Surroundings, record: ContainerRecord, command: tuple[str, ...] = ()) -> None:
        self._around = around
        self.record = record
        self.command = command
        self._image: tuple[str, str] | None = None  # of the store: full name and digest
        self.run = RunState()
        self._lock = anyio.Lock()
        self._sandbox = Sandbox(around, self)
        self.stillness = Stillness(around.cgroups, self, alone=self._alone, emit=self._emit)
        self._exited = anyio.Event()
        self._fresh: dict[str, Any] | None = None
        self._oom_told = False  # of this run
        self._start_kind = EventKind.START
        self._start_follows = False
        self._removed = False
        self._copies = Copies(around, self, alone=self._alone, complete=self._complete)
        self.former_execs: dict[
            str, RunningExec | int
        ] = {}  # of the engine before this one; of ended ones the exit codes
        around.cgroups.put_below(record.id, record.spec.resources.cgroup_parent)

    # --- looking --------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return self.run.state is ContainerState.RUNNING

    @property
    def bundle(self) -> str:
        return self._around.bundle(self.record.id)

    @property
    def log_path(self) -> str:
        return f"{self.bundle}/{LOG_FILE}"

    def observed(self) -> ObservedContainer:
        record, run = self.record, self.run
        return ObservedContainer(
            id=record.id,
            name=record.name,
            stack=record.stack,
            service=record.service,
            number=record.number,
            image=record.spec.image,
            image_outdated=self._image is not None and self._around.images.is_another(*self._image),
            command=self.command,
            config_hash=record.config_hash,
            oneoff=record.oneoff,
            state=run.state,
            paused=self.stillness.paused,
            pid=run.pid,
            exit_code=run.exit_code,
            oom_killed=run.oom_killed,
            memory_max_bytes=record.spec.resources.memory_max_bytes,
            error=record.error,
            created_at=record.created_at,
            started_at=run.started_at,
            finished_at=run.finished_at,
            restarts=record.restarts,
            stopped_by_user=record.stopped_by_user,
            addresses=dict(record.addresses),
            ports=record.ports if self.running else (),
            labels=dict(record.labels),
            log_driver=record.spec.logging.driver,
            log_kept=record.spec.logging.kept,
            log_lost_bytes=run.log_lost_bytes,
        )

    async def update(self, **changes: Any) -> None:
        """Change the record, when there is something to change."""
        changed = dataclasses.replace(self.record, **changes)
        if changed != self.record:
            await self._around.registry.save(changed)
            self.record = changed

    def _emit(self, kind: EventKind, **attributes: str) -> None:
        record = self.record
        event = Event(
            kind=kind,
            stack=record.stack,
            service=record.service,
            container=record.name,
            id=record.id,
            at=time.time(),
            attributes={"image": record.spec.image, **attributes},
        )
        self._around.emit(event)

    # --- making ---------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """The lock, for what changes the container; NotFound when it was removed while this waited."""
        async with self._lock:
            if self._removed:
                raise NotFound(f"no such container: {self.record.name}")
            yield

    async def create(self) -> None:
        async with self._alone():
            try:
                await self._complete()
            except Orchestr8Error as error:
                self._tell_place(error)
                raise

    def _tell_place(self, error: Orchestr8Error) -> None:
        """Where the key stands that is most likely at fault."""
        if place := self.record.spec.place_of(*_KEYS_AT_FAULT.get(error.code, ())):
            error.notes.append(place)

    async def _complete(self) -> None:
        """Make layer, volumes and bundle; what a crash interrupted is made to its end, and what is there is left."""
        anonymous = self._anonymous_volumes()
        names = tuple(volume.name for volume in anonymous)
        if names != self.record.anonymous_volumes:
            await self._around.registry.save(*anonymous)
            await self.update(anonymous_volumes=names)
        made = await anyio.to_thread.run_sync(self._make_bundle)
        if made is not None:
            self._fresh = made
            self._know(MadeOf.of(made))
            self._emit(EventKind.CREATE)

    def _make_bundle(self) -> dict[str, Any] | None:
        """In a thread. None: it is there."""
        if os.path.exists(f"{self.bundle}/config.json"):
            return None
        return make_bundle(self._around, self.record)

    def _know(self, made: MadeOf) -> None:
        self.command = made.command
        self._image = (parse_image(self.record.spec.image).path, made.image_digest) if made.image_digest else None

    async def document(self) -> dict[str, Any]:
        """The bundle's. A container has it unless an engine died while it created this one: its record came first."""
        if self._fresh is not None:
            fresh, self._fresh = self._fresh, None  # only the first start is worth the memory
            return fresh
        try:
            return await anyio.to_thread.run_sync(bundle.read, self.bundle)
        except FileNotFoundError:
            await self._complete()
            return await anyio.to_thread.run_sync(bundle.read, self.bundle)

    async def layout(self) -> dict[str, Any]:
        """The bundle's document, for who reads what is on disk."""
        await self.create()
        return await anyio.to_thread.run_sync(bundle.read, self.bundle)

    def check_there(self) -> None:
        """For who has read of it without a lock: NotFound when what was read may have been taken away meanwhile."""
        if self._removed:
            raise NotFound(f"{self.record.name} was removed while it was read")

    def _anonymous_volumes(self) -> list[VolumeRecord]:
        """One for each volume mount without a name, called after container and place: so a container that is made anew
        finds them again.
        """
        record = self.record
        return [
            VolumeRecord(name=anonymous_volume(record.name, mount.target), stack=record.stack, key="")
            for mount in record.spec.mounts
            if mount.kind is MountKind.VOLUME and not mount.source
        ]

    # --- running --------------------------------------------------------------------------------------------------

    async def start(self, *, by_policy: bool) -> tuple[str, ...]:
        """Run the program, in the network namespace of the last run when that is still there.

        Returns what this machine cannot do as it was asked to, a sentence each.
        """
        async with self._alone():
            if self.running:
                return ()
            await self._copies.end(f"{self.record.name} was started while its files were being copied")
            self._start_kind = EventKind.RESTART if by_policy else EventKind.START
            self._start_follows = False
            await self.update(restarts=self.record.restarts + 1 if by_policy else 0, stopped_by_user=False, error="")
            try:
                # The group of a run that may have ended while it was paused, by whatever hand. To ask is a short read.
                if self._sandbox.held and self._around.cgroups.is_frozen(self.record.id):
                    await anyio.to_thread.run_sync(self._around.cgroups.thaw, self.record.id)
                # A first start shows what is wrong with an address; a container that worked once is not kept down by its log.
                return await self._sandbox.start_program(reach=not self.run.started_at)
            except Orchestr8Error as error:
                with anyio.CancelScope(shield=True):
                    await self._sandbox.release()
                    await self.update(error=error.message)
                error.message = f"cannot start {self.record.name}: {error.message}"
                self._tell_place(error)
                raise

    async def leave(self, network: NetworkName) -> None:
        """The network goes away, unless the container runs by now."""
        async with self._lock:
            if self._removed:
                return
            if self.running:
                raise Conflict(f"network {network} is in use by {self.record.name}", code="O8-706")
            await self._sandbox.release()
            await self.update(addresses={name: each for name, each in self.record.addresses.items() if name != network})

    def on_started(self, started: messages.Started) -> None:
        """Told in the order of the shim's packets: a program that ends at once is RUNNING first, and EXITED after."""
        if not self.running:
            self._exited = anyio.Event()
            self._oom_told = False
            self.run = RunState(ContainerState.RUNNING, pid=started.pid, started_at=started.started_at)
            self._around.networks.announce(self.record)
            self._emit(self._start_kind)

    def on_status(self, status: messages.Status) -> None:
        self.run = RunState.from_status(status.__dict__)

    def on_execs(self, pids: Mapping[str, int], codes: Mapping[str, int]) -> None:
        shim = self._sandbox.shim
        assert shim is not None  # it speaks
        running = {exec_id: RunningExec(shim, exec_id, pid) for exec_id, pid in pids.items()}
        self.former_execs = {**running, **codes}

    def on_exit(self, exited: messages.Exited) -> None:
        self._record_exit(exited.exit_code, oom_killed=exited.oom_killed, finished_at=exited.finished_at)
        if self._sandbox.shim is not None and not self.idle:
            self._sandbox.shim.prepare()

    def _record_exit(self, exit_code: int, *, oom_killed: bool, finished_at: float) -> None:
        """The run has ended, whoever says so."""
        run = self.run
        self.run = RunState(
            ContainerState.EXITED, 0, exit_code, oom_killed, run.started_at, finished_at, run.log_lost_bytes
        )
        self.stillness.run_ended()
        self._around.networks.withdraw(self.record.id)
        self._exited.set()
        if oom_killed and not self._oom_told:
            self.on_out_of_memory()
        why = {"why": lack_of_memory(self.observed())} if oom_killed else {}
        self._emit(EventKind.DIE, exitCode=str(exit_code), **why)

    def on_out_of_memory(self) -> None:
        self._oom_told = True
        self._emit(EventKind.OOM, why=out_of_memory(self.record.spec.resources.memory_max_bytes))

    def on_execs_used(self, read_bytes: int, written_bytes: int) -> None:
        self.run = dataclasses.replace(self.run, execs_used=(read_bytes, written_bytes))

    def on_log_trouble(self, trouble: messages.LogTrouble) -> None:
        self.run = dataclasses.replace(self.run, log_lost_bytes=trouble.lost_bytes)
        if trouble.reason:
            _log.warning("%s runs on, but its log loses what it writes: %s", self.record.name, trouble.reason)
        else:
            _log.warning(
                "%s: its log takes everything again, %d bytes of it are lost", self.record.name, trouble.lost_bytes
            )

    def on_lost(self) -> None:
        """The shim is gone: as told, or killed, and then PID 1 died with it."""
        self._sandbox.shim_lost()
        if self.running:
            _log.warning("%s: its shim was killed; the container died with it", self.record.name)
            self._record_exit(128 + signal.SIGKILL, oom_killed=False, finished_at=time.time())

    @property
    def idle(self) -> bool:
        """Whether something of the last run is kept that no restart by policy will need."""
        restart = self.record.spec.restart.mode
        if not self._sandbox.held or self._start_follows or self.run.state is not ContainerState.EXITED:
            return False
        finished = restart is RestartMode.ON_FAILURE and self.run.exit_code == 0
        return self._sandbox.shim is None or restart is RestartMode.NO or self.record.stopped_by_user or finished

    async def release_if_idle(self) -> None:
        async with self._lock:
            if self.idle:
                await self._sandbox.release()

    async def stop(self, timeout_s: float | None, *, by_user: bool) -> None:
        """The stop signal, then SIGKILL; returns when the program is gone.

        The shim goes too when the user wants it stopped. Else a start or a removal follows, and a start finds network
        namespace, address and ports as they were.
        """
        async with self._alone():
            self._start_follows = not by_user
            if by_user:
                await self.update(stopped_by_user=True)
            if self.running:
                await self._stop_program(self.record.spec.stop_timeout_s if timeout_s is None else timeout_s)
                self._emit(EventKind.STOP)
            if self._sandbox.held and by_user:
                await self._sandbox.release()

    async def _stop_program(self, timeout_s: float) -> None:
        assert self._sandbox.shim is not None
        number = signal_number(self.record.spec.stop_signal)
        self._emit(EventKind.KILL, signal=str(number))
        with anyio.move_on_after(max(timeout_s, 0) if timeout_s >= 0 else float("inf")):
            await self._signal(number)
            await self.stillness.go_on()  # only then: it is to hear of nothing else before
            await self._exited.wait()
            return
        self._emit(EventKind.KILL, signal=str(int(signal.SIGKILL)))
        with anyio.move_on_after(KILL_GRACE_S):
            # PID 1 alone: with it everything of its namespace dies. Not `cgroup.kill`: since Linux 6.14 (kill_seq in
            # kernel/cgroup/cgroup.c) what is cloned into a group that was killed once is born dead.
            await self._signal(signal.SIGKILL)
            await self.stillness.go_on()
            await self._exited.wait()
            return
        raise OperationFailed(f"{self.record.name} does not die of SIGKILL; is it stuck in the kernel?", code="O8-602")

    async def _signal(self, number: int) -> None:
        if self._sandbox.shim is None:
            return
        try:
            await self._sandbox.shim.signal(number)
        except OperationFailed:
            if self.running:
                raise
        except Unavailable as error:
            if isinstance(error.__cause__, BlockingIOError):  # it lives, but is far behind
                raise
            await self._sandbox.until_shim_gone()  # it was killed, which is told in a moment: the program died with it

    async def kill(self, signal_name: str) -> None:
        number = signal_number(signal_name)
        if not self.running:
            return
        # By hand and for good: a policy must not start again what the user has just killed (moby daemon/kill.go).
        if number in {signal.SIGKILL, signal_number(self.record.spec.stop_signal)}:
            await self.update(stopped_by_user=True)
        self._emit(EventKind.KILL, signal=str(int(number)))
        await self._signal(number)
        if number in {signal.SIGKILL, signal_number(self.record.spec.stop_signal)}:
            await self.stillness.go_on()  # what is to end must be able to (moby daemon/kill.go)

    async def remove(self, *, volumes: bool) -> None:
        """Everything of the container; running is a Conflict. Its files are deleted later, from the trash."""
        async with self._lock:
            if self._removed:
                return  # by who had the lock before us
            if self.running:
                raise Conflict(f"{self.record.name} is running; stop it first")
            await self._copies.end(f"{self.record.name} was removed while its files were being copied")
            await self._sandbox.release()
            around = self._around
            await anyio.to_thread.run_sync(around.snapshots.remove, self.record.id)
            await anyio.to_thread.run_sync(around.contents.revoke, self.record.id)
            gone = [
                around.registry.volumes[name]
                for name in self.record.anonymous_volumes
                if name in around.registry.volumes
            ]
            if volumes:
                for volume in gone:
                    await anyio.to_thread.run_sync(around.volumes.remove, volume.name)
            await around.registry.forget(self.record, *(gone if volumes else ()))
            self._removed = True
            around.cgroups.put_below(self.record.id, "")
            self._emit(EventKind.DESTROY)

    # --- adopting -------------------------------------------------------------------------------------------------

    async def adopt(self, state: Mapping[str, Any], boot_id: str) -> None:
        """Take over from a former engine: connect to a shim that lives, or learn from `state` how the last run ended."""
        self._know(await anyio.to_thread.run_sync(made_of, self.bundle))
        if not await self._sandbox.adopt():
            await self._bury(state, boot_id)
            return
        if self.running:  # and did not end meanwhile
            self._around.networks.announce(self.record)
            await self.stillness.adopt()

    async def _bury(self, state: Mapping[str, Any], boot_id: str) -> None:
        """No shim: the machine was restarted, or the shim was killed while no engine looked."""
        if state:
            self.run = RunState.from_status(state)
        if self.running:
            self.run = RunState(ContainerState.EXITED, 0, 128 + signal.SIGKILL, False, self.run.started_at, time.time())
            why = "the machine was restarted" if state["boot_id"] != boot_id else "its shim was killed"
            _log.warning("%s ended while no engine looked: %s", self.record.name, why)
        await self._sandbox.remove_traces()

    def let_go(self) -> None:
        """The engine ends, the container goes on: hear nothing more from its shim."""
        self._sandbox.let_go()

    # --- talking --------------------------------------------------------------------------------------------------

    def _live_shim(self) -> ShimClient:
        if not self.running or self._sandbox.shim is None:
            raise Conflict(f"{self.record.name} is not running")
        return self._sandbox.shim

    def _awake_shim(self) -> ShimClient:
        """For who wants to run something: a process that comes to a frozen group freezes, too."""
        shim = self._live_shim()
        if self.stillness.paused:
            raise Paused(self.record.name)
        return shim

    async def attach(self, stream_fd: int, early: bytes, *, stdin: bool, guest: bool) -> None:
        async with self._alone():
            shim = self._live_shim() if guest else await self._sandbox.ensure()
        guest = guest or not self.record.oneoff
        await shim.attach(stream_fd, base64.b64encode(early).decode(), stdin=stdin, guest=guest)

    async def resize(self, rows: int, columns: int) -> None:
        """Before a start too: somebody who attaches gives the size that the program is to begin with."""
        shim = self._sandbox.shim
        if shim is None:
            async with self._alone():
                shim = await self._sandbox.ensure()
        await shim.resize(rows, columns)

    async def open_path(self, path: str, *, write: bool, follow: bool) -> Copy:
        return await self._copies.open_path(path, write=write, follow=follow)

    async def exec(self, spec: ExecSpec, stream_fd: int, early: bytes) -> RunningExec:
        return await start_exec(self._awake_shim(), spec, stream_fd, early)


def new_record(action: CreateContainer, addresses: Mapping[Any, tuple[str, ...]]) -> ContainerRecord:
    return ContainerRecord(
        id=ContainerId(os.urandom(6).hex()),
        name=ContainerName(action.name),
        stack=action.stack,
        service=action.service,
        number=action.number,
        oneoff=action.oneoff,
        config_hash=action.config_hash,
        spec=action.spec,
        labels=dict(action.labels),
        created_at=time.time(),
        addresses=dict(addresses),
    )
