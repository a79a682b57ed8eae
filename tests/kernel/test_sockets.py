"""Packets with descriptors: what is sent is what comes, however large, and nothing leaks when it does not."""

import errno
import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestr8.errors import OperationFailed
from orchestr8.kernel import sockets
from orchestr8.kernel.sockets import MAX_FDS, MAX_PACKET, receive_packet, send_packet

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@given(st.lists(st.binary(min_size=1), min_size=1, max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_packets_keep_their_borders(pair: Pair, payloads: list[bytes]) -> None:
    for payload in payloads:
        send_packet(pair[0], payload)
    assert [receive_packet(pair[1]) for _ in payloads] == [(payload, []) for payload in payloads]


@pytest.mark.parametrize("size", [1, MAX_PACKET, MAX_PACKET + 1, 1_000_000, sockets.MAX_PAYLOAD])
def test_any_size_arrives_whole(pair: Pair, size: int) -> None:
    payload = os.urandom(1000) * (size // 1000) + b"x" * (size % 1000)
    before = open_descriptors()
    send_packet(pair[0], payload)
    received, fds = receive_packet(pair[1])
    assert received == payload
    assert fds == []
    assert open_descriptors() == before


@pytest.mark.parametrize("size", [1, 200_000])
def test_descriptors_come_in_order_and_close_on_exec(pair: Pair, size: int) -> None:
    pipes = [os.pipe() for _ in range(3)]
    sent = [fd for fds in pipes for fd in fds]
    send_packet(pair[0], b"x" * size, sent)
    _, fds = receive_packet(pair[1])
    assert [os.fstat(fd).st_ino for fd in fds] == [os.fstat(fd).st_ino for fd in sent]
    assert not any(os.get_inheritable(fd) for fd in fds)
    assert set(fds).isdisjoint(sent), "duplicates: the sender's stay open"
    sockets.close_all([*sent, *fds])


def test_as_many_descriptors_as_the_kernel_allows(pair: Pair) -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    before = open_descriptors()
    send_packet(pair[0], b"x", [null] * MAX_FDS)
    _, fds = receive_packet(pair[1])
    assert len(fds) == MAX_FDS
    sockets.close_all(fds)
    with pytest.raises(OSError) as caught:
        send_packet(pair[0], b"x", [null] * (MAX_FDS + 1))
    assert caught.value.errno == errno.EINVAL
    assert open_descriptors() == before
    os.close(null)


def test_a_packet_that_is_too_large_is_refused_and_nothing_leaks(pair: Pair) -> None:
    before = open_descriptors()
    null = os.open("/dev/null", os.O_RDONLY)
    send_packet(pair[0], bytes(sockets.MAX_PAYLOAD + 1), [null])
    with pytest.raises(OperationFailed, match="more than") as caught:
        receive_packet(pair[1])
    assert caught.value.code == "O8-901"
    pair[0].send(bytes(MAX_PACKET + 1))  # by somebody who does not know of memfds
    with pytest.raises(OperationFailed, match="was cut"):
        receive_packet(pair[1])
    os.close(null)
    assert open_descriptors() == before
    send_packet(pair[0], b"next")
    assert receive_packet(pair[1]) == (b"next", [])


def test_the_end_of_the_stream_is_empty(pair: Pair) -> None:
    pair[0].close()
    assert receive_packet(pair[1]) == (b"", [])


def test_descriptors_that_nobody_received_are_closed_with_the_socket(pair: Pair) -> None:
    reader, writer = os.pipe()
    send_packet(pair[0], b"x", [writer])
    os.close(writer)
    os.set_blocking(reader, False)
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    pair[1].close()
    assert os.read(reader, 1) == b""
    os.close(reader)
