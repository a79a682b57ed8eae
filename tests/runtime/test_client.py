"""The engine's side of the runtime's sockets, against peers that the tests play: orderly ones, dead ones, odd ones."""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import anyio
import pytest

from orchestr8.errors import OperationFailed, Unavailable
from orchestr8.kernel import sockets
from orchestr8.runtime import messages
from orchestr8.runtime.client import ShimClient, process_start_ticks, read_state
from orchestr8.runtime.messages import Message

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Shim:
    """The other side of a ShimClient, and who listens to it."""

    def __init__(self) -> None:
        self.ours, self.socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.setblocking(False)
        self.told: list[str] = []

    def on_started(self, started: messages.Started) -> None:
        self.told.append(f"started {started.pid}")

    def on_status(self, status: messages.Status) -> None:
        self.told.append(f"status {status.state}")

    def on_execs(self, pids: Mapping[str, int], codes: Mapping[str, int]) -> None:
        self.told.append(f"execs {pids} {codes}")

    def on_exit(self, exited: messages.Exited) -> None:
        self.told.append(f"exited {exited.exit_code}")

    def on_out_of_memory(self) -> None:
        self.told.append("out of memory")

    def on_execs_used(self, read_bytes: int, written_bytes: int) -> None:
        self.execs_used = read_bytes, written_bytes

    def on_log_trouble(self, trouble: messages.LogTrouble) -> None:
        self.told.append(f"log {trouble.reason} {trouble.lost_bytes}")

    def on_lost(self) -> None:
        self.told.append("lost")

    async def receive(self) -> tuple[Message, list[int]]:
        with anyio.fail_after(5):
            await anyio.wait_readable(self.socket)
        packet, fds = sockets.receive_packet(self.socket)
        return messages.decode(packet), fds

    def send(self, message: Message, fds: list[int] | None = None) -> None:
        sockets.send_packet(self.socket, messages.encode(message), fds or [])


@pytest.fixture
def shim() -> Iterator[Shim]:
    shim = Shim()
    yield shim
    shim.socket.close()
    shim.ours.close()


async def until(look: Callable[[], Any]) -> None:
    with anyio.fail_after(5):
        while not look():
            await anyio.sleep(0)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# --- a shim ------------------------------------------------------------------------------------------------------------


async def test_answers_find_their_requests_in_any_order(shim: Shim) -> None:
    client = ShimClient(shim.ours, shim)
    order: list[str] = []

    async def signal(name: str, number: int) -> None:
        await client.signal(number)
        order.append(name)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(signal, "first", 1)
        first, _ = await shim.receive()
        tasks.start_soon(signal, "second", 2)
        second, _ = await shim.receive()
        assert [first, second] == [messages.Signal(request=1, signal=1), messages.Signal(request=2, signal=2)]
        shim.send(messages.Done(request=2))
        await until(lambda: order)
        shim.send(messages.Done(request=1))
    assert order == ["second", "first"]
    client.close()


@pytest.mark.parametrize(("exit_code", "code"), [(126, "O8-626"), (127, "O8-627"), (128, "O8-601"), (1, "O8-601")])
async def test_a_failure_is_an_error_whose_code_says_what_a_shell_would(shim: Shim, exit_code: int, code: str) -> None:
    client = ShimClient(shim.ours, shim)
    shim.send(messages.Failed(request=1, text="cannot execute x", exit_code=exit_code))
    with pytest.raises(OperationFailed, match="cannot execute x") as caught:
        await client.start()
    assert caught.value.code == code
    client.close()


@pytest.mark.parametrize(
    ("why", "helps"),
    [
        ("syslog-tls-ca-cert: /none: No such file or directory", "give the path of a file that is there"),
        ("certificate verify failed: self-signed certificate", "`syslog-tls-ca-cert` names a file"),
        ("Connection refused", "start it first"),
    ],
)
async def test_a_receiver_that_cannot_be_reached_has_the_help_for_what_is_wrong(
    shim: Shim, why: str, helps: str
) -> None:
    client = ShimClient(shim.ours, shim)
    text = f"the receiver of its log, syslog tcp+tls://x, cannot be reached: {why}"
    shim.send(messages.Failed(request=1, text=text, exit_code=128, code="O8-631"))
    with pytest.raises(OperationFailed) as caught:
        await client.start()
    (said,) = caught.value.helps
    assert (caught.value.code, said.startswith(helps)) == ("O8-631", True)
    client.close()


async def test_news_come_in_the_order_in_which_they_were_sent(shim: Shim) -> None:
    """A program that ends at once: started, then exited, though nobody has taken the answer yet."""
    client = ShimClient(shim.ours, shim)
    shim.send(messages.Started(request=1, pid=5))
    shim.send(messages.LogTrouble(reason="no room", lost_bytes=7))
    shim.send(messages.Exited(exit_code=3))
    assert (await client.start()).pid == 5
    await until(lambda: len(shim.told) == 3)
    assert shim.told == ["started 5", "log no room 7", "exited 3"]
    client.close()


async def test_a_query_brings_descriptors_that_are_the_callers(shim: Shim) -> None:
    client = ShimClient(shim.ours, shim)
    reader, writer = os.pipe()
    shim.send(messages.Status(request=1, state="running"), [reader, writer])
    status, fds = await client.query()
    assert status.state == "running"
    assert [os.fstat(fd).st_ino for fd in fds] == [os.fstat(fd).st_ino for fd in (reader, writer)]
    sockets.close_all([reader, writer, *fds])
    client.close()


async def test_a_shim_that_dies_ends_every_request_and_says_so_once(shim: Shim) -> None:
    client = ShimClient(shim.ours, shim)
    failures: list[str] = []

    async def start() -> None:
        try:
            await client.start()
        except Unavailable as error:
            failures.append(error.message)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(start)
            await shim.receive()
        shim.socket.close()
    assert failures == ["the process behind this container died"] * 3
    assert shim.told == ["lost"]
    assert not client.open
    with pytest.raises(Unavailable, match="cannot reach the process behind this container"):
        await client.signal(9)
    client.release()
    client.close()
    assert shim.told == ["lost"]


async def test_letting_go_of_a_shim_ends_requests_and_is_no_loss(shim: Shim) -> None:
    client = ShimClient(shim.ours, shim)

    async def start() -> None:
        with pytest.raises(Unavailable):
            await client.start()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(start)
        await shim.receive()
        client.close()
    assert shim.told == []


async def test_an_answer_to_a_request_that_was_given_up_leaks_no_descriptor(shim: Shim) -> None:
    client = ShimClient(shim.ours, shim)
    before = open_descriptors()
    with anyio.move_on_after(0.01):
        await client.query()
    reader, writer = os.pipe()
    shim.send(messages.Status(request=1), [reader, writer])
    sockets.close_all([reader, writer])
    await until(lambda: shim.told)
    assert open_descriptors() == before
    client.close()


async def test_an_answer_that_comes_while_its_request_is_being_cancelled_leaks_none_either(shim: Shim) -> None:
    client = ShimClient(shim.ours, shim)
    before = open_descriptors()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.query)
        await shim.receive()
        pending = client._pending[1]
        reader, writer = os.pipe()
        shim.send(messages.Status(request=1), [reader, writer])
        sockets.close_all([reader, writer])
        tasks.cancel_scope.cancel()
        client._channel._readable()  # the answer is there, and the task has not run yet
        assert pending.fds
    assert open_descriptors() == before
    client.close()


async def test_what_a_newer_shim_says_is_not_understood_and_does_no_harm(shim: Shim) -> None:
    client = ShimClient(shim.ours, shim)
    null = os.open("/dev/null", os.O_RDONLY)
    before = open_descriptors()
    sockets.send_packet(shim.socket, b'Invented {"v": 2}', [null])
    sockets.send_packet(shim.socket, b"rubbish")
    shim.send(messages.Done(request=99))
    shim.send(messages.Started(request=1, pid=7))
    assert (await client.start()).pid == 7
    assert open_descriptors() == before
    os.close(null)
    client.close()


async def test_an_execs_end_is_told_before_and_after_somebody_asks(shim: Shim) -> None:
    client = ShimClient(shim.ours, shim)
    for exec_id, code in (("early", 3), ("late", 4)):
        shim.send(messages.ExecStarted(request=1 if exec_id == "early" else 2, exec=exec_id, pid=9))
        reader, writer = os.pipe()
        assert await client.exec(messages.Exec(exec=exec_id, argv=["x"]), writer) == 9
        order, fds = await shim.receive()
        assert order.exec == exec_id
        sockets.close_all([*fds, reader, writer])
        if exec_id == "early":
            shim.send(messages.ExecExited(exec=exec_id, exit_code=code))
            await until(lambda: client._exec_codes)
            assert await client.exec_ended(exec_id) == code
        else:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.exec_ended, exec_id)
                await anyio.sleep(0)
                shim.send(messages.ExecExited(exec=exec_id, exit_code=code))
    assert client._execs == client._exec_codes == {}
    client.close()


async def test_execs_of_a_former_engine_can_be_waited_for(shim: Shim) -> None:
    client = ShimClient(shim.ours, shim)
    shim.send(messages.Execs(running={"a": 7}, ended={"b": 4}))
    shim.send(messages.Status(request=1, state="running"))
    await client.query()
    assert shim.told == ["execs {'a': 7} {'b': 4}", "status running"]
    shim.send(messages.ExecExited(exec="unknown", exit_code=1))
    shim.send(messages.ExecExited(exec="a", exit_code=5))
    assert await client.exec_ended("a") == 5
    assert client._execs == client._exec_codes == {}
    client.close()


async def test_an_exec_ends_with_its_shim(shim: Shim) -> None:
    client = ShimClient(shim.ours, shim)
    shim.send(messages.ExecStarted(request=1, exec="x", pid=9))
    with open(os.devnull, "rb") as stream:  # not the socket itself, which would be kept open by what lies in it
        assert await client.exec(messages.Exec(exec="x"), stream.fileno()) == 9
    shim.socket.close()
    assert await client.exec_ended("x") == 137


async def test_an_exec_that_fails_is_forgotten(shim: Shim) -> None:
    client = ShimClient(shim.ours, shim)
    shim.send(messages.Failed(request=1, text="no", exit_code=127))
    with pytest.raises(OperationFailed):
        await client.exec(messages.Exec(exec="x"), shim.socket.fileno())
    assert client._execs == {}
    client.close()


async def test_nobody_listens_at_a_name_that_is_not_there(shim: Shim, tmp_path: Any) -> None:
    before = open_descriptors()
    with pytest.raises(FileNotFoundError):
        ShimClient.connect(str(tmp_path / "none"), shim)
    assert open_descriptors() == before


# --- what is left of a shim ----------------------------------------------------------------------------------------------


def test_a_process_is_named_by_its_start(tmp_path: Any) -> None:
    assert process_start_ticks(os.getpid()) > 0
    assert process_start_ticks(2**22 + 1) == 0


def test_the_last_state_is_read_or_empty(tmp_path: Any) -> None:
    assert read_state(str(tmp_path)) == {}
    (tmp_path / "state.json").write_text('{"state": "exited"}')
    assert read_state(str(tmp_path)) == {"state": "exited"}
