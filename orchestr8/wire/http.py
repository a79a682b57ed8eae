"""HTTP/1.1 on stream sockets: h11 for the protocol, one task per connection, and connections that handlers take over.

A handler gets a whole `Request` and returns one of
    Response   a body that is known
    Stream     a chunked body that a function writes as things happen; cancelled when the client goes away
    Takeover   the connection itself, after "101 UPGRADED" (or a bare 200 for clients that asked for no upgrade),
               as Docker's attach and exec do: the socket and what was read too far
    Intake     the connection with the request's body still to be read, for the routes that `HttpServer` is told of: it
               may be large, and whoever takes it need not be this process

Sockets are read only when somebody waits for bytes, so there is nothing in a buffer of ours when a socket changes
hands. Routing and errors as JSON are `api`'s business. No timers: an idle connection costs nothing.
"""

import errno
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import anyio
import anyio.lowlevel
import h11

from orchestr8.wire.frames import MULTIPLEXED

log = logging.getLogger("orchestr8.http")

READ_BYTES: Final = 64 * 1024
MAX_BODY_BYTES: Final = 32 * 1024 * 1024  # a canonical document of thousands of services is below 10 MiB
ONE_WAY_BUFFER_BYTES: Final = 1024 * 1024
NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
ACCEPT_PAUSE_S: Final = 0.2
CLOSE_GRACE_S: Final = 1.0  # answers under way get this long once the server is told to close

Send = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    path: str  # decoded, without the query
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]  # names in lower case
    body: bytes = b""
    unread: bool = False  # the body is still on the connection: for an Intake

    def first(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return self.query.get(name, [default])[0]

    def flag(self, name: str) -> bool:
        """A boolean query parameter as Docker reads it."""
        return self.first(name).lower() not in ("", "0", "no", "false", "none")

    @property
    def wants_upgrade(self) -> bool:
        return "upgrade" in self.headers.get("connection", "").lower() and "upgrade" in self.headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """The head goes out with the first `send`, if only of b"": a client that has it knows that `write` is under way."""

    write: Callable[[Send], Awaitable[None]]
    content_type: str = "application/x-ndjson"
    status: int = 200
    endless: bool = False  # goes on until the client leaves: nothing to wait for when the server closes
    refuse: Callable[[Exception], Response] | None = None  # the answer instead, when `write` fails before it sends


class Connection:
    """A connected socket without buffers of its own."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.socket = sock

    async def receive(self) -> bytes:
        """Some bytes; b"" at the peer's end of writing, or when the peer is gone."""
        while True:
            try:
                return self.socket.recv(READ_BYTES)
            except BlockingIOError:
                await anyio.wait_readable(self.socket)
            except ConnectionError:
                return b""

    async def send(self, data: bytes) -> None:
        """All of `data`. Raises ConnectionError when the peer is gone."""
        view = memoryview(data)
        while view:
            try:
                sent = self.socket.send(view)
            except BlockingIOError:
                await anyio.wait_writable(self.socket)
            else:
                view = view[sent:]
                await anyio.lowlevel.checkpoint()

    async def wait_closed(self, keep: Callable[[bytes], object]) -> None:
        """Return when the peer has ended its writing; what it still sends goes to `keep`."""
        while data := await self.receive():
            keep(data)


class Hijacked(Connection):
    """A connection in the hands of a handler. `early`: bytes of the client that followed its request."""

    def __init__(self, sock: socket.socket, early: bytes, *, upgraded: bool = False) -> None:
        super().__init__(sock)
        self.early = early
        self.upgraded = upgraded

    def fileno(self) -> int:
        return self.socket.fileno()


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """`run` owns the connection; the server closes its own descriptor when it returns.

    `one_way`: nothing is expected from the client, whose end of writing then cancels `run`. `chunked`: without an upgrade
    `run` writes a body of chunks. `close`: called in any case, even if the client is gone before `run` could be.
    """

    run: Callable[[Hijacked], Awaitable[None]]
    content_type: str = MULTIPLEXED
    one_way: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    chunked: bool = False
    close: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """`run` reads the body, of so many bytes (None: in chunks), from the connection; what it returns is the answer, and the
    connection's last one.
    """

    run: Callable[[Hijacked, int | None], Awaitable[Response]]


Answer = Response | Stream | Takeover | Intake
Handler = Callable[[Request], Awaitable[Answer]]


class HttpServer:
    """Serves `handler` on a listening socket until it is cancelled or closed."""

    def __init__(self, handler: Handler, takes_body: Callable[[str, str], bool] = lambda *_: False) -> None:
        """`takes_body`: whether a method and path are answered by an Intake."""
        self._handler = handler
        self._takes_body = takes_body
        self._accepting = anyio.CancelScope()
        self._endless: set[anyio.CancelScope] = set()  # what need not be waited for at the end: idle connections too

    async def serve(self, listener: socket.socket) -> None:
        """Accept until `close`, then let answers under way end within `CLOSE_GRACE_S`."""
        listener.setblocking(False)
        async with anyio.create_task_group() as connections:
            with self._accepting:
                while True:
                    try:
                        sock, _ = listener.accept()
                    except BlockingIOError:
                        await anyio.wait_readable(listener)
                    except ConnectionAbortedError:
                        continue
                    except OSError as error:
                        if error.errno not in NO_ROOM:
                            raise
                        log.warning("a client has to wait: %s", error.strerror)
                        await anyio.sleep(ACCEPT_PAUSE_S)  # it stays readable, so there is nothing to wait for
                    else:
                        connections.start_soon(self._serve_connection, sock, name="http connection")
            connections.cancel_scope.deadline = anyio.current_time() + CLOSE_GRACE_S

    def close(self) -> None:
        """Accept no more, end what has no end of its own, and let `serve` return."""
        self._accepting.cancel()
        for scope in list(self._endless):
            scope.cancel()

    async def _serve_connection(self, sock: socket.socket) -> None:
        with sock:
            connection = Connection(sock)
            protocol = h11.Connection(h11.SERVER)
            try:
                while await self._serve_request(connection, protocol):
                    protocol.start_next_cycle()
            except ConnectionError:
                log.debug("a client went away")
            except h11.RemoteProtocolError as error:
                await self._refuse(connection, protocol, error)
            except Exception:  # one request's failure must not end the engine
                log.exception("a request failed after its answer had begun")

    async def _serve_request(self, connection: Connection, protocol: h11.Connection) -> bool:
        """Serve one request; False when the connection cannot carry another."""
        request = await self._read_request(connection, protocol)
        if request is None:
            return False
        if isinstance(request, Response):
            await _send_response(connection, protocol, request, head=False, close=True)
            return False
        answer = await self._handler(request)
        if isinstance(answer, Takeover):
            try:
                await self._hand_over(connection, protocol, request, answer)
            finally:
                if answer.close is not None:
                    await answer.close()
            return False
        if isinstance(answer, Intake):
            answer = await self._take_in(connection, protocol, request, answer)
        if request.unread:
            assert isinstance(answer, Response), "an answer that is a stream would wait for the body's end"
            await _send_response(connection, protocol, answer, head=False, close=True)
            return False
        if isinstance(answer, Stream):
            await self._send_stream(connection, protocol, answer)
        else:
            await _send_response(connection, protocol, answer, head=request.method == "HEAD")
        return protocol.our_state is h11.DONE and protocol.their_state is h11.DONE and not self._accepting.cancel_called

    async def _read_request(self, connection: Connection, protocol: h11.Connection) -> Request | Response | None:
        """The next request; None when the client has no more, a Response where it must be refused."""
        head: h11.Request | None = None
        body = bytearray()
        with anyio.CancelScope() as waiting:
            self._endless.add(waiting)
            try:
                while True:
                    event = protocol.next_event()
                    if event is h11.NEED_DATA:
                        if protocol.they_are_waiting_for_100_continue:
                            await _send_event(
                                connection, protocol, h11.InformationalResponse(status_code=100, headers=[])
                            )
                        protocol.receive_data(await connection.receive())
                    elif isinstance(event, h11.Request):
                        head = event
                        self._endless.discard(waiting)
                        request = _request(head, b"")
                        if self._takes_body(request.method, request.path):
                            return replace(request, unread=True)
                    elif isinstance(event, h11.Data):
                        body += event.data
                        if len(body) > MAX_BODY_BYTES:
                            return Response(status=413, body=b'{"message":"the request is too large"}')
                    elif isinstance(event, h11.EndOfMessage):
                        assert head is not None, "h11 gives the head before the end"
                        return _request(head, bytes(body))
                    else:  # ConnectionClosed
                        return None
            finally:
                self._endless.discard(waiting)
        return None

    async def _refuse(self, connection: Connection, protocol: h11.Connection, error: h11.RemoteProtocolError) -> None:
        """Answer what is no HTTP, where an answer can still be sent."""
        log.info("a client sent what is no HTTP request: %s", error)
        if protocol.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        refusal = Response(status=error.error_status_hint, body=b'{"message":"this is no valid HTTP request"}')
        try:
            await _send_response(connection, protocol, refusal, head=False, close=True)
        except ConnectionError:
            log.debug("a client went away")

    async def _send_stream(self, connection: Connection, protocol: h11.Connection, answer: Stream) -> None:
        head = _head(answer.status, {"Content-Type": answer.content_type, "Server": "orchestr8"})

        async def send(data: bytes) -> None:
            if protocol.our_state is h11.SEND_RESPONSE:
                await _send_event(connection, protocol, head)
            if data:  # an empty chunk would end the body
                await _send_event(connection, protocol, h11.Data(data=data))

        try:
            finished = await self._while_connected(
                connection, lambda: answer.write(send), keep=protocol.receive_data, endless=answer.endless
            )
        except Exception as failure:
            if answer.refuse is None or protocol.our_state is not h11.SEND_RESPONSE:
                raise
            await _send_response(connection, protocol, answer.refuse(failure), head=False)
            return
        if not finished:
            raise ConnectionAbortedError
        await send(b"")
        await _send_event(connection, protocol, h11.EndOfMessage())

    async def _hand_over(
        self, connection: Connection, protocol: h11.Connection, request: Request, answer: Takeover
    ) -> None:
        early, _ = protocol.trailing_data
        first = "101 UPGRADED" if request.wants_upgrade else "200 OK"
        headers = {"Content-Type": answer.content_type, **answer.headers}
        if request.wants_upgrade:
            headers |= {"Connection": "Upgrade", "Upgrade": "tcp"}
        elif answer.chunked:
            headers |= {"Connection": "close", "Transfer-Encoding": "chunked"}
        lines = [f"HTTP/1.1 {first}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        await connection.send("\r\n".join(lines).encode("ascii"))
        hijacked = Hijacked(connection.socket, early, upgraded=request.wants_upgrade)
        if answer.one_way:
            # Fewer turns of the loop for what is mostly much data; it costs memory only while the client is behind.
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ONE_WAY_BUFFER_BYTES)
            await self._while_connected(hijacked, lambda: answer.run(hijacked), keep=lambda _: None, endless=True)
        else:
            await answer.run(hijacked)

    async def _take_in(
        self, connection: Connection, protocol: h11.Connection, request: Request, answer: Intake
    ) -> Response:
        if protocol.they_are_waiting_for_100_continue:
            await _send_event(connection, protocol, h11.InformationalResponse(status_code=100, headers=[]))
        early, _ = protocol.trailing_data
        chunked = "transfer-encoding" in request.headers  # h11 lets nothing but "chunked" pass
        length = None if chunked else int(request.headers.get("content-length", "0"))
        return await answer.run(Hijacked(connection.socket, early), length)

    async def _while_connected(
        self,
        connection: Connection,
        run: Callable[[], Awaitable[None]],
        *,
        keep: Callable[[bytes], object],
        endless: bool,
    ) -> bool:
        """Run to the end (True), or until the client has gone (False). `keep` gets what the client sends meanwhile."""
        finished = False

        async def watch() -> None:
            await connection.wait_closed(keep)
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            if endless:
                self._endless.add(tasks.cancel_scope)
            tasks.start_soon(watch, name="http peer")
            try:
                await run()
                finished = True
            except* ConnectionError:  # alone, or out of a task group of the handler's
                log.debug("a client went away")
            finally:
                self._endless.discard(tasks.cancel_scope)
            tasks.cancel_scope.cancel()
        return finished


def _request(head: h11.Request, body: bytes) -> Request:
    target = urlsplit(head.target.decode("ascii", "replace"))
    return Request(
        method=head.method.decode("ascii"),
        path=unquote(target.path),
        query=parse_qs(target.query, keep_blank_values=True, errors="surrogateescape"),  # a path need not be UTF-8
        headers={name.decode("ascii"): value.decode("latin-1") for name, value in head.headers},
        body=body,
    )


async def _send_event(connection: Connection, protocol: h11.Connection, event: Any) -> None:
    data = protocol.send(event)
    if data:
        await connection.send(data)


def _head(status: int, headers: Mapping[str, str]) -> h11.Response:
    return h11.Response(status_code=status, headers=[(name, value) for name, value in headers.items()])


async def _send_response(
    connection: Connection, protocol: h11.Connection, answer: Response, *, head: bool, close: bool = False
) -> None:
    headers = {**answer.headers, "Server": "orchestr8"}
    if answer.status not in (204, 304):  # these two have no body, and no word about one
        headers |= {"Content-Type": answer.content_type, "Content-Length": str(len(answer.body))}
    if close:
        headers["Connection"] = "close"
    data = protocol.send(_head(answer.status, headers)) or b""
    if answer.body and not head and answer.status not in (204, 304):
        data += protocol.send(h11.Data(data=answer.body)) or b""
    data += protocol.send(h11.EndOfMessage()) or b""
    await connection.send(data)
