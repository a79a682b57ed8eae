"""DNS for every container, on sockets that live in their namespaces: which socket a query came by tells who asks.

Transports and callbacks on the engine's loop, no tasks and no timers while nothing is asked. The sockets' other copies
are held by the shims: while no engine runs, queries wait in them.
"""

import asyncio
import os
import random
import socket
from collections.abc import Callable
from typing import Final, cast

import anyio

from orchestr8.model.ids import ContainerId
from orchestr8.network.dns import wire
from orchestr8.network.dns.upstream import LENGTH, Upstreams
from orchestr8.network.dns.wire import Malformed, Query
from orchestr8.network.dns.zone import Shuffle, Verdict, Zone, decide

IDLE_S: Final = 10.0  # a TCP connection without a whole query is closed
CONNECTIONS: Final = 64  # of one container; a further one is closed at once
PIPELINE: Final = 32  # queries of one connection that wait for upstream; reading stops there


class DnsServer:
    """Serves containers from `open` to `close`; `zone` says what their names are."""

    def __init__(self, upstreams: Upstreams, shuffle: Shuffle = random.shuffle) -> None:
        self.zone: Final = Zone()
        self.upstreams: Final = upstreams
        self.shuffle: Final = shuffle
        self._endpoints: dict[ContainerId, Endpoint] = {}

    async def open(self, container_id: ContainerId, udp_fd: int, tcp_fd: int) -> None:
        """Serve the container on copies of these sockets."""
        self.close(container_id)
        endpoint = self._endpoints[container_id] = Endpoint(self, container_id)
        try:
            await endpoint.listen(udp_fd, tcp_fd)
        except BaseException:
            self.close(container_id)
            raise

    def close(self, container_id: ContainerId) -> None:
        endpoint = self._endpoints.pop(container_id, None)
        if endpoint is not None:
            endpoint.close()

    def close_all(self) -> None:
        for container_id in list(self._endpoints):
            self.close(container_id)
        self.upstreams.close()

    def handle(self, asker: ContainerId, raw: bytes, *, stream: bool, reply: Callable[[bytes], None]) -> None:
        """Answer one message, now or when upstream has; what deserves no answer gets none."""
        try:
            query = wire.parse_query(raw)
        except Malformed as error:
            reply(error.reply)
            return
        verdict = decide(self.zone, asker, query, self.shuffle)
        if verdict is Verdict.FORWARD:
            self.upstreams.forward(asker, query, stream=stream, reply=reply)
        else:
            reply(_packed(query, verdict, stream=stream))


def _packed(query: Query, answer: object, *, stream: bool) -> bytes:
    return bytes(answer.pack()) if stream else wire.pack_udp(query, answer)  # type: ignore[attr-defined]


class Endpoint:
    """The two sockets of one container and the connections made to them."""

    def __init__(self, server: DnsServer, container_id: ContainerId) -> None:
        self.server: Final = server
        self.container_id: Final = container_id
        self.connections: Final[set[StreamConnection]] = set()
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    async def listen(self, udp_fd: int, tcp_fd: int) -> None:
        loop = asyncio.get_running_loop()
        with anyio.CancelScope(shield=True):  # both, or an error: never one of them
            udp = socket.socket(fileno=os.dup(udp_fd))
            tcp = socket.socket(fileno=os.dup(tcp_fd))
            udp.setblocking(False)
            tcp.setblocking(False)
            self._udp, _protocol = await loop.create_datagram_endpoint(lambda: Datagrams(self), sock=udp)
            self._tcp = await loop.create_server(lambda: StreamConnection(self), sock=tcp)

    def close(self) -> None:
        if self._udp is not None:
            self._udp.abort()
        if self._tcp is not None:
            self._tcp.close()
        for connection in list(self.connections):
            connection.abort()


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        def reply(answer: bytes) -> None:
            transport = self._transport
            if answer and transport is not None and not transport.is_closing():
                transport.sendto(answer, addr)

        self._endpoint.server.handle(self._endpoint.container_id, data, stream=False, reply=reply)

    def error_received(self, exc: Exception) -> None:
        """A client that is gone: it needs no answer."""


class StreamConnection(asyncio.Protocol):
    """Queries over TCP, each after its length; answers in the order in which they become known."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._waiting = 0
        self._choked = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if len(self._endpoint.connections) >= CONNECTIONS:
            self._transport.abort()
            return
        self._endpoint.connections.add(self)
        self._restart_timer()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        self._endpoint.connections.discard(self)
        self._stop_timer()

    def abort(self) -> None:
        self._stop_timer()
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._serve()

    def pause_writing(self) -> None:
        """The client asks faster than it reads."""
        self._choked = True

    def resume_writing(self) -> None:
        self._choked = False
        self._serve()

    def _serve(self) -> None:
        """Take whole messages off what was received, as many as may wait at once; read on when there is room."""
        transport = self._transport
        while transport is not None and not transport.is_closing():
            if self._choked or self._waiting >= PIPELINE:
                transport.pause_reading()
                return
            message = self._next_message()
            if message is None:
                transport.resume_reading()
                return
            self._waiting += 1
            self._restart_timer()
            server = self._endpoint.server
            server.handle(self._endpoint.container_id, message, stream=True, reply=self._reply)

    def _next_message(self) -> bytes | None:
        if len(self._received) < LENGTH.size:
            return None
        (length,) = LENGTH.unpack_from(self._received)
        end = LENGTH.size + length
        if len(self._received) < end:
            return None
        message = bytes(self._received[LENGTH.size : end])
        del self._received[:end]
        return message

    def _reply(self, answer: bytes) -> None:
        full = self._waiting >= PIPELINE
        self._waiting -= 1
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if not answer:
            transport.abort()
            return
        transport.write(LENGTH.pack(len(answer)) + answer)
        self._restart_timer()
        if full:  # not from here: this may be called from within `_serve`
            asyncio.get_running_loop().call_soon(self._serve)

    def _restart_timer(self) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(IDLE_S, self.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
