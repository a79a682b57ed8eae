"""Queries that are none of ours, passed on as they are to the host's resolvers, and their answers back.

At most three servers, one after the other: the next one when a server refuses, fails, or says nothing for four
seconds; when none has an answer, SERVFAIL. Sent from the engine's network namespace, so that a resolver on the host's
loopback is reached. Callbacks on the event loop instead of tasks: nothing runs while nothing is asked.
"""

import asyncio
import collections
import errno
import os
import secrets
import socket
import struct
from collections.abc import Callable
from typing import Final

from orchestr8.network.dns import wire
from orchestr8.network.dns.resolv import upstream_servers
from orchestr8.network.dns.wire import Query

DNS_PORT: Final = 53
TIMEOUT_S: Final = 4.0
IN_FLIGHT: Final = 1024
IN_FLIGHT_EACH: Final = 256  # of one container, so that one cannot use up all
LENGTH: Final = struct.Struct("!H")  # before each message over TCP
DATAGRAM_BYTES: Final = 65535
TRY_NEXT: Final = frozenset({"SERVFAIL", "REFUSED"})

Reply = Callable[[bytes], None]


class Upstreams:
    """The host's servers, read again when their file has changed, and the queries that are on their way."""

    def __init__(self, path: str, port: int = DNS_PORT, timeout_s: float = TIMEOUT_S) -> None:
        self._path = path
        self.port: Final = port
        self.timeout_s: Final = timeout_s
        self._stamp: tuple[int, int, int] | None = None
        self._servers: list[str] = []
        self._pending: set[Forwarding] = set()
        self._askers: collections.Counter[str] = collections.Counter()

    def servers(self) -> list[str]:
        """Of the file as it is now; a file that is missing names none."""
        try:
            found = os.stat(self._path)
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp != self._stamp:
                with open(self._path, encoding="utf-8", errors="replace") as file:
                    self._servers = upstream_servers(file.read())
                self._stamp = stamp
        except FileNotFoundError:
            self._servers = []
            self._stamp = None
        return self._servers

    def forward(self, asker: str, query: Query, *, stream: bool, reply: Reply) -> None:
        """Call `reply` with the answer's bytes, soon or after the time-outs, unless closed before."""
        if len(self._pending) >= IN_FLIGHT or self._askers[asker] >= IN_FLIGHT_EACH:
            reply(wire.failure(query, "REFUSED"))
            return

        def done(answer: bytes) -> None:
            self._pending.discard(forwarding)
            self._askers -= collections.Counter((asker,))
            reply(answer)

        forwarding = Forwarding(self, query, stream=stream, done=done)
        self._pending.add(forwarding)
        self._askers[asker] += 1
        forwarding.next_server()

    def close(self) -> None:
        """Drop what is on its way, without answers."""
        for each in list(self._pending):
            each.close()
        self._pending.clear()
        self._askers.clear()


class Forwarding:
    """One query on its way. A fresh socket a try: its random port, and a random id, are what a forger must guess."""

    def __init__(self, upstreams: Upstreams, query: Query, *, stream: bool, done: Reply) -> None:
        self._upstreams = upstreams
        self._servers = iter(upstreams.servers())
        self._query = query
        self._stream = stream
        self._done = done
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._id = 0
        self._received = bytearray()
        self._last = wire.failure(query, "SERVFAIL")

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None

    def next_server(self) -> None:
        """Ask the next server that can be asked at all; with none left, give what the last one said."""
        self.close()
        for server in self._servers:
            try:
                self._ask(server)
            except OSError:  # no route, no such zone: as good as no answer
                self.close()
            else:
                return
        self._done(self._last)

    def _ask(self, server: str) -> None:
        address = socket.getaddrinfo(
            server,
            self._upstreams.port,
            type=socket.SOCK_STREAM if self._stream else socket.SOCK_DGRAM,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )[0]
        self._socket = socket.socket(address[0], address[1])
        self._socket.setblocking(False)
        self._id = secrets.randbelow(1 << 16)
        self._received.clear()
        error = self._socket.connect_ex(address[4])
        if error not in (0, errno.EINPROGRESS):
            raise OSError(error, os.strerror(error))
        if self._stream:
            self._loop.add_writer(self._socket, self._connected)
        else:
            self._socket.send(wire.with_id(self._query.raw, self._id))
            self._loop.add_reader(self._socket, self._readable)
        self._timer = self._loop.call_later(self._upstreams.timeout_s, self.next_server)

    def _connected(self) -> None:
        assert self._socket is not None
        self._loop.remove_writer(self._socket)
        message = wire.with_id(self._query.raw, self._id)
        try:
            # The first thing on a fresh connection: it fits into the send buffer whole.
            self._socket.send(LENGTH.pack(len(message)) + message)
        except OSError:
            self.next_server()
            return
        self._loop.add_reader(self._socket, self._readable)

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(DATAGRAM_BYTES)
        except BlockingIOError:
            return
        except OSError:  # ICMP: nobody listens there
            self.next_server()
            return
        if self._stream:
            if not data:
                self.next_server()
                return
            self._received += data
            if len(self._received) < LENGTH.size:
                return
            (length,) = LENGTH.unpack_from(self._received)
            if len(self._received) < LENGTH.size + length:
                return
            data = bytes(self._received[LENGTH.size : LENGTH.size + length])
        self._take(data)

    def _take(self, answer: bytes) -> None:
        if not wire.is_reply_to(answer, self._id, self._query):
            if self._stream:
                self.next_server()
            return  # a datagram of somebody else: the real one may still come
        self._last = wire.with_id(answer, self._query.id)
        if wire.rcode_of(answer) in TRY_NEXT:
            self.next_server()
            return
        self.close()
        self._done(self._last)
