"""The CLI's HTTP/1.1 client: blocking, on the engine's unix socket, and small, because `http.client` costs 40 ms at start.

    Client.request    one answer as JSON
    Client.head       status and headers alone
    Client.open       an answer whose body arrives over time; `Lines` reads it as JSON lines
    Client.upload     sends a body that is made meanwhile
    Client.upgrade    the connection itself after "101", as Docker's attach and exec do; `frames` decodes what comes

Each request has its own connection, so an answer that lasts (a followed log) never stands in the way of another.
Everything that waits has a `fileno` and a `receive` that reads once, so that a caller may poll several. Nothing here
starts an engine: `Client.absent` is called when nobody listens, and what it does is `cli.launch`'s business.

That a connection was made does not mean that somebody listens: a process that is being killed loses its descriptors one
by one, the newest first, so whoever sees its stream end and connects at once may still be put into the queue of the
listening socket, which goes a moment later. Such a request is `Unheard`, and made again of the next engine.
"""

from __future__ import annotations

import json
import socket

from orchestr8.errors import Unavailable, Unheard, error_from_json
from orchestr8.wire.body import MAX_HEAD_BYTES, ChunkedBody, SizedBody, cut_off
from orchestr8.wire.frames import MULTIPLEXED

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any, Final, Self

    Query = Mapping[str, str | int | Iterable[str]]

READ_BYTES: Final = 256 * 1024
ANSWER_TIMEOUT_S: Final = 60.0  # of requests that the engine answers at once; work and streams have none
# One engine's end may cost two: a connection that it had accepted, then one from its queue. More than that is more than one
# engine's end, and a request that kills whoever hears it is not to go on for ever.
TRIES: Final = 3
HARMLESS: Final = frozenset({"GET", "HEAD"})  # may be asked twice even if it was heard: RFC 9110, section 9.2.2
_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Client:
    """Speaks with one engine. `absent` is called when nobody listens at `path`, or no more; then the request is made again."""

    def __init__(self, path: str, absent: Callable[[], None] | None = None) -> None:
        self.path = path
        self._absent = absent

    def request(
        self, method: str, path: str, *, query: Query | None = None, body: Any = None,
        timeout_s: float | None = ANSWER_TIMEOUT_S,
    ) -> Any:  # fmt: skip
        """The answer's JSON (its text, if it is not JSON; None, if it is empty). Raises the engine's error as its class."""
        with self.open(method, path, query=query, body=body, timeout_s=timeout_s) as response:
            return response.value()

    def open(
        self, method: str, path: str, *, query: Query | None = None, body: Any = None, timeout_s: float | None = None
    ) -> Response:
        """An answer whose body is still to come. Raises the engine's error as its class."""
        response = self._ask(method, target(path, query), body, upgrade=False, timeout_s=timeout_s)
        try:
            response.raise_for_status()
        except BaseException:
            response.close()
            raise
        return response

    def head(self, path: str, *, query: Query | None = None) -> tuple[int, dict[str, str]]:
        """Status and headers of what a GET would bring, without its body; of an error there is no more."""
        response = self._ask("HEAD", target(path, query), None, upgrade=False, timeout_s=None)
        response.close()
        return response.status, response.headers

    def upgrade(self, method: str, path: str, *, query: Query | None = None, body: Any = None) -> Stream:
        """The connection itself, both ways, once the engine has agreed. Raises the engine's error as its class."""
        response = self._ask(method, target(path, query), body, upgrade=True, timeout_s=None)
        try:
            if response.status != 101:
                response.raise_for_status()
                raise Unavailable(
                    f"the engine answered {response.status} where the connection should have been handed over"
                )
        except BaseException:
            response.close()
            raise
        return response.taken_over()

    def upload(
        self, method: str, path: str, write: Callable[[Callable[[bytes], None]], None], *, query: Query | None = None
    ) -> Any:
        """The answer to a request whose body `write` makes, in pieces, while it is sent. Raises the engine's error as its class.

        It is made once: what has been read of its source is gone.
        """
        connection = self._listening()
        try:
            head = f"{method} {target(path, query)} HTTP/1.1\r\nHost: orchestr8\r\nConnection: close\r\n"
            connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
            whole = _send_body(connection, write)
            early = _first_bytes(connection, may_be_done=whole)
            response = Response(connection, *_read_head(connection, early))
            response.raise_for_status()
            return response.value()
        finally:
            connection.close()

    def _listening(self) -> socket.socket:
        """A connection to an engine, started when there is none."""
        try:
            return self.connect()
        except (FileNotFoundError, ConnectionRefusedError):
            if self._absent is None:
                raise Unheard(f"no engine listens at {self.path}") from None
        except OSError as error:
            raise _unreachable(self.path, error) from error
        self._absent()
        return self.connect()

    def connect(self) -> socket.socket:
        """A connected socket. Raises OSError when nobody listens."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(self.path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _ask(self, method: str, where: str, body: Any, *, upgrade: bool, timeout_s: float | None) -> Response:
        """The answer of the first engine that hears the request. Raises Unheard when there is none."""
        payload = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        head = f"{method} {where} HTTP/1.1\r\nHost: orchestr8\r\n"
        head += "Connection: Upgrade\r\nUpgrade: tcp\r\n" if upgrade else "Connection: close\r\n"
        if body is not None:
            head += "Content-Type: application/json\r\n"
        head += f"Content-Length: {len(payload)}\r\n\r\n"
        message = head.encode() + payload
        tries = TRIES
        while True:
            try:
                return self._try(message, harmless=method in HARMLESS, timeout_s=timeout_s)
            except Unheard:
                tries -= 1
                if self._absent is None or not tries:
                    raise
            self._absent()

    def _try(self, message: bytes, *, harmless: bool, timeout_s: float | None) -> Response:
        try:
            connection = self.connect()
        except (FileNotFoundError, ConnectionRefusedError):
            raise Unheard(f"no engine listens at {self.path}") from None
        except OSError as error:
            raise _unreachable(self.path, error) from error
        try:
            connection.settimeout(timeout_s)
            whole = _send(connection, message)
            early = _first_bytes(connection, may_be_done=whole and not harmless)
            return Response(connection, *_read_head(connection, early))
        except BaseException:
            connection.close()
            raise


class Response:
    """An answer: status, headers (names in lower case), and a body that is read when asked for."""

    def __init__(self, connection: socket.socket, status: int, headers: dict[str, str], early: bytes) -> None:
        self.status = status
        self.headers = headers
        self._connection = connection
        self._early = early
        self._body: ChunkedBody | SizedBody
        if headers.get("transfer-encoding", "").lower() == "chunked":
            self._body = ChunkedBody()
        elif "content-length" in headers:
            self._body = SizedBody(int(headers["content-length"]))
        else:
            self._body = SizedBody(0 if status in (204, 304) else None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def taken_over(self) -> Stream:
        """The connection, after "101"."""
        return Stream(self._connection, self._early, self.headers)

    def fileno(self) -> int:
        return self._connection.fileno()

    def close(self) -> None:
        self._connection.close()

    @property
    def ready(self) -> bool:
        """Whether `receive` answers without the socket: something was read along with the head, or the body is over."""
        return bool(self._early) or self._body.ended

    def receive(self) -> bytes | None:
        """What one read brings of the body, possibly b""; None at its end. Raises `Unavailable` when it was cut off."""
        if self._body.ended:
            return None
        data, self._early = self._early, b""
        if not data:
            data = _receive(self._connection)
            if not data:
                self._body.end()
                return None
        return self._body.feed(data)

    def read(self) -> bytes:
        """The whole body."""
        pieces = []
        while (piece := self.receive()) is not None:
            pieces.append(piece)
        return b"".join(pieces)

    def value(self) -> Any:
        """The whole body as JSON; its text, if it is something else; None, if it is empty."""
        data = self.read()
        if not data:
            return None
        return json.loads(data) if "json" in self.headers.get("content-type", "") else data.decode(errors="replace")

    def raise_for_status(self) -> None:
        if self.status < 400:
            return
        try:
            body = self.value()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            body = {"message": str(body).strip()} if body else {}
        raise error_from_json(self.status, body)


class Lines:
    """A body of JSON lines. `take` reads once; iterating blocks until the end."""

    def __init__(self, response: Response) -> None:
        self.response = response
        self.ended = False
        self._rest = b""

    def fileno(self) -> int:
        return self.response.fileno()

    @property
    def ready(self) -> bool:
        return self.response.ready

    def take(self) -> list[Any]:
        """The objects that one read completes; `ended` is set once there will be no more."""
        data = self.response.receive()
        if data is None:
            self.ended = True
            complete, self._rest = self._rest, b""
        else:
            complete, newline, self._rest = (self._rest + data).rpartition(b"\n")
            if not newline:
                return []
        return [json.loads(line) for line in complete.split(b"\n") if line.strip()]

    def __iter__(self) -> Iterator[Any]:
        while not self.ended:
            yield from self.take()


class Stream:
    """A connection that the engine handed over: raw bytes both ways, each side may end its own direction."""

    def __init__(self, connection: socket.socket, early: bytes, headers: Mapping[str, str]) -> None:
        self._connection = connection
        self._early = early
        self.headers = headers  # names in lower case
        self.framed = headers.get("content-type", "") == MULTIPLEXED  # else what comes is as a terminal's bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        return self._connection.fileno()

    def close(self) -> None:
        self._connection.close()

    @property
    def ready(self) -> bool:
        """Whether `receive` answers without the socket."""
        return bool(self._early)

    def receive(self) -> bytes:
        """What one read brings; b"" at the end. A peer that is gone has ended: what it said last was read before."""
        if self._early:
            data, self._early = self._early, b""
            return data
        try:
            return self._connection.recv(READ_BYTES)
        except ConnectionError:
            return b""

    def send_some(self, data: bytes) -> int:
        """How many of `data`'s bytes the socket took without waiting. Raises ConnectionError when the peer is gone."""
        try:
            return self._connection.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def half_close(self) -> None:
        """End of input: the peer reads an end of file and may go on writing."""
        try:
            self._connection.shutdown(socket.SHUT_WR)
        except OSError:
            return  # the peer ended first, so there is nobody left to tell


def target(path: str, query: Query | None = None) -> str:
    """A request's target: the path, its segments quoted, and the query; a value that is a list gives several pairs."""
    pairs = []
    for key, value in (query or {}).items():
        values = [value] if isinstance(value, str | int) else value
        pairs += [f"{quote(key)}={quote(str(each))}" for each in values]
    where = "/".join(quote(part) for part in path.split("/"))
    return f"{where}?{'&'.join(pairs)}" if pairs else where


def quote(text: str) -> str:
    """Percent-encoding, every byte that is not unreserved; `urllib` costs 5 ms at start."""
    return "".join(
        chr(each) if each in _UNRESERVED else f"%{each:02X}" for each in text.encode(errors="surrogateescape")
    )


def _send(connection: socket.socket, message: bytes) -> bool:
    """Whether all of it could be sent. If not, the peer is gone, or refuses early (too large) and its answer says why."""
    try:
        connection.sendall(message)
    except ConnectionError:
        return False
    except OSError as error:
        raise cut_off(error) from error
    return True


def _send_body(connection: socket.socket, write: Callable[[Callable[[bytes], None]], None]) -> bool:
    """Whether all of it could be sent. If not, it is refused early, and the answer says why."""
    try:
        write(lambda data: connection.sendall(b"%x\r\n%b\r\n" % (len(data), data)))
        connection.sendall(b"0\r\n\r\n")
    except ConnectionError:
        return False
    return True


def _first_bytes(connection: socket.socket, *, may_be_done: bool) -> bytes:
    """The beginning of an answer. Raises Unheard when there will be none and nobody has acted on the request.

    An engine acts on a request that it has read to the end. A reset means that it had not: the kernel resets a
    connection that is closed with bytes unread, or before it was accepted. A mere end is left open to doubt, unless the
    request could not be sent whole or changes nothing (`may_be_done`).
    """
    try:
        data = _receive(connection)
    except Unavailable as error:
        if isinstance(error.__cause__, ConnectionResetError):
            raise cut_off(error.__cause__, Unheard) from error.__cause__
        raise
    if not data:
        raise cut_off(kind=Unavailable if may_be_done else Unheard)
    return data


def _read_head(connection: socket.socket, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and what was read beyond them; `data` was read already."""
    while True:
        while (end := data.find(b"\r\n\r\n")) < 0:
            if len(data) > MAX_HEAD_BYTES:
                raise Unavailable("the engine's answer is not HTTP: its head does not end")
            piece = _receive(connection)
            if not piece:
                raise cut_off()
            data += piece
        first, *rest = data[:end].decode("latin-1").split("\r\n")
        data = data[end + 4 :]
        version, _, status_text = first.partition(" ")
        if not version.startswith("HTTP/1.") or not status_text[:3].isdigit():
            raise Unavailable(f"the engine's answer is not HTTP: {first[:60]!r}")
        status = int(status_text[:3])
        if status >= 200 or status == 101:  # any other 1xx is followed by the answer
            pairs = (line.partition(":") for line in rest)
            return status, {name.strip().lower(): value.strip() for name, _, value in pairs}, data


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(READ_BYTES)
    except TimeoutError as error:
        raise Unavailable(
            "the engine does not answer", helps=["look at what it does: orchestr8 engine logs"]
        ) from error
    except ConnectionError as error:
        raise cut_off(error) from error


def _unreachable(path: str, error: OSError) -> Unavailable:
    if isinstance(error, PermissionError):
        return Unavailable(
            f"no permission to speak with the engine at {path}", helps=["run as root, or as a member of root's group"]
        )
    return Unavailable(f"no engine answers at {path}: {error.strerror or error}")
