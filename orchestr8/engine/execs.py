"""Further programs in running containers: created, started on a client's connection, and asked about afterwards.

An exec is the engine's note about a program of the container's shim, which knows of those that an engine before this one
had started. Notes of ended programs are kept for a while, for clients that ask late; nothing wakes up to drop them: that
is done when the next one is created.
"""

import dataclasses
import logging
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import anyio.abc

from orchestr8.api.errors import as_error
from orchestr8.engine.containers import error_bytes
from orchestr8.errors import Conflict, NotFound, Orchestr8Error
from orchestr8.model.backend import Backend, ExecHandle, ExecSpec
from orchestr8.model.ids import ContainerName
from orchestr8.model.observed import ContainerState, ObservedContainer
from orchestr8.wire.http import Hijacked

log = logging.getLogger("orchestr8.engine")

KEPT_S: Final = 300.0  # Docker's: daemon/exec.go
ENGINE_FAILED: Final = 125
EXIT_CODES: Final = {"O8-626": 126, "O8-627": 127}  # a program that is not executable, that is not found: as a shell's


@dataclass(slots=True, kw_only=True)
class _Exec:
    container: ContainerName
    spec: ExecSpec
    created_at: float
    started: bool = False
    handle: ExecHandle | None = None
    exit_code: int | None = None
    error: Orchestr8Error | None = None
    ended_at: float = 0.0
    ready: anyio.Event = field(default_factory=anyio.Event)  # it runs, or could not be run
    ended: anyio.Event = field(default_factory=anyio.Event)


class Execs:
    """`api.services.ExecService`. Ends are awaited in `tasks`."""

    def __init__(
        self, backend: Backend, tasks: anyio.abc.TaskGroup, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._backend = backend
        self._tasks = tasks
        self._clock = clock
        self._execs: dict[str, _Exec] = {}

    def create(self, container: ObservedContainer, spec: ExecSpec) -> str:
        if container.state is not ContainerState.RUNNING:
            raise Conflict(f"container {container.name} is not running")
        self._drop_old()
        exec_id = secrets.token_hex(32)
        spec = dataclasses.replace(spec, id=exec_id)
        self._execs[exec_id] = _Exec(container=container.name, spec=spec, created_at=self._clock())
        return exec_id

    def spec(self, exec_id: str) -> ExecSpec:
        return self._find(exec_id).spec

    async def start(self, exec_id: str, connection: Hijacked) -> None:
        found = self._find(exec_id)
        if found.started:
            await connection.send(error_bytes(Conflict("this exec command was started already"), tty=found.spec.tty))
            return
        try:
            await self._run(found, found.spec, connection.fileno(), connection.early)
        except Orchestr8Error as error:  # the answer has begun, so it is told in the stream
            await connection.send(error_bytes(error, tty=found.spec.tty))

    async def start_detached(self, exec_id: str) -> None:
        """Nobody is connected: there is no input, and what it writes is read by nobody. Raises why it could not be run."""
        found = self._find(exec_id)
        if found.started:
            raise Conflict("this exec command was started already")
        ours, theirs = socket.socketpair()
        with ours, theirs:
            await self._run(found, dataclasses.replace(found.spec, stdin=False), theirs.fileno())

    async def _run(self, found: _Exec, spec: ExecSpec, stream_fd: int, early: bytes = b"") -> None:
        found.started = True
        try:
            self._follow(found, await self._backend.exec(found.container, spec, stream_fd, early))
        except Exception as failure:
            found.error = as_error(failure)
            self._end(found, EXIT_CODES.get(found.error.code, ENGINE_FAILED))
            raise found.error from failure
        finally:
            found.ready.set()

    def _follow(self, found: _Exec, handle: ExecHandle) -> None:
        found.handle = handle
        self._tasks.start_soon(self._await_end, found, handle, name=f"exec in {found.container}")

    async def resize(self, exec_id: str, rows: int, columns: int) -> None:
        found = self._find(exec_id)
        if not found.started:
            raise Conflict("this exec command has not been started")
        await found.ready.wait()
        if found.handle is not None and not found.ended.is_set():
            await found.handle.resize(rows, columns)

    async def inspect(self, exec_id: str, *, wait: bool) -> dict[str, Any]:
        found = self._find(exec_id)
        if wait:
            await found.ended.wait()
        described: dict[str, Any] = {
            "ID": exec_id,
            "Running": found.handle is not None and not found.ended.is_set(),
            "ExitCode": found.exit_code,
            "Pid": found.handle.pid if found.handle is not None else 0,
        }
        return described | ({"Error": found.error.to_json()} if found.error is not None else {})

    async def _await_end(self, found: _Exec, handle: ExecHandle) -> None:
        try:
            self._end(found, await handle.wait())
        except Orchestr8Error as error:
            log.warning("the end of a program in %s was not seen: %s", found.container, error)
            found.error = error
            self._end(found, ENGINE_FAILED)

    def _end(self, found: _Exec, exit_code: int) -> None:
        found.exit_code = exit_code
        found.ended_at = self._clock()
        found.ended.set()

    def _find(self, exec_id: str) -> _Exec:
        if exec_id in self._execs:
            return self._execs[exec_id]
        former = self._backend.find_exec(exec_id)
        if former is None:
            raise NotFound(f"No such exec instance: {exec_id}")
        container, handle = former
        found = _Exec(container=container, spec=ExecSpec(argv=()), created_at=self._clock(), started=True)
        found.ready.set()
        self._execs[exec_id] = found
        if isinstance(handle, int):
            self._end(found, handle)
        else:
            self._follow(found, handle)
        return found

    def _drop_old(self) -> None:
        before = self._clock() - KEPT_S
        for exec_id, each in list(self._execs.items()):
            unused = not each.started and each.created_at < before
            if unused or (each.ended.is_set() and each.ended_at < before):
                del self._execs[exec_id]
