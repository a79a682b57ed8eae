"""The engine's side of the forkserver, against forkservers that the tests play."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from orchestr8.errors import Unavailable
from orchestr8.kernel import sockets
from orchestr8.runtime import messages
from orchestr8.runtime.forkserver_client import ForkserverClient
from orchestr8.runtime.messages import Message

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Process:
    """As much of Popen as the client uses."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.waited = 0

    def wait(self) -> int:
        self.waited += 1
        return 0


class Forkservers:
    """Starts them on demand, and keeps the other sides."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self.processes: list[Process] = []
        self.failing = 0

    def start(self) -> tuple[socket.socket, Any]:
        if self.failing:
            self.failing -= 1
            raise OSError(12, "Cannot allocate memory")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.settimeout(5)
        self.sockets.append(theirs)
        self.processes.append(Process(100 + len(self.processes)))
        return ours, self.processes[-1]

    def receive(self, index: int = -1) -> tuple[Message, list[int]]:
        packet, fds = sockets.receive_packet(self.sockets[index])
        return messages.decode(packet), fds

    def order(self) -> Message:
        """The next one, without its descriptors."""
        message, fds = self.receive()
        sockets.close_all(fds)
        return message


@pytest.fixture
def forkservers() -> Iterator[Forkservers]:
    made = Forkservers()
    yield made
    for each in made.sockets:
        each.close()


CONFIGURE = messages.decode(messages.encode(messages.Configure(cgroup_files=["/sys/a/tasks"])))
assert isinstance(CONFIGURE, messages.Configure)


async def test_it_is_configured_first_and_its_engine_travels_as_a_file(forkservers: Forkservers) -> None:
    engine = (["/usr/bin/python3", "-m", "x"], {"PASSWORD": "secret"})
    client = ForkserverClient(forkservers.start, CONFIGURE, engine=engine)
    await client.start()
    message, (launch,) = forkservers.receive()
    assert message == CONFIGURE
    assert "secret" not in repr(message)
    assert json.loads(os.pread(launch, 10_000, 0)) == {"argv": engine[0], "environment": engine[1]}
    os.close(launch)
    assert client.pid == 100
    await client.close()
    assert forkservers.order() == messages.Shutdown()
    assert forkservers.processes[0].waited == 1


async def test_without_an_engine_to_start_again_there_is_no_file(forkservers: Forkservers) -> None:
    client = ForkserverClient(forkservers.start, CONFIGURE)
    await client.start()
    assert forkservers.receive() == (CONFIGURE, [])
    await client.close()


async def test_many_at_once_start_one(forkservers: Forkservers) -> None:
    client = ForkserverClient(forkservers.start, CONFIGURE)
    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(client.spawn, messages.Spawn(container=str(number)), 0)
    assert len(forkservers.sockets) == 1
    forkservers.order()
    assert {forkservers.order().container for _ in range(10)} == {str(number) for number in range(10)}
    await client.close()


async def test_more_orders_than_the_socket_holds_wait_for_their_turn(forkservers: Forkservers) -> None:
    client = ForkserverClient(forkservers.start, CONFIGURE)
    await client.start()
    forkservers.order()
    found: list[str] = []
    async with anyio.create_task_group() as tasks:
        for number in range(300):
            tasks.start_soon(client.spawn, messages.Spawn(container=str(number), bundle="x" * 4000), 0)
        while len(found) < 300:
            await anyio.sleep(0)
            forkservers.sockets[0].setblocking(False)
            try:
                found.append(forkservers.order().container)
            except BlockingIOError:
                continue
    assert found == [str(number) for number in range(300)]
    await client.close()


async def test_one_that_died_is_replaced_for_the_next_order(forkservers: Forkservers) -> None:
    client = ForkserverClient(forkservers.start, CONFIGURE)
    await client.start()
    forkservers.sockets[0].close()  # noticed or not
    await client.spawn(messages.Spawn(container="x"), 0)
    assert client.pid == 101
    assert forkservers.order() == CONFIGURE
    assert forkservers.order().container == "x"
    assert forkservers.processes[0].waited == 1
    await client.close()


async def test_an_order_that_the_kernel_refuses_is_no_reason_to_start_another(forkservers: Forkservers) -> None:
    client = ForkserverClient(forkservers.start, CONFIGURE)
    await client.start()
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with pytest.raises(Unavailable, match="Bad file descriptor"):
        await client.spawn(messages.Spawn(), writer)
    assert len(forkservers.sockets) == 1
    assert forkservers.processes[0].waited == 0
    await client.spawn(messages.Spawn(container="next"), 0)
    await client.close()


async def test_it_is_kept_running(forkservers: Forkservers, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    sleep = anyio.sleep

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr("orchestr8.runtime.forkserver_client.anyio.sleep", note)
    client = ForkserverClient(forkservers.start, CONFIGURE)
    await client.start()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.keep_running)
        await sleep(0)
        forkservers.failing = 2
        forkservers.sockets[0].close()
        with anyio.fail_after(5):
            while client.pid != 101:
                await sleep(0)
        tasks.cancel_scope.cancel()
    assert pauses == [0.1, 0.2, 0.4], "later and later while it does not work"
    await client.close()


async def test_one_that_is_already_dead_can_be_closed(forkservers: Forkservers) -> None:
    client = ForkserverClient(forkservers.start, CONFIGURE)
    await client.start()
    forkservers.sockets[0].close()
    await client.close()
    await client.close()


async def test_after_the_end_none_is_started_any_more(forkservers: Forkservers) -> None:
    """Its engine would be a second one, for nobody has told it to end."""
    client = ForkserverClient(forkservers.start, CONFIGURE)
    await client.close()
    for use in (client.start, lambda: client.spawn(messages.Spawn(), 0)):
        with pytest.raises(Unavailable, match="the engine ends"):
            await use()
    assert forkservers.sockets == []


async def test_one_that_is_being_started_when_the_end_comes_is_told_to_end(forkservers: Forkservers) -> None:
    begun, goes_on = threading.Event(), threading.Event()

    def start() -> tuple[socket.socket, Any]:
        begun.set()
        assert goes_on.wait(5)
        return forkservers.start()

    client = ForkserverClient(start, CONFIGURE)
    failed: list[Unavailable] = []

    async def begin() -> None:
        try:
            await client.start()
        except Unavailable as error:
            failed.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(begin)
        await anyio.to_thread.run_sync(begun.wait, 5)
        await client.close()
        goes_on.set()
    assert len(failed) == 1
    assert client.pid == 0
    assert forkservers.order() == messages.Shutdown()
    assert forkservers.processes[0].waited == 1
