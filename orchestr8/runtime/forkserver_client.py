"""The engine's side of the forkserver: it is there when something is to be forked, and nobody answers but what is forked."""

import contextlib
import json
import logging
import os
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import anyio

from orchestr8.errors import OperationFailed, Orchestr8Error, Unavailable
from orchestr8.kernel import processors, sockets
from orchestr8.runtime import messages
from orchestr8.runtime.channel import Channel
from orchestr8.runtime.messages import Message

_log: Final = logging.getLogger(__name__)
_RESTART_DELAY_S: Final = 0.1
_RESTART_DELAY_MAX_S: Final = 10.0
_STEADY_S: Final = 10.0  # a forkserver that lived this long starts the delays anew


class ForkserverClient:
    """The forkserver, started again when it dies: containers do not notice, only starts in flight fail.

    `engine`: the arguments and the environment with which it starts an engine when this one dies; None: it ends then.
    """

    def __init__(
        self,
        start: Callable[[], tuple[socket.socket, subprocess.Popen[bytes]]],
        configure: messages.Configure,
        *,
        engine: tuple[Sequence[str], Mapping[str, str]] | None = None,
    ) -> None:
        self._start = start
        self._configure = configure
        self._engine = engine
        self._turn = anyio.Lock()
        self._channel: Channel | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._died = anyio.Event()
        self._end = anyio.Event()
        self.pid = 0

    def adopt(self, sock: socket.socket, pid: int) -> None:
        """Use the forkserver that started this engine."""
        self._open(sock)
        self.pid = pid

    async def start(self) -> None:
        """Start it unless it runs."""
        async with self._turn:
            await self._ensure()

    async def _ensure(self) -> Channel:
        self._check_end()
        if self._channel is None:
            with anyio.CancelScope(shield=True):  # or a process would be left that nobody knows
                sock, process = await anyio.to_thread.run_sync(self._start)
                if self._end.is_set():
                    await _tell_end(Channel(sock, _unexpected, lambda: None), process)
            self._check_end()
            self._process = process
            self.pid = process.pid
            self._open(sock)
        assert self._channel is not None
        return self._channel

    def _check_end(self) -> None:
        if self._end.is_set():
            raise Unavailable("no container is started any more, for the engine ends")

    def _open(self, sock: socket.socket) -> None:
        self._died = anyio.Event()
        self._channel = Channel(sock, _unexpected, self._lost)
        if self._engine is None:
            self._channel.send(self._configure)
            return
        argv, environment = self._engine
        launch = os.memfd_create("engine-launch", os.MFD_CLOEXEC)
        with open(launch, "wb") as file:
            file.write(json.dumps({"argv": list(argv), "environment": dict(environment)}).encode())
            file.flush()
            self._channel.send(self._configure, [launch])

    def _lost(self) -> None:
        if self._process is not None:
            self._process.wait()  # its socket closed with it: this reaps and does not block
            self._process = None
        self._channel = None
        self.pid = 0
        self._died.set()

    async def keep_running(self) -> None:
        """Start it whenever it dies, since it is who starts the next engine; later and later when it keeps dying."""
        delay_s = _RESTART_DELAY_S
        while True:
            since = anyio.current_time()
            await self._died.wait()
            if anyio.current_time() - since >= _STEADY_S:
                delay_s = _RESTART_DELAY_S
            _log.warning("the forkserver died; containers go on, and another one is started")
            await anyio.sleep(delay_s)
            delay_s = min(2 * delay_s, _RESTART_DELAY_MAX_S)
            try:
                await self.start()
            except (OSError, Orchestr8Error) as error:
                _log.warning("cannot start a forkserver: %s", error)

    async def spawn(self, order: messages.Spawn, control_fd: int) -> None:
        """Have a shim forked, which talks on the socket behind `control_fd`.

        Nobody answers but the shim, on its control socket; that the forkserver died over it shows as that socket's end.
        """
        await self._have_forked(order, [control_fd])

    async def copy(self, order: messages.Copy, fds: Sequence[int]) -> None:
        """Have a process forked that copies (messages.Copy), which answers likewise."""
        await self._have_forked(order, fds)

    async def _have_forked(self, order: Message, fds: Sequence[int]) -> None:
        async with self._turn:
            channel = await self._ensure()
            if isinstance(order, messages.Spawn):
                order.processor = processors.here()
            try:
                await channel.send_in_turn(order, fds)
            except Unavailable as error:
                if not isinstance(error.__cause__, ConnectionError):
                    raise
                channel.close()  # it is dead, only that has not been noticed yet
                self._lost()
                await (await self._ensure()).send_in_turn(order, fds)

    async def close(self) -> None:
        """End it, for good. Shims and containers go on."""
        self._end.set()
        channel, process = self._channel, self._process
        self._channel = self._process = None
        await _tell_end(channel, process)


async def _tell_end(channel: Channel | None, process: subprocess.Popen[bytes] | None) -> None:
    """Tell a forkserver to end, rather than to start the next engine when this one is gone."""
    if channel is not None:
        with contextlib.suppress(Unavailable):  # it has just died
            channel.send(messages.Shutdown())
        channel.close()
    if process is not None:
        await anyio.to_thread.run_sync(process.wait)


def _unexpected(message: Message, fds: list[int]) -> None:
    sockets.close_all(fds)
    raise OperationFailed(f"a forkserver says nothing, but this one said {message!r}", code="O8-902")
