"""The engine's side of a copy: a process of `runtime.copying`, whose files it opens, what it says, and its end.

No lock is held while bytes flow, from the client's connection into that process or back: the engine only waits for its word.
A container that starts, or is removed, ends what copies from or to it (`Copies.end`): a layer must not be mounted by two who
write to it.
"""

import contextlib
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

import anyio

from orchestr8.backends.native import idranges
from orchestr8.backends.native.making import Surroundings
from orchestr8.backends.native.runs import Owner
from orchestr8.errors import Conflict, OperationFailed, Unavailable, error_from_json
from orchestr8.kernel import sockets
from orchestr8.model.backend import PathStatus
from orchestr8.runtime import messages
from orchestr8.runtime.forkserver_client import ForkserverClient
from orchestr8.storage import limited

_ENDING_S: Final = 2.0
_DYING_S: Final = 10.0  # as for a container's own processes


class Copy:
    """See model.backend.OpenedPath. `standing`: of a container that does not run."""

    status: PathStatus

    def __init__(self, on_close: Callable[["Copy"], object], *, standing: bool) -> None:
        self.standing = standing
        self._on_close = on_close
        self._control, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        self._life = self._pidfd = -1
        self._ended_by = ""
        self._asked = False  # for a process

    async def begun(self, forkserver: ForkserverClient, order: messages.Copy, extra: Sequence[int]) -> "Copy":
        """With the path opened. Raises NotFound, Conflict and others for what cannot be; then it is closed."""
        try:
            await self._begin(forkserver, order, extra)
        except BaseException:
            await self.close()
            raise
        return self

    async def _begin(self, forkserver: ForkserverClient, order: messages.Copy, extra: Sequence[int]) -> None:
        reader, self._life = os.pipe()
        try:
            with self._theirs as theirs:
                self._asked = True
                await forkserver.copy(order, [theirs.fileno(), reader, *extra])
        finally:
            os.close(reader)
        await self._meet()
        found = await self._answer()
        assert isinstance(found, messages.Found)
        self.status = PathStatus(found.name, found.mode, found.size, found.mtime_ns, found.link)

    async def send(self, stream_fd: int, *, framed: bool) -> None:
        sockets.send_packet(self._control, messages.encode(messages.Send(framed=framed)), [stream_fd])
        await self._answer()

    async def receive(self, stream_fd: int, early: bytes, length: int | None) -> Sequence[str]:
        memory = os.memfd_create("early", os.MFD_CLOEXEC)
        try:
            os.pwrite(memory, early, 0)  # as much as was read at once: no disk is waited for
            order = messages.encode(messages.Receive(length=length))
            sockets.send_packet(self._control, order, [stream_fd, memory])
        finally:
            os.close(memory)
        copied = await self._answer()
        return tuple(copied.told)

    async def _meet(self) -> None:
        """The process shows itself first; nothing comes where there is none."""
        _, fds = await self._packet()
        for fd in fds:
            self._pidfd = fd

    async def _answer(self) -> messages.Message:
        packet, fds = await self._packet()
        sockets.close_all(fds)
        if not packet:
            if self._ended_by:
                raise Conflict(self._ended_by, helps=["copy again"])
            from orchestr8.runtime.copying import AFTER_UPGRADE  # which the engine has no other use for

            raise Unavailable(
                "the process that copies files has died",
                code="O8-903",
                helps=["look at why: orchestr8 engine logs", AFTER_UPGRADE],
            )
        message = messages.decode(packet)
        if isinstance(message, messages.Refused):
            raise error_from_json(message.status, message.error)
        return message

    async def _packet(self) -> tuple[bytes, list[int]]:
        while True:
            try:
                return sockets.receive_packet(self._control)
            except BlockingIOError:
                await anyio.wait_readable(self._control)
            except ConnectionError:
                return b"", []

    def kill(self, why: str) -> None:
        """End it; who waits for its answer hears why."""
        self._ended_by = why
        self._let_go()

    def _let_go(self) -> None:
        if self._life >= 0:
            os.close(self._life)  # which ends the process
            self._life = -1
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def close(self) -> None:
        """Once the process has ended, and its mounts with it; who does not end is still counted among the container's."""
        with anyio.CancelScope(shield=True):
            gone = False
            with anyio.move_on_after(_DYING_S):
                if self._asked and self._pidfd < 0:  # this was cancelled before they met
                    await self._meet()
                self._let_go()
                if self._pidfd >= 0:
                    await anyio.wait_readable(self._pidfd)
                gone = True
            self._let_go()
            self._control.close()
            self._theirs.close()
            if self._pidfd >= 0:
                os.close(self._pidfd)
                self._pidfd = -1
            if gone:
                self._on_close(self)


class Copies:
    """Those of one container. `alone` is the owner's lock; `complete` makes what a crash kept from being made."""

    def __init__(
        self,
        around: Surroundings,
        owner: Owner,
        *,
        alone: Callable[[], AbstractAsyncContextManager[None]],
        complete: Callable[[], Awaitable[None]],
    ) -> None:
        self._around = around
        self._owner = owner
        self._alone = alone
        self._complete = complete
        self._open: set[Copy] = set()
        self._changed = anyio.Event()

    async def open_path(self, path: str, *, write: bool, follow: bool) -> Copy:
        """See model.backend. Of one that runs the lock is not waited for: it may be held by a stop that takes long."""
        owner, record = self._owner, self._owner.record
        count = idranges.COUNT if record.id_base else 0
        order = messages.Copy(
            bundle=owner.bundle, path=path, write=write, follow=follow, id_base=record.id_base, id_count=count
        )
        if not owner.running:
            async with self._alone():
                if (standing := await self._open_standing(order)) is not None:
                    return standing
        order.pid = owner.run.pid
        with contextlib.ExitStack() as opened:
            try:
                pidfd = os.pidfd_open(order.pid)
                opened.callback(os.close, pidfd)
            except (OSError, ValueError):  # no such process, or number
                pidfd = -1
            copy = await self._new(standing=False)
            if pidfd < 0 or owner.run.pid != order.pid:  # else it is the process that it was taken for
                await copy.close()
                raise Conflict(f"{record.name} ended just now", helps=["copy again"])
            return await copy.begun(self._around.forkserver, order, [pidfd])

    async def _open_standing(self, order: messages.Copy) -> Copy | None:
        """None: it runs by now."""
        owner = self._owner
        if owner.running:
            return None
        await self._complete()
        with contextlib.ExitStack() as opened:
            layer = []
            if owner.record.spec.storage_bytes:
                os.makedirs(f"{owner.bundle}/layer", mode=0o700, exist_ok=True)
                layer = [opened.enter_context(limited.shown(owner.bundle))]
            return await (await self._new(standing=True)).begun(self._around.forkserver, order, layer)

    async def _new(self, *, standing: bool) -> Copy:
        """Raises Conflict where another one has the files of a container that does not run, and keeps them."""
        with anyio.move_on_after(_ENDING_S):  # who has all that he wanted is gone in a moment
            while standing and any(each.standing for each in self._open):
                await self._changed.wait()
        if standing and any(each.standing for each in self._open):
            raise Conflict(
                "files are being copied from or to this container already, and it does not run",
                helps=["wait for that, or start the container: one that runs takes several at once"],
            )
        copy = Copy(self._closed, standing=standing)
        self._open.add(copy)
        return copy

    def _closed(self, copy: Copy) -> None:
        self._open.discard(copy)
        self._changed.set()
        self._changed = anyio.Event()

    async def end(self, why: str) -> None:
        """Cut all of them short, and return when none is left. Raises OperationFailed for one that cannot be."""
        for copy in list(self._open):
            copy.kill(why)
        with anyio.move_on_after(_DYING_S):
            while self._open:
                await self._changed.wait()
        if self._open:
            raise OperationFailed(
                "a process that copies its files does not die of SIGKILL; is it stuck in the kernel?", code="O8-640"
            )
