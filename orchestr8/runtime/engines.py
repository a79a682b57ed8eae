"""The engines that talk to a shim: the one it was made by, and any that comes later and connects to its named socket.

What they ask for, and what is answered, is the shim's business.
"""

import contextlib
import os
import socket
import sys
from collections.abc import Callable
from typing import Final

from orchestr8.errors import OperationFailed
from orchestr8.kernel import sockets
from orchestr8.runtime import messages
from orchestr8.runtime.messages import Message
from orchestr8.runtime.poller import READ, Poller

_DEAF_S: Final = 1.0
_QUEUE: Final = 8  # of those that wait to be let in


class Engines:
    """`on_request(engine, packet, fds)` has one request, and takes out of `fds` what it keeps. `on_alone()`: the last of them
    has gone.
    """

    def __init__(
        self,
        poller: Poller,
        path: str,
        container: str,
        on_request: Callable[[socket.socket, bytes, list[int]], None],
        on_alone: Callable[[], None],
    ) -> None:
        """Listen at `path`. `container`: whom complaints are about."""
        self._poller = poller
        self._path = path
        self._container = container
        self._on_request = on_request
        self._on_alone = on_alone
        self._connected: dict[int, socket.socket] = {}
        self._deaf = False  # for whoever wants to be let in
        self._deafness_told = False
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # of a shim that was killed: the engine asks for a second one only then
        self._listener.bind(path)
        self._identity = _identity(path)
        self._listener.setblocking(False)
        self._listener.listen(_QUEUE)
        self._welcoming = True
        poller.watch(self._listener.fileno(), READ, self._accept)

    def wait(self, timeout_s: float) -> bool:
        """Sleep until something happens, and have it done. False: `timeout_s` went by; -1 is for ever."""
        if not self._deaf:
            return self._poller.wait(timeout_s)
        self._poller.wait(_DEAF_S)
        if self._welcoming:
            self._poller.watch(self._listener.fileno(), READ, self._accept)
        self._deaf = False
        return True

    def _accept(self, _events: int) -> None:
        """An engine that there is no descriptor or memory for waits in the queue: it is tried again in a while."""
        try:
            self.welcome(self._listener.accept()[0])
            self._deafness_told = False
        except BlockingIOError:
            return
        except OSError as error:
            self._poller.watch(self._listener.fileno(), 0, self._accept)
            self._deaf = True
            if not self._deafness_told:
                self._deafness_told = True
                with contextlib.suppress(OSError):  # nowhere to tell it
                    print(f"shim {self._container}: cannot let an engine in: {error}", file=sys.stderr, flush=True)

    def welcome(self, engine: socket.socket) -> None:
        engine.setblocking(False)
        self._connected[engine.fileno()] = engine
        self._poller.watch(engine.fileno(), READ, lambda _events: self._receive(engine))

    def _dismiss(self, engine: socket.socket) -> None:
        if engine.fileno() >= 0:
            self._poller.forget(engine.fileno())
            del self._connected[engine.fileno()]
            engine.close()
            if not self._connected:
                self._on_alone()

    def _receive(self, engine: socket.socket) -> None:
        try:
            packet, fds = sockets.receive_packet(engine)
        except BlockingIOError:
            return
        except (OSError, OperationFailed):
            packet, fds = b"", []
        if not packet:
            self._dismiss(engine)
            return
        try:
            self._on_request(engine, packet, fds)
        finally:
            sockets.close_all(fds)

    def answer(self, engine: socket.socket, message: Message, fds: list[int] | None = None) -> None:
        """Send, or let go of an engine that does not read: it will connect and ask again."""
        if engine.fileno() < 0:
            return
        try:
            sockets.send_packet(engine, messages.encode(message), fds or [])
        except OSError:
            self._dismiss(engine)

    def tell(self, message: Message, *, but: frozenset[socket.socket] | set[socket.socket] = frozenset()) -> None:
        """All of them, except for `but`."""
        for engine in [each for each in self._connected.values() if each not in but]:
            self.answer(engine, message)

    def refuse(self) -> None:
        """Let nobody in any more."""
        if self._welcoming:
            self._welcoming = False
            self._poller.forget(self._listener.fileno())

    def leave(self) -> None:
        """Give the name back, and close the door: who waits before it hears of that."""
        if _identity(self._path) == self._identity:  # not that of a shim that came after
            os.unlink(self._path)
        self.refuse()
        self._listener.close()

    def dismiss_all(self) -> None:
        for engine in list(self._connected.values()):
            self._dismiss(engine)


def _identity(path: str) -> tuple[int, int]:
    """Which file has this name; (0, 0): none."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return 0, 0
    return found.st_dev, found.st_ino
