"""A backend that keeps everything in memory: for tests, and for an engine without a kernel to do it for (API, CLI).

It is a verified fake: it passes the contract tests that the native backend passes (`tests/backends/contract.py`), and
refuses what a kernel would refuse, so that a plan which only works on paper fails here too. Programs are modelled by
`memory_programs`; time is the event loop's.
"""

import asyncio
import dataclasses
import hashlib
import io
import ipaddress
import itertools
import os
import signal
import tarfile
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel

from orchestr8.backends.memory_files import MemoryFiles, MemoryPath
from orchestr8.backends.memory_programs import KNOWN, Exec, Peer, Program, run_at_once
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
from orchestr8.model.observed import (
    BoundPort,
    ContainerState,
    ObservedContainer,
    ObservedNetwork,
    ObservedVolume,
    Snapshot,
    guests,
)
from orchestr8.model.processes import Process
from orchestr8.model.signals import signal_number
from orchestr8.model.specs import ContainerSpec, MountKind, PortSpec
from orchestr8.runtime.messages import Copy
from orchestr8.wire.frames import STDERR

PROBE_OUTPUT_BYTES = 4096
MEMORY_BYTES = 1 << 20


@dataclass(slots=True, kw_only=True)
class _Container:
    seen: ObservedContainer
    spec: ContainerSpec
    volumes: tuple[VolumeName, ...] = ()  # anonymous ones
    program: Program | None = None
    gone: asyncio.Event = field(default_factory=asyncio.Event)  # the current run is over
    peers: list[Peer] = field(default_factory=list)
    talkers: list[tuple[Peer, bytes]] = field(default_factory=list)  # with input for a program not yet started

    def listener(self, program: Program) -> Callable[[bytes], None]:
        """What takes a client's input; b"" is its end, which is a service's container's only where it is a one-off."""
        if self.seen.oneoff:
            return program.feed
        return lambda data: program.feed(data) if data else None


class MemoryBackend:
    """`root`: where log files go; "" writes none.

    For tests: `applied` lists what was done, `failures` maps an Action's text to the error it is to fail with, `probes`
    a container to what its health checks say, in turn (the last one stays), `missing_images` are not to be had, `changed`
    maps a container to what its programs are to have changed.
    """

    def __init__(self, root: str = "", *, now: Callable[[], float] = time.time) -> None:
        self._root = root
        self._now = now
        self._containers: dict[ContainerName, _Container] = {}
        self._networks: dict[NetworkName, ObservedNetwork] = {}
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
        networks = {name: each for name, each in self._networks.items() if stack in {None, each.stack}}
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
            foreign_networks=frozenset(self._networks.keys() - networks.keys()),
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

    def log_path(self, container: ContainerName) -> str:
        return os.path.join(self._root, "containers", self._find(container).seen.id, "log", "current.log")

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
                self._create_network(action)
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

    def _create_network(self, action: CreateNetwork) -> None:
        spec = action.spec
        if spec.name in self._networks:
            return
        used = {ipaddress.ip_network(each.subnet) for each in self._networks.values()}
        pools = ipaddress.ip_network("10.201.0.0/16").subnets(new_prefix=24)
        wanted = ipaddress.ip_network(spec.subnet) if spec.subnet else next(each for each in pools if each not in used)
        if any(wanted.overlaps(each) for each in used if each.version == wanted.version):
            raise Conflict(f"subnet {wanted} of network {spec.name} overlaps with another network", code="O8-708")
        self._networks[spec.name] = ObservedNetwork(
            name=spec.name,
            stack=action.stack,
            key=spec.key,
            subnet=str(wanted),
            requested_subnet=spec.subnet,
            bridge=f"o8mem-b{len(self._networks)}",
            labels=dict(spec.labels),
        )

    def _remove_network(self, name: NetworkName) -> None:
        if name not in self._networks:
            return
        users = sorted(
            each.seen.name for each in self._running() if any(place.network == name for place in each.spec.networks)
        )
        if users:
            raise Conflict(f"network {name} is in use by {', '.join(users)}", code="O8-706")
        del self._networks[name]
        for container in self._containers.values():
            left = {network: place for network, place in container.seen.addresses.items() if network != name}
            self._update(container, addresses=left)

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
        container = _Container(
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

    def _allot_addresses(self, container: _Container) -> None:
        """Once, and again only for a network that has been replaced since."""
        addresses = dict(container.seen.addresses)
        for network in (each.network for each in container.spec.networks):
            if network not in self._networks:
                raise NotFound(f"network {network} does not exist")
            if network not in addresses:
                everyone = self._containers.values()
                used = {place for each in everyone for place in each.seen.addresses.get(network, ())}
                hosts = ipaddress.ip_network(self._networks[network].subnet).hosts()
                next(hosts)  # the gateway
                addresses[network] = (next(str(each) for each in hosts if str(each) not in used),)
        self._update(container, addresses=addresses)

    def _start(self, action: StartContainer) -> None:
        container = self._find(action.name)
        if container.program is not None:
            return
        try:
            self._allot_addresses(container)
            ports = tuple(self._bind(port) for port in container.spec.ports)
        except Orchestr8Error as error:
            self._update(container, error=error.message)
            raise
        self._update(
            container,
            state=ContainerState.RUNNING,
            pid=next(self._pids),
            exit_code=None,
            error="",
            started_at=self._now(),
            restarts=container.seen.restarts + 1 if action.by_policy else 0,
            stopped_by_user=False,
            ports=ports,
        )
        container.gone = asyncio.Event()
        argv = container.seen.command or ("sleep", "infinity")
        container.program = Program(
            argv,
            lambda stream, data: self._written(container, stream, data),
            lambda code: self._ended(container, code),
            stdin=container.spec.stdin_open,
        )
        for peer, early in container.talkers:
            peer.listen(container.listener(container.program), early)
        container.talkers.clear()
        self._tell(container, EventKind.START)
        container.program.start()

    def _bind(self, port: PortSpec) -> BoundPort:
        used = {(each.published, each.protocol) for other in self._running() for each in other.seen.ports}
        first, last = (32768, 60999) if not port.published_first else (port.published_first, port.published_last)
        free = next((each for each in range(first, last + 1) if (each, port.protocol) not in used), None)
        if free is None:
            wanted = f"{first}" if first == last else f"{first}-{last}"
            raise OperationFailed(f"port {port.host_ip}:{wanted} is already in use", code="O8-401")
        return BoundPort(host_ip=port.host_ip, published=free, target=port.target, protocol=port.protocol)

    async def _stop(self, action: StopContainer) -> None:
        container = self._find(action.name)
        if action.by_user:
            self._update(container, stopped_by_user=True)
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
            self._update(container, stopped_by_user=True)
        if container.program is not None:
            self._tell(container, EventKind.KILL, signal=str(number))
            container.program.signal(number)
            if final:
                self._pause(action.name, paused=False)

    def _pause(self, name: ContainerName, *, paused: bool) -> None:
        container = self._find(name)
        if container.program is None:
            if paused:
                raise Conflict(f"{name} is not running")
        elif container.seen.paused != paused:
            container.program.pause() if paused else container.program.go_on()
            self._update(container, paused=paused)
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
        for peer in container.peers:
            peer.close()
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
        peer = Peer(stream_fd, tty=found.spec.tty)
        found.peers.append(peer)
        if stdin and found.program is not None:
            peer.listen(found.listener(found.program), early)
        elif stdin:
            found.talkers.append((peer, early))

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
                self._update(each, image_outdated=True)
        return Committed(id=f"sha256:{hashlib.sha256(made.encode()).hexdigest()}")

    def _written(self, container: _Container, stream: int, data: bytes) -> None:
        for peer in container.peers:
            peer.write(stream, data)
        if self._root and container.spec.logging.kept:
            path = self.log_path(container.seen.name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(self._now())) + ".000000000Z"
            name = b"stderr" if stream == STDERR else b"stdout"
            with open(path, "ab") as file:
                for line in data.splitlines(keepends=True):
                    tag = b"F" if line.endswith(b"\n") else b"P"
                    file.write(b"%s %s %s %s\n" % (stamp.encode(), name, tag, line.removesuffix(b"\n")))

    def _ended(self, container: _Container, code: int) -> None:
        container.program = None
        self._update(
            container,
            state=ContainerState.EXITED,
            pid=0,
            exit_code=code,
            finished_at=self._now(),
            ports=(),
            paused=False,
        )
        for peer in container.peers:
            peer.close()
        container.peers.clear()
        container.gone.set()
        self._tell(container, EventKind.DIE, exitCode=str(code))

    # --- helpers ----------------------------------------------------------------------------------------------

    def _find(self, name: ContainerName) -> _Container:
        if name not in self._containers:
            raise NotFound(f"no such container: {name}")
        return self._containers[name]

    def _find_running(self, name: ContainerName) -> _Container:
        container = self._find(name)
        if container.program is None:
            raise Conflict(f"container {name} is not running")
        if container.seen.paused:
            raise Paused(name)
        return container

    def _running(self) -> list[_Container]:
        return [each for each in self._containers.values() if each.program is not None]

    @staticmethod
    def _update(container: _Container, **changes: object) -> None:
        container.seen = dataclasses.replace(container.seen, **changes)  # type: ignore[arg-type]

    def _tell(self, container: _Container, kind: EventKind, **attributes: str) -> None:
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
