"""The shim's queue and the sender at its other end, without a container: sockets of the test's own on both sides."""

import contextlib
import os
import re
import select
import socket
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestr8.runtime.logsenders import packets
from orchestr8.runtime.logsenders.connections import Datagrams, connect
from orchestr8.runtime.logsenders.forwarder import Forwarder
from orchestr8.runtime.logsenders.sender import Sender, make_format
from orchestr8.runtime.poller import Poller


class Copy:
    """Our own copy of a log, in memory."""

    def __init__(self) -> None:
        self.written: list[tuple[bytes, bytes]] = []
        self.lost_bytes = 0
        self.on_trouble: Any = None

    def write(self, stream: bytes, chunk: bytes) -> None:
        self.written.append((stream, chunk))

    def close(self) -> None:
        self.written.append((b"", b"closed"))


def order(address: str, network: str = "unixgram", **more: Any) -> dict[str, Any]:
    return {
        "kind": "syslog", "name": f"syslog {network}://{address}", "container": "0123456789ab", "owner": "box", "network": network,
        "path": address, "host": "", "port": 0, "tls": None, "facility": 3, "format": "", "tag": "t", **more,
    }  # fmt: skip


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "socket"))
        sock.settimeout(10)
        yield sock


@pytest.fixture
def queue() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.settimeout(10)
        yield ours, theirs


def put(sock: socket.socket, kind: int, text: bytes = b"") -> None:
    sock.send(packets.HEADER.pack(kind, 0) + text)


def said(sock: socket.socket, count: int) -> list[bytes]:
    """Priority and text of so many messages."""
    found = [sock.recv(1 << 16) for _ in range(count)]
    return [each[:4] + each.partition(b"]: ")[2] for each in found]


def test_a_queue_is_sent_to_its_end(receiver: socket.socket, queue: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = queue
    put(ours, packets.STDOUT, b"one\ntwo with")
    put(ours, packets.STDERR, b"wrong\n")
    put(ours, packets.STDOUT, b" its end\ncut ")
    put(ours, packets.RUN_END)
    put(ours, packets.STDOUT, b"next run\nlost head")
    put(ours, packets.GAP, bytes([packets.STDOUT]) + b"a gap")
    put(ours, packets.STDOUT, b"after\nunfinished")
    ours.shutdown(socket.SHUT_WR)
    wanted = order(receiver.getsockname())
    Sender(theirs, wanted, make_format(wanted, 1)).run()
    assert said(receiver, 8) == [
        b"<30>one\n", b"<27>wrong\n", b"<30>two with its end\n", b"<30>cut \n", b"<30>next run\n", b"<27>a gap\n",
        b"<30>after\n", b"<30>unfinished\n",
    ]  # fmt: skip
    assert ours.recv(packets.MAX_NEWS) == packets.REACHED


def test_what_cannot_be_sent_is_given_up_when_nobody_waits_any_more(
    tmp_path: Path, queue: tuple[socket.socket, socket.socket], capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = queue
    wanted = order(str(tmp_path / "none"))
    for _ in range(3):
        put(ours, packets.STDOUT, b"x\ny\n")
    ours.shutdown(socket.SHUT_WR)
    Sender(theirs, wanted, make_format(wanted, 1)).run()
    assert ours.recv(packets.MAX_NEWS) == packets.UNREACHED + b"No such file or directory"
    told = capsys.readouterr().err.splitlines()
    assert told[-1].startswith(f"box: the receiver of its log, {wanted['name']}, took not all of it: 6 lines")


def test_losses_that_the_shim_has_no_time_for_are_told_in_one(
    queue: tuple[socket.socket, socket.socket], capsys: pytest.CaptureFixture[str]
) -> None:
    """Datagrams to nobody, and a shim that reads none of what it is told."""
    ours, theirs = queue
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    wanted = order("", "udp", host="127.0.0.1", port=port)
    count = 3000
    threading.Thread(target=_put_lines, args=(ours, count)).start()
    Sender(theirs, wanted, make_format(wanted, 1)).run()
    told = 0
    ours.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        while news := ours.recv(packets.MAX_NEWS):
            if news.startswith(packets.LOST):
                told += int(news.split()[1])
    said = re.findall(r"took not all of it: (\d+) lines", capsys.readouterr().err)
    assert len(said) <= 1
    assert count // 2 < told + sum(map(int, said)) <= count, "each is refused; of most that is heard"


def _put_lines(sock: socket.socket, count: int) -> None:
    for number in range(count):
        put(sock, packets.STDOUT, b"%d\n" % number)
    sock.shutdown(socket.SHUT_WR)


def test_a_datagram_that_is_too_large_is_counted_and_the_next_one_is_sent(receiver: socket.socket) -> None:
    lost: list[tuple[int, int, str]] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(receiver.getsockname())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        batch = deque([b"x" * 100_000, b"small"])
        Datagrams(sock, lambda *told: lost.append(told)).send(batch)
    assert (lost, receiver.recv(100), not batch) == ([(1, 100_000, "Message too long")], b"small", True)


def test_a_stream_that_was_closed_takes_nothing_with_it(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen()
        connection = connect(order(path, "unix"), lambda *_told: None)
        peer = listener.accept()[0]
        batch = deque([b"one\n", b"two\n"])
        connection.send(batch)
        assert (peer.recv(100), not batch) == (b"one\ntwo\n", True)
        peer.close()
        batch = deque([b"three\n"])
        with pytest.raises(ConnectionResetError, match="it has closed the connection"):
            connection.send(batch)
        connection.close()
        assert batch == deque([b"three\n"])


def test_a_stream_that_breaks_off_leaves_what_was_not_sent_from_the_beginning_of_a_message(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen()
        connection = connect(order(path, "unix"), lambda *_told: None)
        with listener.accept()[0] as peer:
            lines = [b"%d %s\n" % (number, b"x" * 1000) for number in range(2000)]
            batch = deque([b"".join(lines[:1000]), *lines[1000:]])
            threading.Timer(0.2, peer.shutdown, (socket.SHUT_RDWR,)).start()
            with pytest.raises(BrokenPipeError):
                connection.send(batch)
            taken = b""
            while data := peer.recv(1 << 20):
                taken += data
        connection.close()
    left = b"".join(batch)
    assert left.startswith(b"%d x" % taken.count(b"\n"))
    assert taken[: taken.rfind(b"\n") + 1] + left == b"".join(lines)


def test_the_machines_own_syslog_is_looked_for(monkeypatch: pytest.MonkeyPatch, receiver: socket.socket) -> None:
    from orchestr8.runtime.logsenders import connections

    monkeypatch.setattr(connections, "LOCAL_PATHS", ("/none", receiver.getsockname()))
    connection = connect(order("", ""), lambda *_told: None)
    connection.send(deque([b"hello"]))
    connection.close()
    assert receiver.recv(100) == b"hello"
    monkeypatch.setattr(connections, "LOCAL_PATHS", ("/none", "/nowhere"))
    with pytest.raises(FileNotFoundError, match="no syslog listens at /none, /nowhere"):
        connect(order("", ""), lambda *_told: None)


@pytest.fixture
def poller() -> Iterator[Poller]:
    found = Poller()
    yield found
    found.close()


def forwarder(copy: Copy, poller: Poller, wanted: dict[str, Any]) -> tuple[Forwarder, list[str]]:
    """One whose receiver has been tried, and what it tells of trouble."""
    log = Forwarder(copy, poller, wanted)
    troubles: list[str] = []
    log.on_trouble = troubles.append
    while log.obstacle is None:
        poller.wait()
    return log, troubles


def test_a_log_is_written_here_and_there(receiver: socket.socket, poller: Poller) -> None:
    copy = Copy()
    log, troubles = forwarder(copy, poller, order(receiver.getsockname()))
    assert log.obstacle == ""
    log.write(b"stdout", b"hello\n")
    log.write(b"stderr", b"wrong")
    log.end_run()
    assert said(receiver, 2) == [b"<30>hello\n", b"<27>wrong\n"]
    log.close()
    log.linger()
    assert copy.written == [(b"stdout", b"hello\n"), (b"stderr", b"wrong"), (b"", b"closed")]
    assert (troubles, log.lost_bytes) == ([], 0)


def test_a_receiver_that_is_not_there_is_told_and_what_has_no_room_is_counted(tmp_path: Path, poller: Poller) -> None:
    """Lines that are cut by the end of the room are lost whole; nobody waits."""
    copy = Copy()
    wanted = order(str(tmp_path / "socket"), queue_bytes=16384)
    log, troubles = forwarder(copy, poller, wanted)
    assert log.obstacle == f"the receiver of its log, {wanted['name']}, cannot be reached: No such file or directory"
    texts = [b"%d %s\n" % (number, b"x" * 2000) for number in range(100)]
    for text in texts:
        log.write(b"stdout", text[:1000])
        log.write(b"stdout", text[1000:])
    assert b"".join(chunk for _, chunk in copy.written) == b"".join(texts)
    assert troubles == [f"{wanted['name']}: No such file or directory"]
    assert 0 < log.lost_bytes < len(b"".join(texts))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as late:
        late.bind(wanted["path"])
        late.settimeout(10)
        found = []
        while select.select([late], [], [], 1 if found else 6)[0]:  # the sender's longest pause is 5 s
            found += said(late, 1)
        assert found == [b"<30>" + text for text in texts[: len(found)]], (
            "those before the loss, and each of them whole"
        )
        log.write(b"stdout", b"after\n")
        gap, after = said(late, 2)
    missing = len(texts) - len(found)
    assert gap.startswith(b"<27>orchestr8: %d lines (" % missing)
    assert gap.endswith(f"were not sent to {wanted['name']}: No such file or directory\n".encode())
    assert after == b"<30>after\n"
    log.close()
    log.linger()
    assert copy.written[-2][1].startswith(b"orchestr8: %d lines (" % missing)
    assert troubles[-1] == ""


def test_a_sender_that_dies_is_replaced(receiver: socket.socket, poller: Poller) -> None:
    log, _ = forwarder(Copy(), poller, order(receiver.getsockname()))
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = children.read_text(encoding="ascii").split()
    for pid in before:
        if b"orchestr8-log" in Path(f"/proc/{pid}/comm").read_bytes():
            os.kill(int(pid), 9)
    while log.obstacle in ("", None) or children.read_text(encoding="ascii").split() == before:
        poller.wait()
    log.write(b"stdout", b"hello\n")
    assert said(receiver, 1) == [b"<30>hello\n"]
    log.close()
    log.linger()
