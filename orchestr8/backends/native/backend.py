"""The Backend protocol on this machine: which Action goes where, and the order of an engine's start and end.

That is: kernel facilities, then networks, then every container that is recorded, and at last a sweep of what is ours and
belongs to no record. What one container goes through is `containers`' to say.
"""

import contextlib
import dataclasses
import logging
import os
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final

import anyio
import anyio.abc

from orchestr8.backends.native import figures, probes
from orchestr8.backends.native.committing import Base, base_of, commit
from orchestr8.backends.native.containers import Container, new_record
from orchestr8.backends.native.idranges import allot, subordinate
from orchestr8.backends.native.joining import find_sharer
from orchestr8.backends.native.layers import LayerReader, Layers
from orchestr8.backends.native.making import Surroundings, blanks, clear_blanks, fill_blanks, last_state
from orchestr8.backends.native.networks import Networks
from orchestr8.backends.native.observing import snapshot
from orchestr8.backends.native.sweeping import empty_trash, remove_shared, sweep_files
from orchestr8.errors import Conflict, NotFound, OperationFailed, Orchestr8Error, Unavailable
from orchestr8.image.reference import parse_image
from orchestr8.image.resolve import resolve
from orchestr8.image.store import ImageStore
from orchestr8.kernel import processes, seccomp
from orchestr8.kernel.cgroup import CgroupTree
from orchestr8.kernel.rlimit import limit_descriptors, raise_descriptors
from orchestr8.model import actions
from orchestr8.model.actions import Action
from orchestr8.model.backend import Content, ExecHandle, ExecSpec, OpenedPath, ProbeResult
from orchestr8.model.changes import FileChange
from orchestr8.model.events import Event, EventKind
from orchestr8.model.figures import Figures
from orchestr8.model.ids import ContainerId, ContainerName, NetworkName, StackName, VolumeName
from orchestr8.model.images import CommitSpec, Committed
from orchestr8.model.lending import with_loans
from orchestr8.model.observed import Snapshot
from orchestr8.model.processes import Process
from orchestr8.model.records import Registry, VolumeRecord
from orchestr8.network.manager import NetworkManager
from orchestr8.runtime.client import read_state
from orchestr8.runtime.forkserver_client import ForkserverClient
from orchestr8.runtime.messages import Configure
from orchestr8.runtime.sealed import remove_rehearsals, start_forkserver
from orchestr8.storage.blanks import FEW
from orchestr8.storage.contents import ContentStore
from orchestr8.storage.pack import check_paths
from orchestr8.storage.snapshots import SnapshotStore
from orchestr8.storage.trash import Trash
from orchestr8.storage.volumes import VolumeStore

_log: Final = logging.getLogger(__name__)
_QUIET_S: Final = 0.1


class NativeBackend:
    """One engine's containers, networks and volumes. `start` and `close` belong to the same task."""

    def __init__(
        self,
        *,
        root: str,
        run_dir: str,
        instance: str,
        registry: Registry,
        engine_argv: tuple[str, ...] = (),
        engine_environment: dict[str, str] | None = None,
        forkserver: tuple[socket.socket, int] | None = None,
        log_fd: int = 2,
    ) -> None:
        self._root = root
        self._run_dir = run_dir
        self._registry = registry
        self._given_forkserver = forkserver
        self._cgroups = CgroupTree.detect(instance)
        self._manager = NetworkManager(instance=instance, name_of=self._name_of)
        self._networks = Networks(self._manager, registry)
        self._volumes = VolumeStore(root)
        self._contents = ContentStore(root, run_dir)
        self._images = ImageStore(root)
        self._trash = Trash(root)
        self._listeners: list[Callable[[Event], None]] = []
        self._containers: dict[ContainerName, Container] = {}
        self._tasks: anyio.abc.TaskGroup | None = None
        self._acting = 0  # Actions on their way
        self._acted = 0  # how many there were
        self._making_ahead = False
        self._trash_waits = False
        self._exits = contextlib.AsyncExitStack()
        configure = Configure(
            cgroup_files=list(self._cgroups.prepare().files), engine_cgroup_files=self._cgroups.home()
        )
        engine = (engine_argv, engine_environment or {}) if engine_argv else None

        before = raise_descriptors()  # each container takes two, DNS up to a thousand

        def start() -> tuple[socket.socket, subprocess.Popen[bytes]]:
            sock, process = start_forkserver(log_fd, run_dir)
            limit_descriptors(process.pid, before)  # else programs would inherit what few of them expect
            return sock, process

        self._around = Surroundings(
            root=root,
            run_dir=run_dir,
            seccomp_path=f"{root}/seccomp.bpf",
            registry=registry,
            snapshots=SnapshotStore(root),
            blanks=blanks(root),
            volumes=self._volumes,
            contents=self._contents,
            images=self._images,
            networks=self._networks,
            cgroups=self._cgroups,
            forkserver=ForkserverClient(start, configure, engine=engine),
            emit=self._emit,
            find=lambda record, whose: find_sharer(
                (each.observed() for each in self._containers.values()), record, whose
            ),
        )
        self._layers = LayerReader(self._around)

    # --- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Make ready, and adopt what a former engine of this root left running."""
        os.makedirs(f"{self._run_dir}/shims", mode=0o700, exist_ok=True)
        remove_rehearsals(self._run_dir)  # of forkservers that were killed over them
        self._tasks = await self._exits.enter_async_context(anyio.create_task_group())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._start_forkserver)
            tasks.start_soon(self._manager.start)
            tasks.start_soon(anyio.to_thread.run_sync, self._write_seccomp)
        self._tasks.start_soon(self._around.forkserver.keep_running, name="keep the forkserver running")
        await self._networks.restore()
        try:
            await anyio.to_thread.run_sync(self._images.look)
        except OperationFailed as error:  # who makes a container of an image hears of it
            _log.warning("%s", error.message)
        await self._adopt_all()
        await self._sweep()

    async def _start_forkserver(self) -> None:
        if self._given_forkserver is not None:
            with contextlib.suppress(
                Unavailable
            ):  # it has died since; that is told in a moment, and another is started
                self._around.forkserver.adopt(*self._given_forkserver)
        else:
            await self._around.forkserver.start()

    def _write_seccomp(self) -> None:
        fresh = f"{self._around.seccomp_path}.new"
        with open(fresh, "wb") as file:
            file.write(seccomp.compile_default())
        os.rename(fresh, self._around.seccomp_path)

    async def _adopt_all(self) -> None:
        boot_id = _boot_id()
        for record in list(self._registry.containers.values()):
            container = self._containers[record.name] = Container(self._around, record)
            state = await anyio.to_thread.run_sync(last_state, container.bundle)
            await container.adopt(state, boot_id)
            await self._release(container)  # if it ended while no engine looked

    async def _sweep(self) -> None:
        """Remove what carries our marks and no record owns: the leavings of an engine that died half-way."""
        assert self._tasks is not None
        live = {record.id for record in self._registry.containers.values()}
        await self._networks.sweep(live)
        await anyio.to_thread.run_sync(sweep_files, self._around, self._trash, live)
        self._tasks.start_soon(anyio.to_thread.run_sync, empty_trash, self._trash, name="empty the trash")

    async def close(self, *, remove: bool) -> None:
        """End the forkserver and let go; containers go on. `remove`: nothing runs, so take firewall and cgroups too."""
        with anyio.CancelScope(shield=True):
            await self._around.forkserver.close()
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()
        await self._exits.aclose()
        for container in self._containers.values():
            container.let_go()
        with anyio.CancelScope(shield=True):
            if remove:
                await anyio.to_thread.run_sync(clear_blanks, self._around)
            await anyio.to_thread.run_sync(empty_trash, self._trash)
            try:
                await self._manager.close(remove=remove)
            finally:
                if remove:
                    await anyio.to_thread.run_sync(remove_shared, self._around)
                self._cgroups.close()

    @property
    def forkserver_pid(self) -> int:
        return self._around.forkserver.pid

    def shim_pid(self, container: ContainerName) -> int:
        """For fault injection: 0 when there is none."""
        found = self._containers.get(container)
        return int(read_state(found.bundle).get("shim_pid", 0)) if found else 0

    # --- events ---------------------------------------------------------------------------------------------------

    def subscribe(self, listener: Callable[[Event], None]) -> None:
        self._listeners.append(listener)

    def _emit(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)
        if event.kind is EventKind.DIE and self._tasks is not None:
            container = self._containers.get(event.container)
            if container is not None and container.idle:
                self._tasks.start_soon(self._release, container, name=f"release {event.container}")

    async def _release(self, container: Container) -> None:
        """Nobody waits for it, and whoever stops or removes the container does it again: a failure is only told."""
        try:
            await container.release_if_idle()
        except (Orchestr8Error, OSError) as error:
            _log.warning("%s has ended, but not all that it had could be taken back: %s", container.record.name, error)

    # --- looking --------------------------------------------------------------------------------------------------

    async def observe(self, stack: StackName | None = None) -> Snapshot:
        return snapshot(stack, self._containers.values(), self._registry, self._volumes)

    async def figures(self, containers: Collection[ContainerName]) -> Mapping[ContainerName, Figures]:
        found = [each for name in containers if (each := self._containers.get(name)) is not None and each.running]
        subjects = [figures.subject(each.record, each.run.pid, each.run.execs_used) for each in found]
        return await anyio.to_thread.run_sync(figures.read_all, self._cgroups, subjects)

    def _name_of(self, container_id: ContainerId) -> str:
        return next((name for name, each in self._registry.containers.items() if each.id == container_id), container_id)

    def _container(self, name: ContainerName) -> Container:
        container = self._containers.get(name)
        if container is None:
            raise NotFound(f"no such container: {name}")
        return container

    # --- doing ----------------------------------------------------------------------------------------------------

    async def check_image(self, image: str) -> None:
        await anyio.to_thread.run_sync(resolve, parse_image(image), self._around.root)

    async def keep_contents(self, stack: StackName, contents: Mapping[str, Content]) -> None:
        if contents:
            await anyio.to_thread.run_sync(self._contents.keep, stack, contents)

    async def drop_contents(self, stack: StackName, wanted: Collection[str]) -> None:
        records = [each.record for each in self._containers.values() if each.record.stack == stack]
        used = {digest for record in records for _, digest in record.spec.contents}
        await anyio.to_thread.run_sync(self._contents.drop, stack, {*wanted, *used})

    async def apply(self, action: Action) -> Sequence[str]:
        self._acting += 1
        self._acted += 1
        try:
            return await self._do(action)
        finally:
            self._acting -= 1
            if not self._acting and self._tasks is not None:
                if self._trash_waits:
                    self._trash_waits = False
                    self._tasks.start_soon(anyio.to_thread.run_sync, empty_trash, self._trash, name="empty the trash")
                if self._around.blanks.scarce and not isinstance(action, actions.CreateContainer):  # its start follows
                    self._tasks.start_soon(
                        anyio.to_thread.run_sync, fill_blanks, self._around, FEW, name="make a few folders ahead"
                    )
                if self._around.blanks.wanting and not self._making_ahead:
                    self._making_ahead = True
                    self._tasks.start_soon(self._make_ahead, name="make folders ahead")

    async def _make_ahead(self) -> None:
        """Folders for as many as one may want, when nothing has been asked for a while, and until something is: whoever starts
        containers, together or one after the other, wants the processors.
        """
        blanks, acted = self._around.blanks, -1
        try:
            while blanks.wanting and not self._acting:  # else who ends last has this begin anew
                if acted != self._acted:
                    acted = self._acted
                    await anyio.sleep(_QUIET_S)
                elif not await anyio.to_thread.run_sync(fill_blanks, self._around, blanks.ready + 1):
                    return
        finally:
            self._making_ahead = False

    async def _do(self, action: Action) -> Sequence[str]:
        match action:
            case actions.CreateNetwork():
                await self._networks.create(action.stack, action.spec)
            case actions.RemoveNetwork():
                await self._remove_network(action.name)
            case actions.CreateVolume():
                await self._create_volume(action)
            case actions.RemoveVolume():
                await self._remove_volume(action.name)
            case actions.CreateContainer():
                await self._create_container(action)
            case actions.StartContainer():
                return await self._container(action.name).start(by_policy=action.by_policy)
            case actions.StopContainer():
                await self._container(action.name).stop(action.timeout_s, by_user=action.by_user)
            case actions.KillContainer():
                await self._container(action.name).kill(action.signal)
            case actions.PauseContainer():
                await self._container(action.name).stillness.pause()
            case actions.UnpauseContainer():
                await self._container(action.name).stillness.unpause()
            case actions.RemoveContainer():
                await self._remove_container(action)
            case actions.WaitFor():
                raise OperationFailed("waiting is the reconciler's", code="O8-904")
        return ()

    async def _remove_network(self, name: NetworkName) -> None:
        """Running containers keep it; stopped ones are given another address when they start again."""
        users = [each for each in self._containers.values() if name in each.record.addresses]
        running = sorted(each.record.name for each in users if each.running)
        if running:
            raise Conflict(f"network {name} is in use by {', '.join(running)}", code="O8-706")
        for each in users:
            await each.leave(name)
        await self._networks.remove(name)

    async def _create_volume(self, action: actions.CreateVolume) -> None:
        spec = action.spec
        if spec.name not in self._registry.volumes:
            record = VolumeRecord(name=spec.name, stack=action.stack, key=spec.key, labels=dict(spec.labels))
            await self._registry.save(record)
        await anyio.to_thread.run_sync(self._volumes.create, spec.name)

    async def _remove_volume(self, name: VolumeName) -> None:
        users = sorted(
            each.record.name
            for each in self._containers.values()
            if name in each.record.anonymous_volumes or any(mount.source == name for mount in each.record.spec.mounted)
        )
        if users:
            raise Conflict(f"volume {name} is in use by {', '.join(users)}", code="O8-707")
        await anyio.to_thread.run_sync(self._volumes.remove, name)
        record = self._registry.volumes.get(name)
        if record is not None:
            await self._registry.forget(record)
        self._trash_waits = True  # names are free already; the files go when nothing else is to be done

    def _allot_ids(self) -> int:
        """A range of ids that no container has, and no user may hand out."""
        given_away = [each for path in ("/etc/subuid", "/etc/subgid") for each in subordinate(_text_of(path))]
        return allot({each.record.id_base for each in self._containers.values()}, given_away)

    async def _create_container(self, action: actions.CreateContainer) -> None:
        container = self._containers.get(action.name)
        if container is None:
            known = {each.record.name: each.record.spec for each in self._containers.values()}
            action = dataclasses.replace(action, spec=with_loans(action.spec, known))
            addresses = self._networks.allot(action.spec, {})
            id_base = self._allot_ids() if action.spec.isolation.user_namespace else 0
            record = dataclasses.replace(new_record(action, addresses), id_base=id_base)
            container = self._containers[action.name] = Container(self._around, record)
            try:
                await self._registry.save(record)
            except BaseException:
                del self._containers[action.name]
                raise
            finally:
                self._networks.settled(addresses)
        elif container.record.stack != action.stack:
            raise Conflict(f"container name {action.name} is taken by stack {container.record.stack}")
        elif container.record.config_hash != action.config_hash:
            raise Conflict(f"container {action.name} exists with other settings; it must be removed first")
        await container.create()

    async def _remove_container(self, action: actions.RemoveContainer) -> None:
        container = self._containers.get(action.name)
        if container is not None:
            await container.remove(volumes=action.volumes)
            if self._containers.get(action.name) is container:  # two may have asked for it at once
                del self._containers[action.name]
            self._trash_waits = True

    # --- talking --------------------------------------------------------------------------------------------------

    async def exec(self, container: ContainerName, spec: ExecSpec, stream_fd: int, early: bytes = b"") -> ExecHandle:
        return await self._container(container).exec(spec, stream_fd, early)

    def find_exec(self, exec_id: str) -> tuple[ContainerName, ExecHandle | int] | None:
        for name, container in self._containers.items():
            if exec_id in container.former_execs:
                return name, container.former_execs.pop(exec_id)
        return None

    async def attach(
        self, container: ContainerName, stream_fd: int, early: bytes = b"", *, stdin: bool, guest: bool = False
    ) -> None:
        await self._container(container).attach(stream_fd, early, stdin=stdin, guest=guest)

    async def resize(self, container: ContainerName, rows: int, columns: int) -> None:
        await self._container(container).resize(rows, columns)

    async def processes(self, container: ContainerName) -> list[Process]:
        found = self._container(container)
        if not found.running:
            raise Conflict(f"{container} is not running")
        pids = await anyio.to_thread.run_sync(self._cgroups.pids, found.record.id)
        read = await anyio.to_thread.run_sync(lambda: [processes.read(pid) for pid in pids])
        return [each for each in read if each is not None]

    async def changes(
        self, container: ContainerName, tell: Callable[[Sequence[FileChange]], Awaitable[None]]
    ) -> None:  # fmt: skip
        await self._layers.changes(self._container(container), tell)

    async def export(self, container: ContainerName, send: Callable[[bytes], Awaitable[None]]) -> None:
        await self._layers.export(self._container(container), send)

    async def open_path(
        self, container: ContainerName, path: str, *, write: bool = False, follow: bool = False
    ) -> OpenedPath:  # fmt: skip
        return await self._container(container).open_path(path, write=write, follow=follow)

    async def commit(self, container: ContainerName, wanted: CommitSpec) -> Committed:
        found = self._container(container)

        created = time.time()

        def look(layers: Layers) -> Base:
            check_paths(layers.upper)
            return base_of(self._images, self._root, found.record, layers.document, created)

        base = await self._layers.read(found, look)  # which may have to be packed: no reason to stand still

        def run(layers: Layers) -> Committed:
            return commit(self._images, base, found.record, layers, wanted, created)

        async with found.stillness.held() if wanted.pause else contextlib.nullcontext():
            return await self._layers.read(found, run)

    async def probe(self, container: ContainerName, argv: tuple[str, ...], timeout_s: float) -> ProbeResult:
        return await probes.probe(self._container(container), argv, timeout_s)

    def log_path(self, container: ContainerName, meant: ContainerId | None = None) -> str:
        found = self._container(container)
        if meant not in (None, found.record.id):
            raise NotFound(f"no such container: {meant}")
        return found.log_path


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
