"""What a cradle that is made beside another start waits for; those that are real are in `tests/system`."""

import socket
import threading
from collections.abc import Iterator

import pytest

from orchestr8.runtime.cradle import UnderWay

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pairs() -> Iterator[tuple[Pair, Pair]]:
    """The start's, and the order's: each with the end that the cradle has first."""
    start, order = (socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2))
    with start[0], start[1], order[0], order[1]:
        yield start, order


def test_it_waits_for_the_end_of_the_start(pairs: tuple[Pair, Pair]) -> None:
    (shim, its), (order, _) = pairs
    start = UnderWay(shim, 0)
    assert not start.is_over()
    its.send(b"0")
    assert not start.is_over(), "what the shim says is no end"
    waiting = threading.Thread(target=start.wait_unless, args=(order,), daemon=True)
    waiting.start()
    its.close()
    waiting.join()
    assert start.is_over()
    assert start.wait_unless(order)


def test_an_order_is_not_kept_waiting(pairs: tuple[Pair, Pair]) -> None:
    (shim, _), (order, forkserver) = pairs
    start = UnderWay(shim, 0)
    waiting = threading.Thread(target=start.wait_unless, args=(order,), daemon=True)
    waiting.start()
    forkserver.send(b"Spawn")
    waiting.join()
    assert not start.is_over()
    assert not start.wait_unless(order)
    assert order.recv(5) == b"Spawn"


def test_with_its_shim_it_ends(pairs: tuple[Pair, Pair]) -> None:
    (shim, _), (order, forkserver) = pairs
    forkserver.close()
    UnderWay(shim, 0).wait_unless(order)
    assert order.recv(5) == b""
