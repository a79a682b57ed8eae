"""The server against real sockets: each test speaks the bytes that a client would."""

import errno
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from orchestr8.wire import http
from orchestr8.wire.http import Answer, Handler, Hijacked, HttpServer, Intake, Request, Response, Send, Stream, Takeover

pytestmark = pytest.mark.anyio


class Peer:
    """A client of a few lines."""

    def __init__(self, stream: anyio.abc.SocketStream) -> None:
        self.stream = stream
        self.buffer = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send(data)

    async def until(self, marker: bytes) -> bytes:
        while marker not in self.buffer:
            self.buffer += await self.stream.receive()
        found, self.buffer = self.buffer.split(marker, 1)
        return found + marker

    async def exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            self.buffer += await self.stream.receive()
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found

    async def rest(self) -> bytes:
        try:
            while True:
                self.buffer += await self.stream.receive()
        except anyio.EndOfStream:
            return self.buffer


@asynccontextmanager
async def serving(path: Path, handler: Handler) -> AsyncIterator[tuple[HttpServer, Path]]:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path / "s"))
    listener.listen()
    server = HttpServer(handler)
    with listener:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, listener)
            yield server, path / "s"
            server.close()


@asynccontextmanager
async def connected(path: Path) -> AsyncIterator[Peer]:
    async with await anyio.connect_unix(path) as stream:
        yield Peer(stream)


async def echo(request: Request) -> Answer:
    body = {"method": request.method, "path": request.path, "query": request.query, "body": request.body.decode()}
    return Response(body=json.dumps(body).encode())


async def answer(peer: Peer) -> tuple[str, bytes]:
    head = (await peer.until(b"\r\n\r\n")).decode()
    length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length"))
    return head, await peer.exactly(length)


async def test_a_request_arrives_decoded(tmp_path: Path) -> None:
    async with serving(tmp_path, echo) as (_, path), connected(path) as peer:
        await peer.send(b"POST /a%20b?x=1&x=2&y= HTTP/1.1\r\nHost: e\r\nContent-Length: 2\r\n\r\nhi")
        head, body = await answer(peer)
        assert head.startswith("HTTP/1.1 200 ")
        assert json.loads(body) == {
            "method": "POST",
            "path": "/a b",
            "query": {"x": ["1", "2"], "y": [""]},
            "body": "hi",
        }


async def test_a_query_may_have_bytes_that_are_no_text(tmp_path: Path) -> None:
    async with serving(tmp_path, echo) as (_, path), connected(path) as peer:
        await peer.send(b"GET /a?path=%2Fb%FF HTTP/1.1\r\nHost: e\r\n\r\n")
        assert json.loads((await answer(peer))[1])["query"] == {"path": ["/b\udcff"]}


async def test_a_connection_carries_one_request_after_the_other(tmp_path: Path) -> None:
    async with serving(tmp_path, echo) as (_, path), connected(path) as peer:
        await peer.send(b"GET /1 HTTP/1.1\r\nHost: e\r\n\r\nGET /2 HTTP/1.1\r\nHost: e\r\n\r\n")
        assert [json.loads((await answer(peer))[1])["path"] for _ in range(2)] == ["/1", "/2"]


async def test_a_head_request_gets_no_body(tmp_path: Path) -> None:
    async with serving(tmp_path, echo) as (_, path), connected(path) as peer:
        await peer.send(b"HEAD / HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n")
        assert (await peer.rest()).endswith(b"\r\n\r\n")


async def test_an_answer_without_content_has_no_length(tmp_path: Path) -> None:
    async def handler(_: Request) -> Answer:
        return Response(status=204)

    async with serving(tmp_path, handler) as (_, path), connected(path) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n")
        assert b"ontent-" not in await peer.rest()


async def test_what_is_no_http_is_refused_and_the_server_goes_on(tmp_path: Path) -> None:
    async with serving(tmp_path, echo) as (_, path):
        async with connected(path) as peer:
            await peer.send(b"\x16\x03\x01 hello\r\n\r\n")
            assert (await peer.rest()).startswith(b"HTTP/1.1 400 ")
        async with connected(path) as peer:
            await peer.send(b"GET / HTTP/1.1\r\nHost: e\r\n\r\n")
            assert (await answer(peer))[0].startswith("HTTP/1.1 200 ")


async def test_a_body_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestr8.wire.http.MAX_BODY_BYTES", 10)
    async with serving(tmp_path, echo) as (_, path), connected(path) as peer:
        await peer.send(b"POST / HTTP/1.1\r\nHost: e\r\nContent-Length: 11\r\n\r\n12345678901")
        assert (await peer.rest()).startswith(b"HTTP/1.1 413 ")


async def test_a_handler_that_fails_ends_its_connection_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Request) -> Answer:
        if request.path == "/bad":
            raise ValueError("broken")
        return Response(body=b"fine")

    async with serving(tmp_path, handler) as (_, path):
        async with connected(path) as peer:
            await peer.send(b"GET /bad HTTP/1.1\r\nHost: e\r\n\r\n")
            assert await peer.rest() == b""
        async with connected(path) as peer:
            await peer.send(b"GET / HTTP/1.1\r\nHost: e\r\n\r\n")
            assert (await answer(peer))[1] == b"fine"
    assert "broken" in caplog.text


async def test_a_stream_is_sent_as_it_is_written(tmp_path: Path) -> None:
    go_on = anyio.Event()

    async def handler(_: Request) -> Answer:
        async def write(send: Send) -> None:
            await send(b"one\n")
            await go_on.wait()
            await send(b"two\n")

        return Stream(write=write)

    async with serving(tmp_path, handler) as (_, path), connected(path) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: e\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in await peer.until(b"\r\n\r\n")
        assert await peer.exactly(9) == b"4\r\none\n\r\n"
        go_on.set()
        assert await peer.exactly(14) == b"4\r\ntwo\n\r\n0\r\n\r\n"


async def test_a_stream_is_cancelled_when_its_client_goes(tmp_path: Path) -> None:
    cancelled = anyio.Event()

    async def handler(_: Request) -> Answer:
        async def write(send: Send) -> None:
            try:
                await send(b"one\n")
                await anyio.sleep_forever()
            finally:
                cancelled.set()

        return Stream(write=write)

    async with serving(tmp_path, handler) as (_, path):
        async with connected(path) as peer:
            await peer.send(b"GET / HTTP/1.1\r\nHost: e\r\n\r\n")
            await peer.until(b"one\n")
        with anyio.fail_after(10):
            await cancelled.wait()


async def test_a_stream_that_fails_before_it_begins_can_be_an_answer(tmp_path: Path) -> None:
    async def handler(_: Request) -> Answer:
        async def write(_: Send) -> None:
            raise ValueError("broken")

        return Stream(write=write, refuse=lambda failure: Response(status=404, body=repr(failure).encode()))

    async with serving(tmp_path, handler) as (_, path), connected(path) as peer:
        for _ in range(2):
            await peer.send(b"GET / HTTP/1.1\r\nHost: e\r\n\r\n")
            head, body = await answer(peer)
            assert head.startswith("HTTP/1.1 404 ")
            assert b"ValueError('broken')" in body


async def test_a_stream_that_fails_is_cut_and_not_ended(tmp_path: Path) -> None:
    async def handler(_: Request) -> Answer:
        async def write(send: Send) -> None:
            await send(b"one\n")
            raise ValueError("broken")

        return Stream(write=write)

    async with serving(tmp_path, handler) as (_, path), connected(path) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: e\r\n\r\n")
        assert (await peer.rest()).endswith(b"4\r\none\n\r\n")


async def test_a_taken_connection_carries_raw_bytes_both_ways_and_half_close_is_end_of_input(tmp_path: Path) -> None:
    async def handler(_: Request) -> Answer:
        async def run(connection: Hijacked) -> None:
            heard = connection.early
            while data := await connection.receive():
                heard += data
            await connection.send(b"heard " + heard)

        return Takeover(run=run)

    async with serving(tmp_path, handler) as (_, path), connected(path) as peer:
        head = b"POST / HTTP/1.1\r\nHost: e\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}"
        await peer.send(head + b"early ")
        assert (await peer.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 UPGRADED\r\n")
        await peer.send(b"late")
        await peer.stream.send_eof()
        assert await peer.rest() == b"heard early late"


async def test_a_client_that_asked_for_no_upgrade_gets_a_bare_200(tmp_path: Path) -> None:
    async def handler(_: Request) -> Answer:
        async def run(connection: Hijacked) -> None:
            await connection.send(b"heard " + connection.early)

        return Takeover(run=run, content_type="application/vnd.docker.raw-stream")

    async with serving(tmp_path, handler) as (_, path), connected(path) as peer:
        await peer.send(b"POST / HTTP/1.1\r\nHost: e\r\n\r\nearly")
        assert await peer.rest() == (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nheard early"
        )


async def test_a_taken_connection_lives_on_in_whoever_duplicated_its_descriptor(tmp_path: Path) -> None:
    kept: list[socket.socket] = []

    async def handler(_: Request) -> Answer:
        async def run(connection: Hijacked) -> None:
            kept.append(connection.socket.dup())

        return Takeover(run=run)

    async with serving(tmp_path, handler) as (_, path), connected(path) as peer:
        await peer.send(b"POST / HTTP/1.1\r\nHost: e\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        await peer.until(b"\r\n\r\n")
        with kept[0] as sock:
            sock.send(b"from elsewhere")
        assert await peer.rest() == b"from elsewhere"


async def test_a_one_way_connection_is_cancelled_when_its_client_goes(tmp_path: Path) -> None:
    cancelled = anyio.Event()

    async def handler(_: Request) -> Answer:
        async def run(_: Hijacked) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                cancelled.set()

        return Takeover(run=run, one_way=True)

    async with serving(tmp_path, handler) as (_, path):
        async with connected(path) as peer:
            await peer.send(b"POST / HTTP/1.1\r\nHost: e\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
            await peer.until(b"\r\n\r\n")
        with anyio.fail_after(10):
            await cancelled.wait()


async def test_more_is_sent_than_the_socket_takes_at_once(tmp_path: Path) -> None:
    async def handler(_: Request) -> Answer:
        return Response(body=b"x" * 5_000_000)

    async with serving(tmp_path, handler) as (_, path), connected(path) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: e\r\n\r\n")
        assert len((await answer(peer))[1]) == 5_000_000


async def test_closing_ends_idle_connections_and_lets_an_answer_under_way_finish(tmp_path: Path) -> None:
    asked, go_on = anyio.Event(), anyio.Event()

    async def handler(_: Request) -> Answer:
        asked.set()
        await go_on.wait()
        return Response(body=b"done")

    async with serving(tmp_path, handler) as (server, path), connected(path) as idle, connected(path) as busy:
        await busy.send(b"GET / HTTP/1.1\r\nHost: e\r\n\r\n")
        await asked.wait()
        server.close()
        go_on.set()
        assert (await busy.rest()).endswith(b"done")
        assert await idle.rest() == b""


async def test_the_head_of_a_stream_goes_out_with_its_first_send(tmp_path: Path) -> None:
    ready, go_on = anyio.Event(), anyio.Event()

    async def handler(_: Request) -> Answer:
        async def write(send: Send) -> None:
            ready.set()
            await send(b"")
            await go_on.wait()

        return Stream(write=write)

    async with serving(tmp_path, handler) as (_, path), connected(path) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: e\r\n\r\n")
        await peer.until(b"\r\n\r\n")
        assert ready.is_set()
        go_on.set()
        assert await peer.exactly(5) == b"0\r\n\r\n"


async def test_closing_does_not_wait_for_what_has_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestr8.wire.http.CLOSE_GRACE_S", 3600)

    async def handler(request: Request) -> Answer:
        async def write(send: Send) -> None:
            await send(b"one\n")
            await anyio.sleep_forever()

        async def run(connection: Hijacked) -> None:
            await write(connection.send)

        return Stream(write=write, endless=True) if request.path == "/stream" else Takeover(run=run, one_way=True)

    async with serving(tmp_path, handler) as (server, path), connected(path) as first, connected(path) as second:
        await first.send(b"GET /stream HTTP/1.1\r\nHost: e\r\n\r\n")
        await second.send(b"GET / HTTP/1.1\r\nHost: e\r\n\r\n")
        await first.until(b"one\n")
        await second.until(b"one\n")
        server.close()
        await first.rest()
        await second.rest()


async def test_a_client_that_comes_when_no_descriptor_is_left_is_served_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crowded(socket.socket):
        full = True

        def accept(self) -> tuple[socket.socket, object]:
            if self.full:
                self.full = False
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    async def answer(_: Request) -> Answer:
        return Response(body=b"{}")

    monkeypatch.setattr(http, "ACCEPT_PAUSE_S", 0)
    with Crowded(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        server = HttpServer(answer)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, listener)
            async with await anyio.connect_unix(tmp_path / "s") as stream:
                await stream.send(b"GET / HTTP/1.1\r\nHost: e\r\n\r\n")
                assert (await stream.receive()).startswith(b"HTTP/1.1 200")
            server.close()


async def take(request: Request) -> Answer:
    """Reads the body from the connection itself, as far as it is told to."""
    if request.path == "/refuse":
        return Response(status=404, body=b"{}")

    async def run(connection: Hijacked, length: int | None) -> Response:
        heard, end = len(connection.early), connection.early[-5:]
        while end != b"0\r\n\r\n" if length is None else heard < length:
            data = await connection.receive()
            heard, end = heard + len(data), (end + data)[-5:]
        return Response(body=f"{length} {heard}".encode())

    return Intake(run=run)


@asynccontextmanager
async def taking(path: Path) -> AsyncIterator[Peer]:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path / "s"))
    listener.listen()
    server = HttpServer(take, lambda method, _: method == "PUT")
    with listener:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, listener)
            async with connected(path / "s") as peer:
                yield peer
            server.close()


async def test_a_body_may_be_larger_than_any_that_is_kept(tmp_path: Path) -> None:
    size = 40 << 20
    async with taking(tmp_path) as peer:
        await peer.send(f"PUT / HTTP/1.1\r\nHost: e\r\nContent-Length: {size}\r\n\r\nearly".encode())
        await peer.send(bytes(size - 5))
        assert (await peer.rest()).endswith(f"\r\n\r\n{size} {size}".encode())


async def test_a_body_in_chunks_is_handed_over_as_it_is(tmp_path: Path) -> None:
    async with taking(tmp_path) as peer:
        await peer.send(b"PUT / HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await peer.send(b"0\r\n\r\n")
        said = await peer.rest()
        assert said.endswith(b"\r\n\r\nNone 13")
        assert b"Connection: close" in said


async def test_who_waits_for_leave_to_send_a_body_gets_it(tmp_path: Path) -> None:
    async with taking(tmp_path) as peer:
        await peer.send(b"PUT / HTTP/1.1\r\nHost: e\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert (await peer.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        await peer.send(b"hi")
        assert (await peer.rest()).endswith(b"\r\n\r\n2 2")


async def test_a_refusal_does_not_wait_for_the_body(tmp_path: Path) -> None:
    async with taking(tmp_path) as peer:
        await peer.send(b"PUT /refuse HTTP/1.1\r\nHost: e\r\nContent-Length: 1000000\r\n\r\n")
        assert (await peer.rest()).startswith(b"HTTP/1.1 404 ")


async def test_other_bodies_are_read_beforehand(tmp_path: Path) -> None:
    async with taking(tmp_path) as peer:
        await peer.send(b"POST /refuse HTTP/1.1\r\nHost: e\r\nContent-Length: 2\r\n\r\nhi")
        assert (await peer.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 404 ")


async def test_a_taken_connection_may_carry_chunks_and_is_let_go_of_in_any_case(tmp_path: Path) -> None:
    closed = anyio.Event()

    async def close() -> None:
        closed.set()

    async def handler(_: Request) -> Answer:
        async def run(connection: Hijacked) -> None:
            await connection.send(b"framed" if connection.upgraded else b"2\r\nhi\r\n0\r\n\r\n")

        return Takeover(run=run, chunked=True, close=close, headers={"X-Said": "so"}, content_type="application/x-tar")

    async with serving(tmp_path, handler) as (_, path):
        async with connected(path) as peer:
            await peer.send(b"GET / HTTP/1.1\r\nHost: e\r\n\r\n")
            assert await peer.rest() == (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\nX-Said: so\r\nConnection: close\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
            )
            await closed.wait()
        async with connected(path) as peer:
            await peer.send(b"GET / HTTP/1.1\r\nHost: e\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
            said = await peer.rest()
            assert said.endswith(b"\r\n\r\nframed")
            assert b"chunked" not in said
