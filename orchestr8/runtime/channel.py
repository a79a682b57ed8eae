"""A socket of the runtime's on the engine's event loop: messages with descriptors, each whole, in order.

Uses the loop's readers directly: a hundred idle containers are a hundred registered descriptors, not tasks.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Final

import anyio

from orchestr8.errors import OperationFailed, Unavailable
from orchestr8.kernel import sockets
from orchestr8.runtime import messages
from orchestr8.runtime.messages import Message

_log: Final = logging.getLogger(__name__)


class Channel:
    """One SEQPACKET socket on the event loop. `on_packet(message, fds)` owns the descriptors; `on_close()` comes once."""

    def __init__(
        self, sock: socket.socket, on_packet: Callable[[Message, list[int]], None], on_close: Callable[[], None]
    ) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._on_packet = on_packet
        self._on_close = on_close
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._readable)

    @property
    def open(self) -> bool:
        return self._socket.fileno() >= 0

    def _readable(self) -> None:
        while self.open:
            try:
                packet, fds = sockets.receive_packet(self._socket)
            except BlockingIOError:
                return
            except (OSError, OperationFailed) as error:
                _log.warning("lost a connection of the runtime: %s", error)
                packet, fds = b"", []
            if not packet:
                self.close()
                self._on_close()
                return
            try:
                message = messages.decode(packet)
            except OperationFailed as error:  # of a newer shim: nobody here can want it
                sockets.close_all(fds)
                _log.warning("%s", error)
                continue
            self._on_packet(message, fds)

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Raises Unavailable when the other side is gone, or so far behind that the socket is full."""
        try:
            sockets.send_packet(self._socket, messages.encode(message), fds)
        except OSError as error:
            raise Unavailable(
                f"cannot reach the process behind this container: {error.strerror}", code="O8-903"
            ) from error

    async def send_in_turn(self, message: Message, fds: Sequence[int] = ()) -> None:
        """The same, but a full socket is waited for: there is one sender at a time."""
        while True:
            try:
                self.send(message, fds)
                return
            except Unavailable as error:
                if not isinstance(error.__cause__, BlockingIOError):
                    raise
            await anyio.wait_writable(self._socket)

    def close(self) -> None:
        if self.open:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
