"""The client against a real socket whose other end says exactly what a test tells it to say."""

import json
import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.errors import Conflict, InvalidInput, NotFound, OperationFailed, Unavailable, Unheard
from orchestr8.wire.body import ChunkedBody
from orchestr8.wire.client import TRIES, Client, Lines, target
from orchestr8.wire.frames import FrameReader, encode


class Peer:
    """Takes one connection after the other; `script` plays the engine on each. What it was asked is in `requests`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.script: Callable[[socket.socket], None] = lambda _: None
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def answer(self, *pieces: bytes) -> None:
        """Send these bytes, each in its own segment, and end."""

        def script(connection: socket.socket) -> None:
            for piece in pieces:
                connection.sendall(piece)

        self.script = script

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                request = self._request(connection)
                if request is None:
                    return
                self.requests.append(request)
                self.script(connection)

    def _request(self, connection: socket.socket) -> tuple[str, dict[str, str], bytes] | None:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return None
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        while len(body) < int(headers.get("content-length", "0")):
            body += connection.recv(65536)
        return first, headers, body

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(self.path)
        self._thread.join()
        self._listener.close()


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    peer = Peer(str(tmp_path / "engine.sock"))
    yield peer
    peer.close()


def test_a_request_is_answered_with_the_bodys_json(peer: Peer) -> None:
    peer.answer(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{"a": 1}')
    assert Client(peer.path).request("POST", "/stacks/shop/stop", body={"services": None}) == {"a": 1}
    line, headers, body = peer.requests[0]
    assert (line, body) == ("POST /stacks/shop/stop HTTP/1.1", b'{"services":null}')
    assert headers == {
        "host": "orchestr8",
        "connection": "close",
        "content-type": "application/json",
        "content-length": "17",
    }


def test_an_answer_may_come_byte_by_byte(peer: Peer) -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nOK\r\n0\r\nT: 1\r\n\r\n"
    peer.answer(*(bytes([byte]) for byte in whole))
    assert Client(peer.path).request("GET", "/_ping") == "OK"


def test_an_answer_without_a_body_is_none(peer: Peer) -> None:
    peer.answer(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert Client(peer.path).request("POST", "/containers/a/start") is None


def test_a_body_may_last_until_the_connection_ends(peer: Peer) -> None:
    peer.answer(b"HTTP/1.0 200 OK\r\n\r\nsome ", b"text")
    assert Client(peer.path).request("GET", "/x") == "some text"


def test_an_interim_answer_is_passed_over(peer: Peer) -> None:
    peer.answer(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1")
    assert Client(peer.path).request("GET", "/x") == "1"


@pytest.mark.parametrize(
    ("status", "kind"), [(404, NotFound), (409, Conflict), (503, Unavailable), (500, OperationFailed)]
)
def test_an_error_comes_as_the_class_of_its_status(peer: Peer, status: int, kind: type[Exception]) -> None:
    body = json.dumps({"message": "no such thing", "code": "O8-404", "notes": ["n"], "helps": ["h"]}).encode()
    head = f"HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    peer.answer(head.encode() + body)
    with pytest.raises(kind, match="no such thing") as caught:
        Client(peer.path).request("GET", "/x")
    error = caught.value
    assert (type(error), error.code, error.notes, error.helps) == (kind, "O8-404", ["n"], ["h"])


def test_an_error_that_is_not_json_still_says_what_it_says(peer: Peer) -> None:
    peer.answer(b"HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\nsorry")
    with pytest.raises(OperationFailed, match="sorry"):
        Client(peer.path).request("GET", "/x")


@pytest.mark.parametrize(
    "cut",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1234",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"],
)  # fmt: skip
def test_an_answer_that_is_cut_off_is_an_engine_that_went_away(peer: Peer, cut: bytes) -> None:
    peer.answer(cut)
    with pytest.raises(Unavailable, match="the engine went away before it had answered"):
        Client(peer.path).request("GET", "/x")


@pytest.mark.parametrize(
    "nonsense",
    [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 OK\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"x" * 70_000],
)  # fmt: skip
def test_what_is_not_http_is_said_to_be_that(peer: Peer, nonsense: bytes) -> None:
    peer.answer(nonsense)
    with pytest.raises(Unavailable, match="the engine's answer is not HTTP"):
        Client(peer.path).request("GET", "/x")


def test_an_engine_that_does_not_answer_in_time_is_unavailable(peer: Peer) -> None:
    done = threading.Event()
    peer.script = lambda _: done.wait() and None
    with pytest.raises(Unavailable, match="does not answer"):
        Client(peer.path).request("GET", "/x", timeout_s=0.01)
    done.set()


def test_nobody_listens(tmp_path: Path) -> None:
    path = str(tmp_path / "none.sock")
    with pytest.raises(Unavailable, match=f"no engine listens at {path}"):
        Client(path).request("GET", "/x")


def test_when_nobody_listens_the_engine_is_started_and_asked_again(tmp_path: Path) -> None:
    path = str(tmp_path / "late.sock")
    peers = []

    def start() -> None:
        peers.append(Peer(path))
        peers[0].answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup")

    assert Client(path, start).request("GET", "/x") == "up"
    assert len(peers) == 1
    peers[0].close()


def _with_a_queue(listener: socket.socket) -> None:
    select.select([listener], [], [])


def _with_a_request_unread(listener: socket.socket) -> None:
    with listener.accept()[0] as connection:
        connection.recv(1)


def _after_it_has_read_all(listener: socket.socket) -> None:
    with listener.accept()[0] as connection:
        assert connection.recv(65536).endswith(b"\r\n\r\n")


@contextmanager
def dying(path: str, last_act: Callable[[socket.socket], None], times: int = 1) -> Iterator[Callable[[], None]]:
    """Engines at `path`, one after the other, each of which dies over its first client. Yields how to start the next."""
    deaths: list[threading.Thread] = []
    peers: list[Peer] = []

    def start() -> None:
        if deaths:
            deaths[-1].join()
            os.unlink(path)
        if len(deaths) == times:
            peers.append(Peer(path))
            peers[0].answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup")
            return
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()

        def die() -> None:
            with listener:
                last_act(listener)

        deaths.append(threading.Thread(target=die))
        deaths[-1].start()

    start()
    yield start
    for death in deaths:
        death.join()
    for peer in peers:
        peer.close()


@pytest.mark.parametrize(
    ("method", "last_act"),
    [
        ("POST", _with_a_queue),
        ("POST", _with_a_request_unread),
        ("GET", _with_a_queue),
        ("GET", _after_it_has_read_all),  # it may have answered, but nothing comes of asking twice
    ],
)
def test_a_request_that_dies_with_an_engine_unheard_is_made_of_the_next(
    tmp_path: Path, method: str, last_act: Callable[[socket.socket], None]
) -> None:
    path = str(tmp_path / "engine.sock")
    with dying(path, last_act, times=TRIES - 1) as start:
        assert Client(path, start).request(method, "/x") == "up"


def test_a_request_that_every_engine_dies_of_is_given_up(tmp_path: Path) -> None:
    path = str(tmp_path / "engine.sock")
    with dying(path, _with_a_queue, times=TRIES) as start, pytest.raises(Unheard, match="the engine went away"):
        Client(path, start).request("POST", "/x")


def test_work_that_an_engine_may_have_begun_is_not_asked_for_twice(tmp_path: Path) -> None:
    path = str(tmp_path / "engine.sock")
    with dying(path, _after_it_has_read_all) as start, pytest.raises(Unavailable, match="the engine went away") as told:
        Client(path, start).request("POST", "/x")
    assert not isinstance(told.value, Unheard)


def test_a_large_request_that_breaks_off_is_unheard(tmp_path: Path) -> None:
    path = str(tmp_path / "engine.sock")
    with dying(path, _with_a_request_unread) as start:
        assert Client(path, start).request("POST", "/x", body="x" * 5_000_000) == "up"


def test_lines_come_as_they_are_written(peer: Peer) -> None:
    go_on = threading.Event()

    def script(connection: socket.socket) -> None:
        connection.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n{"n":1}\n{"n":\r\n')
        go_on.wait()
        connection.sendall(b'4\r\n2}\n\n\r\n7\r\n{"n":3}\r\n0\r\n\r\n')

    peer.script = script
    with Client(peer.path).open("POST", "/stacks/shop/up", body={}) as response:
        lines = iter(Lines(response))
        assert next(lines) == {"n": 1}
        go_on.set()
        assert list(lines) == [{"n": 2}, {"n": 3}]


def test_what_was_read_along_with_the_head_is_ready(peer: Peer) -> None:
    peer.answer(b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{"n":1}\n')
    with Client(peer.path).open("GET", "/x") as response:
        lines = Lines(response)
        assert lines.ready
        assert lines.take() == [{"n": 1}]
        assert lines.ready  # the end is known without the socket
        assert lines.take() == []
        assert lines.ended


def test_an_upgraded_connection_carries_bytes_both_ways_and_its_input_can_end(peer: Peer) -> None:
    heard: list[bytes] = []

    def script(connection: socket.socket) -> None:
        connection.sendall(
            b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n" + encode(1, b"early")
        )
        while data := connection.recv(100):
            heard.append(data)
        connection.sendall(encode(2, b"after the end of input"))

    peer.script = script
    with Client(peer.path).upgrade("POST", "/exec/1/start", body={"Tty": False}) as stream:
        frames = FrameReader()
        assert stream.ready
        found = frames.feed(stream.receive())
        assert stream.send_some(b"hello") == 5
        stream.half_close()
        while data := stream.receive():
            found += frames.feed(data)
    assert [(each.stream, each.payload) for each in found] == [(1, b"early"), (2, b"after the end of input")]
    assert b"".join(heard) == b"hello"
    assert peer.requests[0][1]["upgrade"] == "tcp"
    assert peer.requests[0][1]["connection"] == "upgrade"


def test_a_refused_upgrade_is_the_engines_error(peer: Peer) -> None:
    peer.answer(
        b'HTTP/1.1 409 Conflict\r\nContent-Type: application/json\r\nContent-Length: 25\r\n\r\n{"message":"not running"}'
    )
    with pytest.raises(Conflict, match="not running"):
        Client(peer.path).upgrade("POST", "/exec/1/start")


def test_an_upgrade_that_is_not_one_is_refused(peer: Peer) -> None:
    peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(Unavailable, match="answered 200 where the connection should have been handed over"):
        Client(peer.path).upgrade("POST", "/exec/1/start")


def test_a_peer_that_resets_the_stream_has_ended_it(peer: Peer) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 101 UPGRADED\r\n\r\n")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    peer.script = script
    with Client(peer.path).upgrade("POST", "/exec/1/start") as stream:
        assert stream.receive() == b""
        stream.half_close()


def test_sending_never_waits(peer: Peer) -> None:
    done = threading.Event()

    def script(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 101 UPGRADED\r\n\r\n")
        done.wait()

    peer.script = script
    with Client(peer.path).upgrade("POST", "/exec/1/start") as stream:
        while stream.send_some(bytes(65536)):
            pass
        assert stream.send_some(b"more") == 0
        done.set()


def test_a_request_that_is_refused_while_it_is_sent_still_shows_the_answer(tmp_path: Path) -> None:
    """The engine answers and closes. Closing wakes a client that waits for room to send in; to stop reading does not."""
    path = str(tmp_path / "engine.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 9\r\n\r\ntoo large")

        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises(InvalidInput, match="too large"):
            Client(path).request("POST", "/x", body="x" * 5_000_000)
        thread.join()


def test_paths_and_queries_are_quoted() -> None:
    where = target("/stacks/a b/ü", {"service": ["web", "api&x"], "tail": 10, "none": []})
    assert where == "/stacks/a%20b/%C3%BC?service=web&service=api%26x&tail=10"
    assert target("/engine") == "/engine"
    assert target(os.fsdecode(b"/\xff")) == "/%FF"


@given(st.lists(st.binary(min_size=1, max_size=50)), st.lists(st.integers(1, 20), min_size=1))
def test_chunks_survive_any_cut(chunks: list[bytes], cuts: list[int]) -> None:
    wire = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    body = ChunkedBody()
    out = b""
    position = 0
    while position < len(wire):
        size = cuts[position % len(cuts)]
        out += body.feed(wire[position : position + size])
        position += size
    assert out == b"".join(chunks)
    assert body.ended


def chunks(connection: socket.socket, early: bytes) -> bytes:
    """A whole chunked body."""
    body = ChunkedBody()
    received = body.feed(early)
    while not body.ended:
        received += body.feed(connection.recv(65536))
    return received


def test_a_body_is_sent_while_it_is_made(peer: Peer) -> None:
    heard: list[bytes] = []

    def script(connection: socket.socket) -> None:
        heard.append(chunks(connection, peer.requests[-1][2]))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")

    peer.script = script

    def write(send: Callable[[bytes], None]) -> None:
        for number in range(3):
            send(bytes([number]) * 100_000)

    assert Client(peer.path).upload("PUT", "/containers/1/archive", write, query={"path": "/a b"}) == {}
    assert heard == [b"".join(bytes([number]) * 100_000 for number in range(3))]
    assert peer.requests[0][0] == "PUT /containers/1/archive?path=%2Fa%20b HTTP/1.1"


def test_a_body_that_is_refused_early_is_told_by_the_answer(peer: Peer) -> None:
    peer.answer(b'HTTP/1.1 409 X\r\nContent-Type: application/json\r\nContent-Length: 19\r\n\r\n{"message": "full"}')

    def write(send: Callable[[bytes], None]) -> None:
        while True:
            send(bytes(1 << 20))

    with pytest.raises(Conflict):
        Client(peer.path).upload("PUT", "/x", write)


def test_what_makes_a_body_may_fail(peer: Peer) -> None:
    peer.script = chunks_until_cut

    def write(send: Callable[[bytes], None]) -> None:
        send(b"begin")
        raise NotFound("it is gone")

    with pytest.raises(NotFound, match="it is gone"):
        Client(peer.path).upload("PUT", "/x", write)


def chunks_until_cut(connection: socket.socket) -> None:
    received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert not received.endswith(b"0\r\n\r\n")


def test_a_body_is_sent_to_an_engine_that_is_started_for_it(tmp_path: Path) -> None:
    peers: list[Peer] = []
    path = str(tmp_path / "engine.sock")

    def start() -> None:
        peers.append(Peer(path))
        peers[0].script = lambda connection: (
            chunks(connection, peers[0].requests[-1][2]),
            connection.sendall(b"HTTP/1.1 204 X\r\n\r\n"),
        )[1]

    assert Client(path, start).upload("PUT", "/x", lambda send: send(b"hi")) is None
    peers[0].close()
    with pytest.raises(Unheard):
        Client(f"{path}2").upload("PUT", "/x", lambda send: send(b"hi"))


def test_a_head_has_status_and_headers_whatever_they_are(peer: Peer) -> None:
    peer.answer(b"HTTP/1.1 404 X\r\nContent-Length: 100\r\nX-Said: so\r\n\r\n")
    status, headers = Client(peer.path).head("/containers/1/archive", query={"path": "/"})
    assert (status, headers["x-said"]) == (404, "so")


def test_chunks_survive_each_pair_of_cuts() -> None:
    wire = b"3\r\n\r\n0\r\n1b;x=y\r\n" + b"\r\n" * 13 + b"0" + b"\r\n0\r\nt: 1\r\n\r\n"
    for first in range(len(wire) + 1):
        for second in range(first, len(wire) + 1):
            body = ChunkedBody()
            out = b"".join(map(body.feed, (wire[:first], wire[first:second], wire[second:])))
            assert (out, body.ended) == (b"\r\n0" + b"\r\n" * 13 + b"0", True), (first, second)
