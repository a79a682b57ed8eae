"""The shim's event loop."""

import os
import select
import socket
from collections.abc import Iterator

import pytest

from orchestr8.runtime.poller import ENDED, HANGUP, READ, WRITE, Poller


@pytest.fixture
def poller() -> Iterator[Poller]:
    poller = Poller()
    yield poller
    poller.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def pending(poller: Poller) -> bool:
    """Whether `wait` would return at once."""
    return bool(select.select([poller._epoll.fileno()], [], [], 0)[0])


Pair = tuple[socket.socket, socket.socket]


def test_a_callback_is_called_with_what_is_ready(poller: Poller, pair: Pair) -> None:
    ours, theirs = pair
    told: list[int] = []
    poller.watch(ours.fileno(), READ, told.append)
    assert not pending(poller)
    theirs.send(b"x")
    poller.wait()
    poller.wait()  # level-triggered: still there
    assert told == [READ, READ]
    ours.recv(10)
    assert not pending(poller)


def test_what_is_watched_for_can_change(poller: Poller, pair: Pair) -> None:
    ours, theirs = pair
    told: list[int] = []
    poller.watch(ours.fileno(), READ, told.append)
    poller.watch(ours.fileno(), WRITE, told.append)
    poller.wait()
    theirs.send(b"x")
    poller.watch(ours.fileno(), READ | WRITE, told.append)
    poller.wait()
    assert told == [WRITE, READ | WRITE]


def test_a_mask_of_zero_rests_even_when_the_other_side_is_gone(poller: Poller, pair: Pair) -> None:
    ours, theirs = pair
    poller.watch(ours.fileno(), READ, lambda _events: None)
    poller.watch(ours.fileno(), 0, lambda _events: None)
    poller.watch(ours.fileno(), 0, lambda _events: None)
    theirs.close()
    assert not pending(poller)
    told: list[int] = []
    poller.watch(ours.fileno(), READ, told.append)
    poller.wait()
    assert told == [READ | WRITE]


def test_a_hang_up_alone_can_be_watched_for(poller: Poller, pair: Pair) -> None:
    ours, theirs = pair
    told: list[int] = []
    poller.watch(ours.fileno(), HANGUP, told.append)
    theirs.send(b"x")
    theirs.shutdown(socket.SHUT_WR)
    assert not pending(poller), "neither data nor the end of the sending side alone"
    theirs.close()
    poller.wait()
    assert told == [READ | WRITE]


def test_what_is_forgotten_is_not_called_though_it_was_ready_in_the_same_round(poller: Poller) -> None:
    pipes = [os.pipe() for _ in range(2)]
    called: list[int] = []

    def forget_the_other(number: int) -> None:
        called.append(number)
        poller.forget(pipes[1 - number][0])

    for number, (reader, writer) in enumerate(pipes):
        poller.watch(reader, READ, lambda _events, number=number: forget_the_other(number))
        os.write(writer, b"x")
    poller.wait()
    assert len(called) == 1
    for fds in pipes:
        for fd in fds:
            os.close(fd)


def test_an_event_of_a_closed_file_does_not_reach_the_one_that_took_its_number(poller: Poller) -> None:
    """Both were ready in one round; the first callback closes the second file, and a new one gets its number."""
    pipes = [os.pipe() for _ in range(2)]
    told: list[str] = []
    fresh: list[tuple[int, int]] = []

    def replace(number: int) -> None:
        other = pipes[1 - number][0]
        poller.forget(other)
        os.close(other)
        fresh.append(os.pipe())
        assert fresh[0][0] == other, "the lowest free number is taken again"
        poller.watch(other, READ, lambda _events: told.append("nothing is ready here"))
        poller.forget(pipes[number][0])

    for number, (reader, writer) in enumerate(pipes):
        poller.watch(reader, READ, lambda _events, number=number: replace(number))
        os.write(writer, b"x")
    poller.wait()
    assert told == []
    os.write(fresh[0][1], b"x")
    poller.wait()
    assert told == ["nothing is ready here"], "from the next round on it is heard"
    poller.forget(fresh[0][0])
    for fd in {fd for fds in (*pipes, *fresh) for fd in fds}:
        os.close(fd)


def test_forgetting_what_is_not_watched_is_fine(poller: Poller, pair: Pair) -> None:
    poller.forget(pair[0].fileno())
    poller.watch(pair[0].fileno(), 0, lambda _events: None)
    poller.forget(pair[0].fileno())


def test_the_end_of_a_process_is_told_once_until_it_changes(poller: Poller) -> None:
    """Level-triggered, a process that has ended and is not waited for would be told without end."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    pidfd = os.pidfd_open(child)
    told: list[int] = []
    poller.watch(pidfd, ENDED, told.append)
    assert poller.wait(10)
    assert not poller.wait(0.01)
    assert told == [READ]
    poller.forget(pidfd)
    os.close(pidfd)
    os.waitpid(child, 0)
