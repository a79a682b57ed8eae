"""What a container runs in: its shim, cgroup, network namespace and ports; and the program's start, which needs all of it.

Shim and cgroup are made side by side, the rest in that order, and all is given back in reverse. A sandbox outlives single runs: a restart finds address and ports as they
were. When to run, and what is told of it, is `containers`' to say; what a run looks like inside, `runtime`'s.
"""

import contextlib
import functools
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, Protocol

import anyio

from orchestr8.backends.native import joining
from orchestr8.backends.native.launching import together
from orchestr8.backends.native.limits import not_allowed
from orchestr8.backends.native.making import Surroundings, grant_files, write_hosts
from orchestr8.errors import Orchestr8Error, Unavailable
from orchestr8.kernel import processors, sockets
from orchestr8.kernel.cgroup import CgroupPlace
from orchestr8.model.records import ContainerRecord
from orchestr8.runtime import bundle
from orchestr8.runtime.client import ShimClient, ShimListener, control_pair

_log: Final = logging.getLogger(__name__)
_ANSWER_S: Final = 10.0  # in which a shim says how its container is
KILL_GRACE_S: Final = 10.0  # Docker's: how long a SIGKILL may take before that is an error


class Owner(ShimListener, Protocol):
    """Whose sandbox it is: the record, which changes with it, and OCI's document."""

    @property
    def record(self) -> ContainerRecord: ...

    async def update(self, **changes: Any) -> None: ...

    async def document(self) -> dict[str, Any]: ...


class Sandbox:
    """One container's. The owner's lock is held by whoever calls what changes it."""

    def __init__(self, around: Surroundings, owner: Owner) -> None:
        self._around = around
        self._owner = owner
        self.shim: ShimClient | None = None
        self.held = False  # a cgroup, names, perhaps ports: what `release` takes away
        self._equipped = False  # the shim has its network
        self._lacks: tuple[str, ...] = ()
        self._shim_gone = anyio.Event()

    # --- making ---------------------------------------------------------------------------------------------------

    async def ensure(self) -> ShimClient:
        """The shim, in its cgroup; its network is made when the program starts."""
        if self.shim is not None and self.shim.open:
            return self.shim
        if self.held:
            await self.release()
        async with AsyncExitStack() as undo:
            try:
                return await self._make(undo)
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await undo.aclose()
                raise

    async def _make(self, undo: AsyncExitStack) -> ShimClient:
        """The process that holds what a run has, which gets ready while its cgroup is made; `undo` is emptied when all is well."""
        around = self._around
        await self._complete_addresses()
        record = self._owner.record
        document = await self._owner.document()
        resources = document["linux"]["resources"]
        if record.spec.files:
            await anyio.to_thread.run_sync(grant_files, around, record)

        async def make_group() -> CgroupPlace:
            processor = processors.here()

            def create() -> CgroupPlace:
                processors.join(processor)
                return around.cgroups.create(record.id, resources)

            place = await anyio.to_thread.run_sync(create)
            undo.callback(around.cgroups.remove, record.id)
            return place

        async def fork() -> ShimClient:
            shim = await self._spawn(document)
            undo.callback(shim.close)  # one that never ran anything ends with its connection
            return shim

        place, shim = await together(make_group, fork)  # in this order: the thread is at it while this one speaks
        held = document["process"]["capabilities"]["bounding"]
        self._lacks = (*place.warnings, *not_allowed(record.spec, held))
        for lack in self._lacks:
            _log.warning("%s: %s", record.name, lack)
        cgroup_fd = os.open(place.leaf or os.devnull, os.O_PATH | os.O_CLOEXEC)
        try:
            shim.place(cgroup_fd)
        finally:
            os.close(cgroup_fd)
        undo.pop_all()
        return self._use(shim, equipped=False)

    async def _spawn(self, document: dict[str, Any]) -> ShimClient:
        around, record = self._around, self._owner.record
        order = bundle.spawn_order(
            document,
            container_id=record.id,
            bundle=around.bundle(record.id),
            socket_path=around.shim_socket(record.id),
            place=around.cgroups.planned(record.id, document["linux"]["resources"]),
            oom_file=around.cgroups.oom_file(record.id),
            default_filter=around.seccomp_path,
        )
        ours, theirs = control_pair()
        with theirs:
            try:
                await around.forkserver.spawn(order, theirs.fileno())
            except BaseException:
                ours.close()
                raise
        return ShimClient(ours, self._owner)

    async def _complete_addresses(self) -> None:
        """An address for each network that was made anew since the container was created."""
        networks, record = self._around.networks, self._owner.record
        missing = networks.allot(record.spec, record.addresses)
        if missing:
            try:
                await self._owner.update(addresses={**record.addresses, **missing})
            finally:
                networks.settled(missing)
            await anyio.to_thread.run_sync(write_hosts, self._around, self._owner.record)

    def _use(self, shim: ShimClient, *, equipped: bool) -> ShimClient:
        self.shim = shim
        self._equipped = equipped
        self.held = True
        self._shim_gone = anyio.Event()
        return shim

    # --- running --------------------------------------------------------------------------------------------------

    async def start_program(self, *, reach: bool) -> tuple[str, ...]:
        """`reach`: fail when its log has a receiver that cannot be reached. Returns what this machine cannot do as it was asked to, a sentence each.

        A shim that dies over it may have gone with its forkserver: then once more, with what the next one forks.
        """
        record = self._owner.record
        find = functools.partial(self._around.find, record)
        with joining.opened(bundle.joined(record.spec), find) as joined:
            async with self._layer(record):
                try:
                    await self._start_in(await self.ensure(), joined, reach=reach)
                except Unavailable:
                    await self.release()
                    await self._start_in(await self.ensure(), joined, reach=reach)
        lacks, self._lacks = self._lacks, ()  # told once: a restart finds the sandbox as it was
        return lacks

    async def _start_in(self, shim: ShimClient, joined: Mapping[str, int], *, reach: bool) -> None:
        """PID 1 builds its file system while the network is made."""
        if self._equipped:
            await shim.start(joined, reach=reach)
            return
        try:
            await together(functools.partial(shim.start, joined, reach=reach), functools.partial(self._equip, shim))
        except BaseException:
            if not self._equipped:  # a shim that waits for a network is good for nothing else
                with anyio.CancelScope(shield=True):
                    await self.release()
            raise

    async def _equip(self, shim: ShimClient) -> None:
        """Network namespace and ports, kept by the shim. What is made and not handed over `release` takes away."""
        networks, record = self._around.networks, self._owner.record
        namespace = await networks.open_namespace(record)
        kept = [namespace.dns_udp, namespace.dns_tcp]
        try:
            published = await networks.publish(record)
            kept += published.fds
            await self._owner.update(ports=published.ports)
            shim.equip(namespace.netns, kept)
            self._equipped = True
        finally:
            sockets.close_all([namespace.netns, *kept])

    @asynccontextmanager
    async def _layer(self, record: ContainerRecord) -> AsyncIterator[None]:
        """With a layer of limited size where the program's root is mounted from."""
        if not record.spec.storage_bytes:
            yield
            return
        snapshots = self._around.snapshots
        await anyio.to_thread.run_sync(snapshots.bring, record.id)
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(snapshots.put_away, record.id)

    # --- giving back ----------------------------------------------------------------------------------------------

    async def release(self) -> None:
        """End the shim and take its cgroup, namespace and ports away. The container must not run."""
        around, container_id = self._around, self._owner.record.id
        if self.shim is not None:
            with contextlib.suppress(Unavailable):  # it was killed, which is not told yet
                self.shim.release()
            with anyio.move_on_after(KILL_GRACE_S):
                await self._shim_gone.wait()
        await around.networks.unpublish(container_id)
        await around.networks.close_namespace(container_id)
        await self.remove_traces()
        self.held = False

    async def remove_traces(self) -> None:
        """The socket of a shim that was killed, and the cgroup: nothing is left in it, unless that happened just now."""
        await anyio.to_thread.run_sync(self._remove_traces, self._owner.record)

    def _remove_traces(self, record: ContainerRecord) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._around.shim_socket(record.id))
        cgroups = self._around.cgroups
        if not cgroups.exists(record.id):
            return
        if cgroups.pids(record.id):
            cgroups.kill(record.id)
        cgroups.remove(record.id)

    # --- the shim -------------------------------------------------------------------------------------------------

    def shim_lost(self) -> None:
        """It is gone: as told, or killed."""
        self.shim = None
        self._shim_gone.set()

    async def until_shim_gone(self) -> None:
        await self._shim_gone.wait()

    async def adopt(self) -> bool:
        """Connect to a shim that a former engine left, which tells the owner how its container is. False: there is none."""
        record = self._owner.record
        try:
            shim = ShimClient.connect(self._around.shim_socket(record.id), self._owner)
        except OSError:
            return False
        self._use(shim, equipped=True)
        try:
            with anyio.fail_after(_ANSWER_S):
                _, fds = await shim.query()
        except (Unavailable, TimeoutError):  # it was about to end; or it is stopped, which must not stop the engine
            self.let_go()
            self.shim = None
            return False
        if not fds:  # its engine died before it had a network: nothing has run in it, and it waits for nobody else
            await self.release()
            return True
        try:
            await self._around.networks.adopt(record, dns_udp=fds[1], dns_tcp=fds[2])
        except Orchestr8Error as error:  # it is served worse; the other containers still are to be served at all
            _log.warning("%s runs on without names and new ports: %s", record.name, error)
        finally:
            sockets.close_all(fds)
        return True

    def let_go(self) -> None:
        """The engine ends, the container goes on: hear nothing more from its shim."""
        if self.shim is not None:
            self.shim.close()
