"""The Backend protocol in memory: which Action goes where, and what exists. Time is the event loop's."""

import asyncio
import hashlib
import io
import itertools
import os
import signal
import tarfile
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import anyio
import anyio.lowlevel

from orchestr8.backends.memory.containers import MemoryContainer, append_log
from orchestr8.backends.memory.files import MemoryFiles, MemoryPath
from orchestr8.backends.memory.networks import MemoryNetworks, bind
from orchestr8.backends.memory.programs import KNOWN, Exec, Peer, Program, run_at_once
from orchestr8.errors import Conflict, NotFound, OperationFailed, Orchestr8Error
from orchestr8.image.reference import parse_image
from orchestr8.model.actions import (
    Action,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    KillContainer,
    PauseContainer,
    RemoveContainer,
    RemoveNetwork,
    RemoveVolume,
    StartContainer,
    StopContainer,
    UnpauseContainer,
    WaitFor,
)
from orchestr8.model.backend import Content, ExecHandle, ExecSpec, OpenedPath, Paused, ProbeResult
from orchestr8.model.changes import FileChange
from orchestr8.model.events import Event, EventKind
from orchestr8.model.figures import Figures, Traffic
from orchestr8.model.ids import ContainerId, ContainerName, NetworkName, StackName, VolumeName
from orchestr8.model.images import CommitSpec, Committed
from orchestr8.model.lending import anonymous_volume, with_loans
from orchestr8.model.observed import ContainerState, ObservedContainer, ObservedVolume, Snapshot, guests
from orchestr8.model.processes import Process
from orchestr8.model.signals import signal_number
from orchestr8.model.specs import MountKind
from orchestr8.runtime.messages import Copy

PROBE_OUTPUT_BYTES = 4096
MEMORY_BYTES = 1 << 20


class MemoryBackend:
    """`root`: where log files go; "" writes none.

    For tests: `applied` lists what was done, `failures` maps an Action's text to the error it is to fail with, `probes`
    a container to what its health checks say, in turn (the last one stays), `missing_images` are not to be had, `changed`
    maps a container to what its programs are to have changed.
    """

    def __init__(self, root: str = "", *, now: Callable[[], float] = time.time) -> None:
        self._root = root
        self._now = now
        self._containers: dict[ContainerName, MemoryContainer] = {}
        self._networks = MemoryNetworks()
        self._volumes: dict[VolumeName, ObservedVolume] = {}
        self._contents: dict[StackName, set[str]] = {}
        self._listeners: list[Callable[[Event], None]] = []
        self._files = MemoryFiles(root)
        self._ids = itertools.count(1)
        self._pids = itertools.count(1000)
        self.applied: list[str] = []
        self.failures: dict[str, Orchestr8Error] = {}
        self.lacks: dict[str, tuple[str, ...]] = {}  # action → what this machine cannot do as it was asked to
        self.missing_images: set[str] = set()
        self.probes: dict[ContainerName, list[ProbeResult]] = {}
        self.changed: dict[ContainerName, list[FileChange]] = {}

    # --- looking ----------------------------------------------------------------------------------------------

    async def observe(self, stack: StackName | None = None) -> Snapshot:
        await anyio.lowlevel.checkpoint()
        mine = {name: each for name, each in self._containers.items() if stack in {None, each.seen.stack}}
        networks = {name: each for name, each in self._networks.seen.items() if stack in {None, each.stack}}
        volumes = {name: each for name, each in self._volumes.items() if stack in {None, each.stack}}
        others = [(name, each) for name, each in sorted(self._containers.items()) if name not in mine]
        running = [(name, each) for name, each in others if each.seen.state is ContainerState.RUNNING]
        return Snapshot(
            stack=stack or StackName(""),
            containers={name: each.seen for name, each in mine.items()},
            networks=networks,
            volumes=volumes,
            network_guests=guests(
                networks, {name: [on.network for on in each.spec.networks] for name, each in running}
            ),
            volume_guests=guests(volumes, {name: [on.source for on in each.spec.mounted] for name, each in others}),
            specs={name: each.spec for name, each in mine.items()},
            foreign_networks=frozenset(self._networks.seen.keys() - networks.keys()),
            foreign_volumes=frozenset(self._volumes.keys() - volumes.keys()),
        )

    async def figures(self, containers: Collection[ContainerName]) -> Mapping[ContainerName, Figures]:
        """One process, that uses next to nothing."""
        await anyio.lowlevel.checkpoint()
        at_ns = time.monotonic_ns()
        found = {name: self._containers[name] for name in containers if name in self._containers}
        return {
            name: Figures(
                at_ns=at_ns,
                memory_bytes=MEMORY_BYTES,
                memory_max_bytes=each.spec.resources.memory_max_bytes or 1 << 30,
                pids=1,
                pids_max=each.spec.resources.pids_max,
                traffic={f"eth{number}": Traffic() for number, _ in enumerate(each.spec.networks)},
            )
            for name, each in found.items()
            if each.program is not None
        }

    def subscribe(self, listener: Callable[[Event], None]) -> None:
        self._listeners.append(listener)

    def log_path(self, container: ContainerName, meant: ContainerId | None = None) -> str:
        container_id = self._find(container).seen.id
        if meant not in (None, container_id):
            raise NotFound(f"no such container: {meant}")
        return os.path.join(self._root, "containers", container_id, "log", "current.log")

    # --- doing ------------------------------------------------------------------------------------------------

    async def check_image(self, image: str) -> None:
        await anyio.lowlevel.checkpoint()
        if image in self.missing_images:
            raise NotFound(f"image {image}: it is not there", code="O8-502")

    async def keep_contents(self, stack: StackName, contents: Mapping[str, Content]) -> None:
        await anyio.lowlevel.checkpoint()
        self._contents.setdefault(stack, set()).update(contents)

    async def drop_contents(self, stack: StackName, wanted: Collection[str]) -> None:
        await anyio.lowlevel.checkpoint()
        used = {each for c in self._containers.values() if c.seen.stack == stack for _, each in c.spec.contents}
        self._contents[stack] = self._contents.get(stack, set()) & {*wanted, *used}

    async def apply(self, action: Action) -> Sequence[str]:
        await anyio.lowlevel.checkpoint()
        if str(action) in self.failures:
            raise self.failures[str(action)]
        match action:
            case CreateNetwork():
                self._networks.create(action.stack, action.spec)
            case RemoveNetwork():
                self._remove_network(action.name)
            case CreateVolume():
                spec = action.spec
                self._add_volume(spec.name, action.stack, spec.key, dict(spec.labels))
            case RemoveVolume():
                self._remove_volume(action.name)
            case CreateContainer():
                self._create(action)
            case StartContainer():
                self._start(action)
            case StopContainer():
                await self._stop(action)
            case KillContainer():
                self._kill(action)
            case PauseContainer():
                self._pause(action.name, paused=True)
            case UnpauseContainer():
                self._pause(action.name, paused=False)
            case RemoveContainer():
                self._remove(action)
            case WaitFor():
                raise TypeError("waiting is the reconciler's")
        self.applied.append(str(action))
        return self.lacks.get(str(action), ())

    def _remove_network(self, name: NetworkName) -> None:
        if name not in self._networks.seen:
            return
        users = sorted(
            each.seen.name for each in self._running() if any(place.network == name for place in each.spec.networks)
        )
        if users:
            raise Conflict(f"network {name} is in use by {', '.join(users)}", code="O8-706")
        self._networks.remove(name)
        for container in self._containers.values():
            left = {network: place for network, place in container.seen.addresses.items() if network != name}
            container.update(addresses=left)

    def _add_volume(self, name: VolumeName, stack: StackName, key: str, labels: dict[str, str]) -> None:
        path = os.path.join(self._root, "volumes", name)
        self._volumes.setdefault(name, ObservedVolume(name=name, stack=stack, key=key, path=path, labels=labels))

    def _remove_volume(self, name: VolumeName) -> None:
        users = sorted(
            each.seen.name
            for each in self._containers.values()
            if name in each.volumes or any(mount.source == name for mount in each.spec.mounted)
        )
        if users and name in self._volumes:
            raise Conflict(f"volume {name} is in use by {', '.join(users)}", code="O8-707")
        self._volumes.pop(name, None)

    def _create(self, action: CreateContainer) -> None:
        present = self._containers.get(action.name)
        if present is not None:
            if (present.seen.stack, present.seen.config_hash) == (action.stack, action.config_hash):
                return
            raise Conflict(f"the name {action.name} is taken by a container of stack {present.seen.stack}")
        spec = with_loans(action.spec, {name: each.spec for name, each in self._containers.items()})
        mounts = [each for each in spec.mounts if each.kind is MountKind.VOLUME]
        for source in (VolumeName(each.source) for each in mounts if each.source):
            if source not in self._volumes:
                raise NotFound(f"volume {source} does not exist")
        contents = dict(spec.contents)
        for each in spec.files:
            if contents.get(each.name) not in self._contents.get(action.stack, ()):
                raise OperationFailed(f"the content of {each.name} is not there any more", code="O8-628")
        # The name follows from the container's, so that a re-created container finds its anonymous volumes again.
        anonymous = tuple(anonymous_volume(action.name, each.target) for each in mounts if not each.source)
        for name in anonymous:
            self._add_volume(name, action.stack, "", {})
        container = MemoryContainer(
            seen=ObservedContainer(
                id=ContainerId(f"{next(self._ids):012x}"),
                name=action.name,
                stack=action.stack,
                service=action.service,
                number=action.number,
                image=spec.image,
                command=(spec.entrypoint or ()) + (spec.command or ()),
                config_hash=action.config_hash,
                oneoff=action.oneoff,
                created_at=self._now(),
                labels=dict(action.labels),
                log_driver=action.spec.logging.driver,
                log_kept=action.spec.logging.kept,
            ),
            spec=spec,
            volumes=anonymous,
        )
        self._allot_addresses(container)
        self._containers[action.name] = container
        self._tell(container, EventKind.CREATE)

    def _allot_addresses(self, container: MemoryContainer) -> None:
        wanted = [each.network for each in container.spec.networks]
        everyone = [each.seen.addresses for each in self._containers.values()]
        container.update(addresses=self._networks.allot(wanted, container.seen.addresses, everyone))

    def _start(self, action: StartContainer) -> None:
        container = self._find(action.name)
        if container.program is not None:
            return
        try:
            self._allot_addresses(container)
            bound = [each for other in self._running() for each in other.seen.ports]
            ports = tuple(bind(port, bound) for port in container.spec.ports)
        except Orchestr8Error as error:
            container.update(error=error.message)
            raise
        container.update(
            state=ContainerState.RUNNING,
            pid=next(self._pids),
            exit_code=None,
            error="",
            started_at=self._now(),
            restarts=container.seen.restarts + 1 if action.by_policy else 0,
            stopped_by_user=False,
            ports=ports,
        )
        program = container.load(
            lambda stream, data: self._written(container, stream, data), lambda code: self._ended(container, code)
        )
        self._tell(container, EventKind.START)
        program.start()

    async def _stop(self, action: StopContainer) -> None:
        container = self._find(action.name)
        if action.by_user:
            container.update(stopped_by_user=True)
        if container.program is None:
            return
        timeout_s = container.spec.stop_timeout_s if action.timeout_s is None else action.timeout_s
        container.program.signal(signal_number(container.spec.stop_signal))
        self._pause(action.name, paused=False)
        with anyio.move_on_after(timeout_s):
            await container.gone.wait()
        if container.program is not None:
            container.program.signal(signal.SIGKILL)
        self._tell(container, EventKind.STOP)

    def _kill(self, action: KillContainer) -> None:
        container = self._find(action.name)
        number = signal_number(action.signal)
        final = number in {signal.SIGKILL, signal_number(container.spec.stop_signal)}
        if final:
            container.update(stopped_by_user=True)
        if container.program is not None:
            self._tell(container, EventKind.KILL, signal=str(number))
            container.program.signal(number)
            if final:
                self._pause(action.name, paused=False)

    def _pause(self, name: ContainerName, *, paused: bool) -> None:
        container = self._find(name)
        if container.program is None and paused:
            raise Conflict(f"{name} is not running")
        if container.pause(paused=paused):
            self._tell(container, EventKind.PAUSE if paused else EventKind.UNPAUSE)

    def _remove(self, action: RemoveContainer) -> None:
        container = self._containers.get(action.name)
        if container is None:
            return
        if container.program is not None:
            raise Conflict(f"container {action.name} runs; stop it before removing it")
        del self._containers[action.name]
        for name in container.volumes if action.volumes else ():
            self._volumes.pop(name, None)
        container.disconnect()
        self._tell(container, EventKind.DESTROY)

    # --- programs ---------------------------------------------------------------------------------------------

    async def probe(self, container: ContainerName, argv: tuple[str, ...], timeout_s: float) -> ProbeResult:
        await anyio.lowlevel.checkpoint()
        self._find_running(container)
        scripted = self.probes.get(container)
        if scripted:
            return scripted.pop(0) if len(scripted) > 1 else scripted[0]
        code, output = run_at_once(argv)
        if code is None:
            await anyio.sleep(timeout_s)
        return ProbeResult(exit_code=code, output=output[:PROBE_OUTPUT_BYTES])

    def find_exec(self, exec_id: str) -> tuple[ContainerName, ExecHandle | int] | None:  # noqa: ARG002
        return None  # there was no engine before

    async def exec(self, container: ContainerName, spec: ExecSpec, stream_fd: int, early: bytes = b"") -> ExecHandle:
        await anyio.lowlevel.checkpoint()
        self._find_running(container)
        if spec.argv[0] not in KNOWN:
            raise OperationFailed(f"{spec.argv[0]}: executable not found", code="O8-627")
        peer = Peer(stream_fd, tty=spec.tty)
        handle = Exec(next(self._pids), peer)
        program = Program(spec.argv, peer.write, handle.ended, stdin=spec.stdin)
        peer.listen(program.feed, early)
        program.start()
        return handle

    async def attach(
        self, container: ContainerName, stream_fd: int, early: bytes = b"", *, stdin: bool, guest: bool = False
    ) -> None:
        await anyio.lowlevel.checkpoint()
        found = self._find(container)
        if guest and found.program is None:
            raise Conflict(f"{container} is not running")
        found.connect(stream_fd, early, stdin=stdin)

    async def resize(self, container: ContainerName, rows: int, columns: int) -> None:  # noqa: ARG002 - no terminal here
        await anyio.lowlevel.checkpoint()
        self._find(container)

    async def processes(self, container: ContainerName) -> list[Process]:
        await anyio.lowlevel.checkpoint()
        found = self._find(container)
        if found.program is None:
            raise Conflict(f"{container} is not running")
        return [Process(pid=found.seen.pid, parent=1, uid=0, command=" ".join(found.seen.command))]

    async def changes(
        self, container: ContainerName, tell: Callable[[Sequence[FileChange]], Awaitable[None]]
    ) -> None:  # fmt: skip
        self._find(container)
        await tell(self.changed.get(container, []))

    async def export(self, container: ContainerName, send: Callable[[bytes], Awaitable[None]]) -> None:
        """The programs that it knows."""
        self._find(container)
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as writer:
            for name in KNOWN:
                writer.addfile(tarfile.TarInfo(f"bin/{name}"))
        await send(archive.getvalue())

    async def open_path(
        self, container: ContainerName, path: str, *, write: bool = False, follow: bool = False
    ) -> OpenedPath:  # fmt: skip
        await anyio.lowlevel.checkpoint()
        folder = self._files.folder(self._find(container).seen.id)
        return MemoryPath(folder, Copy(path=path, write=write, follow=follow))

    async def commit(self, container: ContainerName, wanted: CommitSpec) -> Committed:
        """Of containers here, an image is a name."""
        await anyio.lowlevel.checkpoint()
        found = self._find(container)
        made = f"{found.spec} {wanted}"
        if wanted.pause and found.program is not None and not found.seen.paused:
            self._pause(container, paused=True)
            self._pause(container, paused=False)
        self.missing_images.discard(wanted.name)
        for each in self._containers.values():
            if wanted.name and parse_image(each.spec.image) == parse_image(wanted.name):
                each.update(image_outdated=True)
        return Committed(id=f"sha256:{hashlib.sha256(made.encode()).hexdigest()}")

    def _written(self, container: MemoryContainer, stream: int, data: bytes) -> None:
        container.show(stream, data)
        if self._root and container.spec.logging.kept:
            append_log(self.log_path(container.seen.name), stream, data, self._now())

    def _ended(self, container: MemoryContainer, code: int) -> None:
        container.ended(code, self._now())
        self._tell(container, EventKind.DIE, exitCode=str(code))

    # --- helpers ----------------------------------------------------------------------------------------------

    def _find(self, name: ContainerName) -> MemoryContainer:
        if name not in self._containers:
            raise NotFound(f"no such container: {name}")
        return self._containers[name]

    def _find_running(self, name: ContainerName) -> MemoryContainer:
        container = self._find(name)
        if container.program is None:
            raise Conflict(f"container {name} is not running")
        if container.seen.paused:
            raise Paused(name)
        return container

    def _running(self) -> list[MemoryContainer]:
        return [each for each in self._containers.values() if each.program is not None]

    def _tell(self, container: MemoryContainer, kind: EventKind, **attributes: str) -> None:
        seen = container.seen
        event = Event(
            kind=kind,
            stack=seen.stack,
            service=seen.service,
            container=seen.name,
            id=seen.id,
            at=self._now(),
            attributes={"image": seen.image, **attributes},
        )
        for listener in self._listeners:
            asyncio.get_running_loop().call_soon(listener, event)
