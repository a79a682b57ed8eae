"""One engine: what it is put together from, its beginning and its end.

    lock, log, store ─▶ backend adopts what runs ─▶ reconciler resumes what was asked for ─▶ HTTP server ─▶ "ready"

It ends by SIGTERM, SIGINT or a request; containers go on. A failure that nobody expected ends it at once and as
roughly as SIGKILL would, since everything is made to survive that: the forkserver starts the next one.
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import anyio
import anyio.abc
import anyio.to_thread

from orchestr8 import __version__
from orchestr8.api.router import Router
from orchestr8.api.routes import all_routes
from orchestr8.api.services import Services
from orchestr8.engine.bus import Bus, Events
from orchestr8.engine.containers import Containers
from orchestr8.engine.enginelog import write_log
from orchestr8.engine.execs import Execs
from orchestr8.engine.layers import Layers
from orchestr8.engine.logs import Logs
from orchestr8.engine.oneoffs import Departed, remove_finished
from orchestr8.engine.paths import EnginePaths, leave, listen, stop_listening
from orchestr8.engine.stacks import Stacks
from orchestr8.engine.store import Store
from orchestr8.engine.watch import DirectoryWatcher
from orchestr8.engine.wiring import EngineBackend, MakeBackend, faults_of
from orchestr8.model.observed import ContainerState
from orchestr8.reconcile.loop import Reconciler
from orchestr8.wire.http import HttpServer, Send

log = logging.getLogger("orchestr8.engine")

CRASHED: Final = 70  # EX_SOFTWARE
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Engine:
    """`serve` it in a task. The root's lock is held by the caller. `after_crash`: the forkserver started it, because the
    engine before was killed.
    """

    def __init__(
        self,
        paths: EnginePaths,
        make_backend: MakeBackend,
        environ: Mapping[str, str],
        *,
        after_crash: bool = False,
        crash: Callable[[], None] = lambda: os._exit(CRASHED),
    ) -> None:
        self._paths = paths
        self._make_backend = make_backend
        self._environ = environ
        self._after_crash = after_crash
        self._crash = crash
        self._answering = False
        self._started_at = time.time()
        self._stopping = anyio.Event()
        self._containers_too = False
        self._watcher: DirectoryWatcher

    async def serve(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Until it is stopped. "Started" means that it answers requests."""
        async with Store.open(self._paths.database) as store:
            backend = self._make_backend(self._paths, store)
            try:
                with DirectoryWatcher() as self._watcher:
                    await backend.start()
                    log.info("engine %s started: pid %d, root %s", __version__, os.getpid(), self._paths.root)
                    await self._serve(store, backend, task_status)
            except Exception:
                # A first start says why it failed and ends in order; later nobody is there to read it, and a rough end
                # is what makes the forkserver try again.
                if not self._answering and not self._after_crash:
                    raise
                log.critical("the engine crashed", exc_info=True)
                self._crash()
            finally:
                # Not in a scope of this task's: what the backend entered at its start lies around that, and ends first.
                try:
                    await backend.close(remove=not store.containers and not store.networks)
                finally:
                    leave(self._paths)
        log.info("engine ended")

    def stop(self, *, containers: bool = False) -> None:
        self._containers_too |= containers
        self._stopping.set()

    async def _serve(self, store: Store, backend: EngineBackend, task_status: anyio.abc.TaskStatus[None]) -> None:
        bus = Bus()
        backend.subscribe(bus.publish)
        reconciler = Reconciler(backend, health=store, faults=faults_of(self._environ, backend))
        reconciler.subscribe(bus.publish)
        departed = Departed(store)
        async with anyio.create_task_group() as keeping:
            keeping.start_soon(self._watcher.run, name="inotify")
            await keeping.start(remove_finished, backend, bus, departed, name="finished one-offs")
            async with anyio.create_task_group() as serving:
                async with anyio.create_task_group() as work:
                    stacks = Stacks(store, backend, reconciler, bus, work)
                    unfinished = stacks.unfinished(after_crash=self._after_crash)
                    await keeping.start(reconciler.serve, unfinished, self._after_crash, name="reconciler")
                    stacks.conclude_unfinished()
                    services = Services(
                        engine=_Facade(self, store, backend, reconciler),
                        stacks=stacks,
                        containers=Containers(backend, bus, departed, reconciler.observe, reconciler.known_health),
                        execs=Execs(backend, work),
                        layers=Layers(backend),
                        logs=Logs(backend, bus, self._watcher, stacks),
                        events=Events(bus),
                    )
                    router = Router(all_routes(services))
                    server = HttpServer(router, router.takes_body)
                    await serving.start(self._listen, server, name="http server")
                    self._answering = True
                    task_status.started()
                    await self._stopping.wait()
                    log.info("engine is stopping")
                    if self._containers_too:
                        await stacks.bring_all_down()
                    work.cancel_scope.cancel()
                server.close()  # only now, so that whoever follows a piece of work reads that it was cut short
            keeping.cancel_scope.cancel()

    async def _listen(self, server: HttpServer, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        listener = listen(self._paths)
        try:
            with listener:
                task_status.started()
                await server.serve(listener)
        finally:
            stop_listening(self._paths)

    # --- what is told about it --------------------------------------------------------------------------------

    async def describe(self, store: Store, backend: EngineBackend, reconciler: Reconciler) -> dict[str, Any]:
        containers = (await reconciler.observe()).containers.values()
        return {
            "pid": os.getpid(),
            "forkserver_pid": backend.forkserver_pid,
            "root": self._paths.root,
            "socket": self._paths.socket,
            "version": __version__,
            "started_at": self._started_at,
            "stacks": len({each.stack for each in containers} | set(store.intents)),
            "containers": len(containers),
            "running": sum(each.state is ContainerState.RUNNING for each in containers),
            "memory_pss_bytes": await anyio.to_thread.run_sync(memory_pss_bytes),
        }

    async def write_log(self, send: Send, *, tail: int | None, follow: bool) -> None:
        await write_log(self._paths.log, send, self._watcher, tail=tail, follow=follow)


class _Facade:
    """`api.services.EngineService`."""

    def __init__(self, engine: Engine, store: Store, backend: EngineBackend, reconciler: Reconciler) -> None:
        self._engine = engine
        self._store = store
        self._backend = backend
        self._reconciler = reconciler

    async def info(self) -> dict[str, Any]:
        return await self._engine.describe(self._store, self._backend, self._reconciler)

    def stop(self, *, containers: bool) -> None:
        self._engine.stop(containers=containers)

    async def write_log(self, send: Send, *, tail: int | None, follow: bool) -> None:
        await self._engine.write_log(send, tail=tail, follow=follow)


def memory_pss_bytes() -> int:
    """What of the machine's memory this process accounts for; 0 where the kernel does not tell."""
    try:
        with open("/proc/self/smaps_rollup", encoding="ascii") as file:
            found = next((line for line in file if line.startswith("Pss:")), "Pss: 0 kB")
    except OSError:
        return 0
    return int(found.split()[1]) * 1024


async def serve_until_signalled(engine: Engine, *, task_status: anyio.abc.TaskStatus[None]) -> None:
    """An engine that also listens to the signals that mean "stop"."""
    async with anyio.create_task_group() as tasks:
        with anyio.open_signal_receiver(*SIGNALS) as received:

            async def listen_to_signals() -> None:
                async for number in received:
                    log.info("received %s", signal.Signals(number).name)
                    engine.stop()

            tasks.start_soon(listen_to_signals, name="signals")
            await engine.serve(task_status=task_status)
            tasks.cancel_scope.cancel()
