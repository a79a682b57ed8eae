"""Stdio between programs and clients, with pipes for programs and socket pairs for clients."""

import os
import select
import socket
import struct
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestr8.runtime.poller import Poller
from orchestr8.runtime.streams import STDERR, STDOUT, Input, Output, Session


class Bench:
    """A poller, and everything that a test opens."""

    def __init__(self) -> None:
        self.poller = Poller()
        self.logged = b""
        self.ended: list[Session] = []
        self._open: list[Output | Input] = []
        self._sessions: list[Session] = []
        self._fds: list[int] = []
        self._sockets: list[socket.socket] = []

    def settle(self) -> None:
        """Let everything happen that can happen now."""
        for _ in range(10_000):
            if not select.select([self.poller._epoll.fileno()], [], [], 0)[0]:
                return
            self.poller.wait()
        raise AssertionError("it never comes to rest: something is told again and again")

    def output(self, stream: int = STDOUT) -> tuple[Output, int]:
        """(output, the program's end of it)."""
        reader, writer = os.pipe()
        self._fds.append(writer)

        def log(chunk: bytes) -> None:
            self.logged += chunk

        output = Output(self.poller, reader, stream, log)
        self._open.append(output)
        return output, writer

    def input(self) -> tuple[Input, int]:
        """(input, the program's end of it)."""
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        self._fds.append(reader)
        program_input = Input(self.poller, writer)
        self._open.append(program_input)
        return program_input, reader

    def session(
        self, *, raw: bool = False, wants_input: bool = False, early: bytes = b""
    ) -> tuple[Session, socket.socket]:
        """(session, the client's socket)."""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self._sockets.append(theirs)
        session = Session(self.poller, ours.detach(), raw=raw, wants_input=wants_input, early=early)
        session.on_end = lambda: self.ended.append(session)
        self._sessions.append(session)
        return session, theirs

    def close_fd(self, fd: int) -> None:
        self._fds.remove(fd)
        os.close(fd)

    def close(self) -> None:
        for each in self._sockets:
            each.close()
        for session in self._sessions:
            session._close()
        for stream in self._open:
            stream.close()
        for fd in self._fds:
            os.close(fd)
        self.poller.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def received(client: socket.socket) -> bytes:
    data = b""
    try:
        while chunk := client.recv(1 << 20):
            data += chunk
    except BlockingIOError:
        pass
    return data


def frames(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        stream, size = struct.unpack_from(">B3xI", data)
        found.append((stream, data[8 : 8 + size]))
        data = data[8 + size :]
    return found


def at_end(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False


def fill(write: Callable[[bytes], int], chunk: int = 65536) -> int:
    """Write until nothing more is taken; how much was."""
    total = 0
    try:
        while True:
            total += write(bytes(chunk))
    except BlockingIOError:
        return total


# --- output ------------------------------------------------------------------------------------------------------------


def test_output_goes_to_the_log_and_in_frames_to_every_client(bench: Bench) -> None:
    out, program = bench.output()
    clients = [bench.session() for _ in range(2)]
    for session, _ in clients:
        out.add(session)
    os.write(program, b"hello")
    bench.settle()
    os.write(program, b"again")
    bench.settle()
    assert bench.logged == b"helloagain"
    for _, client in clients:
        assert frames(received(client)) == [(1, b"hello"), (1, b"again")]


def test_two_outputs_are_told_apart_and_a_raw_client_gets_bytes_alone(bench: Bench) -> None:
    out, program_out = bench.output(STDOUT)
    err, program_err = bench.output(STDERR)
    framed, framed_client = bench.session()
    raw, raw_client = bench.session(raw=True)
    for each in (out, err):
        each.add(framed)
        each.add(raw)
    os.write(program_out, b"out")
    bench.settle()
    os.write(program_err, b"err")
    bench.settle()
    assert frames(received(framed_client)) == [(1, b"out"), (2, b"err")]
    assert received(raw_client) == b"outerr"


def test_a_client_gets_what_comes_after_it_joined(bench: Bench) -> None:
    out, program = bench.output()
    os.write(program, b"before")
    bench.settle()
    session, client = bench.session()
    out.add(session)
    os.write(program, b"after")
    bench.settle()
    assert frames(received(client)) == [(1, b"after")]
    assert bench.logged == b"beforeafter"


def test_a_slow_client_pauses_the_program_and_then_gets_everything(bench: Bench) -> None:
    out, program = bench.output()
    os.set_blocking(program, False)
    slow, slow_client = bench.session()
    fast, fast_client = bench.session()
    out.add(slow)
    out.add(fast)
    written, quick = 0, b""
    for _ in range(200):
        written += fill(lambda data: os.write(program, data))
        bench.settle()
        quick += received(fast_client)
    assert slow.full
    assert written < 4 << 20, "the program is held up"
    slowly = b""
    for _ in range(1000):
        slowly += received(slow_client)
        quick += received(fast_client)
        bench.settle()
    for data in (slowly, quick):
        assert sum(len(payload) for _, payload in frames(data)) == written
    assert len(bench.logged) == written
    assert fill(lambda data: os.write(program, data)) > 0, "and may go on"


def test_a_slow_client_that_leaves_lets_the_program_go_on(bench: Bench) -> None:
    out, program = bench.output()
    os.set_blocking(program, False)
    session, client = bench.session()
    out.add(session)
    for _ in range(100):
        fill(lambda data: os.write(program, data))
        bench.settle()
    before = len(bench.logged)
    client.close()
    bench.settle()
    assert not session.open
    assert bench.ended == [session]
    assert len(bench.logged) > before
    assert out.sessions == []


def test_the_end_of_a_program_drains_what_is_there_though_a_client_is_slow(bench: Bench) -> None:
    out, program = bench.output()
    os.set_blocking(program, False)
    session, client = bench.session()
    out.add(session)
    written = 0
    for _ in range(100):
        written += fill(lambda data: os.write(program, data))
        bench.settle()
    bench.close_fd(program)
    out.drain()
    assert not out.open
    assert len(bench.logged) == written
    session.finish()
    assert session.open, "the client has not read everything"
    data = b""
    while session.open:
        data += received(client)
        bench.settle()
    data += received(client)
    assert sum(len(payload) for _, payload in frames(data)) == written
    assert at_end(client)


def test_draining_ends_though_somebody_still_writes(bench: Bench) -> None:
    """A program may have given its stdout to a program in another container."""
    out, program = bench.output()
    os.set_blocking(program, False)
    fill(lambda data: os.write(program, data))
    log, pieces = out._log, 0

    def log_and_write_more(chunk: bytes) -> None:
        nonlocal pieces
        pieces += 1
        assert log is not None
        log(chunk)
        fill(lambda data: os.write(program, data))

    out._log = log_and_write_more
    out.drain()
    assert not out.open
    assert 2 << 20 <= len(bench.logged) < 4 << 20
    with pytest.raises(BrokenPipeError):
        os.write(program, b"x")


def test_the_end_of_output_is_noticed_by_itself(bench: Bench) -> None:
    out, program = bench.output()
    os.write(program, b"last words")
    bench.close_fd(program)
    bench.settle()
    assert not out.open
    assert bench.logged == b"last words"


# --- input -------------------------------------------------------------------------------------------------------------


def test_input_arrives_in_order_what_was_sent_before_first(bench: Bench) -> None:
    program_input, program = bench.input()
    session, client = bench.session(wants_input=True, early=b"one ")
    client.send(b"two ")
    bench.settle()
    session.take_input(program_input, owned=False)
    client.send(b"three")
    bench.settle()
    assert os.read(program, 100) == b"one two three"


def test_a_half_close_ends_the_input_and_not_the_session(bench: Bench) -> None:
    program_input, program = bench.input()
    out, writer = bench.output()
    session, client = bench.session(wants_input=True)
    session.take_input(program_input, owned=False)
    out.add(session)
    client.send(b"last")
    client.shutdown(socket.SHUT_WR)
    bench.settle()
    assert os.read(program, 100) == b"last"
    assert os.read(program, 100) == b""
    os.write(writer, b"still here")
    bench.settle()
    assert frames(received(client)) == [(1, b"still here")]


def test_a_half_close_before_the_program_starts_is_remembered(bench: Bench) -> None:
    program_input, program = bench.input()
    session, client = bench.session(wants_input=True)
    client.send(b"all")
    client.shutdown(socket.SHUT_WR)
    bench.settle()
    session.take_input(program_input, owned=False)
    assert os.read(program, 100) == b"all"
    assert os.read(program, 100) == b""


def test_a_program_that_does_not_read_holds_its_client_up_and_loses_nothing(bench: Bench) -> None:
    program_input, program = bench.input()
    session, client = bench.session(wants_input=True)
    session.take_input(program_input, owned=False)
    sent = 0
    for _ in range(100):
        sent += fill(client.send)
        bench.settle()
    assert program_input.full
    assert sent < 4 << 20
    client.shutdown(socket.SHUT_WR)
    taken = 0
    for _ in range(1000):
        try:
            chunk = os.read(program, 1 << 20)
        except BlockingIOError:
            bench.settle()
            continue
        if not chunk:
            break
        taken += len(chunk)
    assert taken == sent


def test_input_that_nobody_reads_any_more_is_dropped(bench: Bench) -> None:
    program_input, program = bench.input()
    session, client = bench.session(wants_input=True)
    session.take_input(program_input, owned=False)
    bench.close_fd(program)
    for _ in range(20):
        fill(client.send)
        bench.settle()
    assert session.open
    assert not program_input.full


def test_two_clients_share_an_input_and_both_go_on_when_there_is_room_again(bench: Bench) -> None:
    program_input, program = bench.input()
    clients = []
    for _ in range(2):
        session, client = bench.session(wants_input=True)
        session.take_input(program_input, owned=False)
        clients.append(client)
    for _ in range(100):
        for client in clients:
            fill(client.send)
        bench.settle()
    assert program_input.full
    for _ in range(1000):
        try:
            os.read(program, 1 << 20)
        except BlockingIOError:
            bench.settle()
    for client in clients:
        assert fill(client.send) > 0


def test_an_input_of_its_own_is_closed_with_the_session(bench: Bench) -> None:
    program_input, program = bench.input()
    session, client = bench.session(wants_input=True)
    session.take_input(program_input, owned=True)
    client.close()
    bench.settle()
    assert bench.ended == [session]
    assert os.read(program, 1) == b""
    assert program_input.listeners == []


def test_a_shared_input_outlives_a_client_that_vanishes_while_it_cannot_be_written(bench: Bench) -> None:
    program_input, program = bench.input()
    first, first_client = bench.session(wants_input=True)
    second, second_client = bench.session(wants_input=True)
    for each in (first, second):
        each.take_input(program_input, owned=False)
    first.finish()
    second_client.send(b"hello")
    bench.settle()
    assert os.read(program, 10) == b"hello"
    assert not first.open
    assert at_end(first_client)
    assert len(program_input.listeners) == 1


def test_a_program_without_stdin_has_its_clients_input_dropped(bench: Bench) -> None:
    session, client = bench.session(wants_input=True, early=b"x" * 600_000)
    fill(client.send)
    bench.settle()
    session.refuse_input()
    for _ in range(20):
        bench.settle()
        assert fill(client.send) > 0
    assert session.open


def test_without_wanted_input_what_comes_is_dropped_and_the_end_is_noticed(bench: Bench) -> None:
    session, client = bench.session(early=b"ignored")
    client.send(b"ignored too")
    bench.settle()
    assert session.open
    client.close()
    bench.settle()
    assert bench.ended == [session]


def test_a_client_that_vanishes_from_a_silent_program_is_noticed(bench: Bench) -> None:
    out, _program = bench.output()
    session, client = bench.session(wants_input=True)
    out.add(session)
    client.shutdown(socket.SHUT_WR)
    bench.settle()
    assert session.open
    client.close()
    bench.settle()
    assert bench.ended == [session]


def test_a_session_that_is_finishing_gets_nothing_new(bench: Bench) -> None:
    session, client = bench.session(raw=True)
    while not session.full:
        session.deliver(STDOUT, bytes(65536))
    session.finish()
    before = len(session._out)
    session.deliver(STDOUT, b"of the next run")
    assert len(session._out) == before
    while session.open:
        received(client)
        bench.settle()
    assert bench.ended == [session]


def test_a_session_with_nothing_to_deliver_ends_at_once(bench: Bench) -> None:
    session, client = bench.session()
    session.finish()
    assert bench.ended == [session]
    assert at_end(client)


@given(st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(min_size=1, max_size=3000)), max_size=20))
@settings(max_examples=50)
def test_any_output_arrives_whole_and_in_order(pieces: list[tuple[int, bytes]]) -> None:
    bench = Bench()
    out, program_out = bench.output(STDOUT)
    err, program_err = bench.output(STDERR)
    session, client = bench.session()
    out.add(session)
    err.add(session)
    for stream, data in pieces:
        os.write(program_out if stream == STDOUT else program_err, data)
        bench.settle()
    assert frames(received(client)) == pieces
    session.finish()
    for each in (out, err):
        each.close()
    bench.close()
