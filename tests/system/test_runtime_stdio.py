"""A program's stdin, stdout and stderr: the log, clients that come, go, or do not read, and terminals."""

import contextlib
import hashlib
import os

import pytest

from orchestr8.errors import OperationFailed
from orchestr8.model.specs import LogSpec
from orchestr8.runtime.logs import LogReader
from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.processes import alive, children_of, sockets_of, status_of
from tests.system.runtime_fixtures import Box, Client, Runtime, eventually

pytestmark = [pytest.mark.system, pytest.mark.anyio, requires("root", "overlayfs"), needs_busybox]

BIG = 20_000_000


def read_log(box: Box) -> dict[int, bytes]:
    """Both streams as the engine's reader has them."""
    reader = LogReader(box.log_path)
    found = {1: b"", 2: b""}
    while (batches := reader.read()) is not None:
        for batch in batches:
            found[batch.stream] += batch.data
    for batch in reader.finish():
        found[batch.stream] += batch.data
    reader.close()
    return found


async def finish(box: Box, client: Client) -> int:
    await client.until_end()
    return await box.wait()


async def test_a_client_sees_the_same_as_the_log_in_dockers_frames(runtime: Runtime) -> None:
    box = await runtime.create("sh", "-c", "echo out; echo err >&2; printf tail")
    client = await box.attach()
    await box.start()
    assert await finish(box, client) == 0
    assert (bytes(client.stdout), bytes(client.stderr)) == (b"out\ntail", b"err\n")
    assert read_log(box) == {1: b"out\ntail", 2: b"err\n"}


async def test_what_a_program_wrote_before_it_died_is_never_lost(runtime: Runtime) -> None:
    """Thirty times, since it is a race between the last output and the end."""
    box = await runtime.create(
        "sh", "-c", "echo first; head -c 70000 /dev/zero | tr '\\0' x; echo last >&2; kill -9 $$"
    )
    descriptors: set[int] = set()
    for run in range(1, 31):
        client = await box.attach()
        await box.start()
        await client.until_end()
        assert await box.wait(run=run) == 137
        assert (len(client.stdout), bytes(client.stderr)) == (70006, b"last\n"), f"run {run}"
        descriptors.add(len(os.listdir(f"/proc/{box.shim_pid}/fd")))
    assert len(descriptors) == 1, "nothing is left open from run to run"
    assert len(read_log(box)[1]) == 30 * 70006


async def test_binary_output_round_trips_through_the_log(runtime: Runtime) -> None:
    data = os.urandom(300_000)
    box = await runtime.create("cat", stdin_open=True)
    client = await box.attach(stdin=True)
    await box.start()
    client.socket.settimeout(5)
    for begin in range(0, len(data), 1000):
        client.socket.sendall(data[begin : begin + 1000])
        client.read()
    client.socket.shutdown(1)
    assert await finish(box, client) == 0
    assert bytes(client.stdout) == data
    assert read_log(box)[1] == data


async def test_the_log_rotates_and_keeps_three_files(runtime: Runtime) -> None:
    box = await runtime.run("sh", "-c", "yes 0123456789012345678901234567890123456789 | head -n 700000")
    assert await box.wait() == 0
    wanted = ["current.log", "current.log.1.gz", "current.log.2.gz"]
    await eventually(lambda: sorted(os.listdir(f"{box.bundle}/log")) == wanted, "rotated and compressed files")
    assert 0 < os.path.getsize(box.log_path) < (10 << 20) + (1 << 19)
    assert all(0 < os.path.getsize(f"{box.bundle}/log/{name}") < 1 << 20 for name in wanted[1:])
    assert 20 << 20 < len(b"".join(read_log(box).values())) * 81 / 41 < 31 << 20
    assert read_log(box)[1].endswith(b"0123456789012345678901234567890123456789\n")


async def test_a_client_that_does_not_read_holds_the_program_up_and_loses_nothing(runtime: Runtime) -> None:
    script = f"yes | head -c {BIG}; echo done >&2"
    box = await runtime.create("sh", "-c", script, logging=LogSpec(compress=False))
    client = await box.attach()
    await box.start()
    sizes: list[int] = []

    def stuck() -> bool:
        sizes.append(sum(os.path.getsize(f"{box.bundle}/log/{name}") for name in os.listdir(f"{box.bundle}/log")))
        return len(sizes) > 20 and len(set(sizes[-20:])) == 1

    await eventually(stuck, "the program to be held up")
    assert sizes[-1] < 41 * BIG / 4
    assert box.exits == []
    rss = int(status_of(box.shim_pid)["RssAnon"].split()[0])
    assert rss < 40_000, "the shim does not hold in memory what the client does not take"
    assert await finish(box, client) == 0
    assert len(client.stdout) == BIG
    assert client.stderr == b"done\n"


async def test_a_client_that_leaves_does_not_matter(runtime: Runtime) -> None:
    box = await runtime.create("sh", "-c", f"yes | head -c {BIG // 4}; echo done >&2; sleep 1000")
    slow, gone = await box.attach(), await box.attach()
    await box.start()
    gone.close()
    slow.close()
    await box.until_log("done", stream="stderr")
    assert read_log(box)[2] == b"done\n"


async def test_a_client_that_leaves_a_silent_program_is_noticed(runtime: Runtime) -> None:
    """Sockets are counted: other descriptors come and go when the shim rests."""
    box = await runtime.run("sleep", "1000", stdin_open=True)
    await eventually(lambda: children_of(box.shim_pid) == [box.pid], "the end of what it was born in")
    await box.status()  # which it answers when all of the start is done: it has told the forkserver, too
    before = sockets_of(box.shim_pid)
    clients = [await box.attach(stdin=number % 2 == 0) for number in range(10)]
    assert sockets_of(box.shim_pid) == before + 10
    for client in clients:
        client.close()
    await eventually(lambda: sockets_of(box.shim_pid) == before, "their sockets to be closed")


async def test_a_client_gets_everything_though_the_shim_is_told_to_end(runtime: Runtime) -> None:
    box = await runtime.create("sh", "-c", "yes | head -c 600000; echo done >&2")
    client = await box.attach()
    await box.start()
    pid = box.shim_pid
    await client.until(lambda each: len(each.stdout) > 100_000)
    assert await box.wait() == 0
    box.shim.release()
    await box.lost.wait()
    assert not os.path.exists(box.order.socket)
    assert alive(pid)
    await client.until_end()
    assert (len(client.stdout), bytes(client.stderr)) == (600_000, b"done\n")
    await eventually(lambda: not alive(pid), "the end of the shim")


async def test_stdin_ends_where_the_client_half_closes(runtime: Runtime) -> None:
    box = await runtime.create("sh", "-c", "cat | md5sum; echo $?", stdin_open=True)
    client = await box.attach(stdin=True, early="ZWFybHk=")
    data = os.urandom(100_000)
    client.socket.settimeout(5)
    client.socket.sendall(data)
    await box.start()
    client.socket.sendall(data)
    client.socket.shutdown(1)
    assert await finish(box, client) == 0
    digest = hashlib.md5(b"early" + data + data).hexdigest()
    assert bytes(client.stdout) == f"{digest}  -\n0\n".encode()


async def test_stdin_stays_open_until_a_client_comes(runtime: Runtime) -> None:
    box = await runtime.run("cat", stdin_open=True)
    client = await box.attach(stdin=True)
    client.socket.sendall(b"hello\n")
    await client.until_text(b"hello\n")
    client.socket.shutdown(1)
    assert await box.wait() == 0


async def test_a_program_that_reads_slowly_holds_its_client_up(runtime: Runtime) -> None:
    box = await runtime.create("sh", "-c", "sleep 1000", stdin_open=True)
    client = await box.attach(stdin=True)
    await box.start()
    client.socket.setblocking(False)
    sent = 0
    with pytest.raises(BlockingIOError):
        while sent < 50_000_000:
            sent += client.socket.send(bytes(65536))
    assert sent < 5_000_000


async def test_without_stdin_there_is_nothing_to_read_and_nobody_hangs(runtime: Runtime) -> None:
    box = await runtime.create("sh", "-c", "cat; echo end")
    client = await box.attach(stdin=True)
    client.socket.sendall(b"nobody reads this")
    await box.start()
    assert await finish(box, client) == 0
    assert bytes(client.stdout) == b"end\n"


def terminals_of(pid: int) -> int:
    """How many descriptors of terminals' masters a process has."""
    found = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found += "ptmx" in os.readlink(f"/proc/{pid}/fd/{fd}")
    return found


async def test_two_clients_type_and_one_of_them_leaves(runtime: Runtime) -> None:
    box = await runtime.run("sh", tty=True, stdin_open=True)
    first, second = await box.attach(stdin=True), await box.attach(stdin=True)
    first.socket.sendall(b"echo from-$((1+0))\n")
    await second.until_text(b"from-1")
    before = terminals_of(box.shim_pid)
    first.close()
    await eventually(lambda: terminals_of(box.shim_pid) == before - 1, "its descriptor to be closed")
    second.socket.sendall(b"echo from-$((1+1)); exit 3\n")
    await second.until_text(b"from-2")
    assert await box.wait() == 3


async def test_a_client_of_one_run_gets_nothing_of_the_next(runtime: Runtime) -> None:
    box = await runtime.create("sh", "-c", "yes | head -c 600000")
    client = await box.attach()
    await box.start()
    await client.until(lambda each: len(each.stdout) > 100_000)
    assert await box.wait() == 0
    await box.start()  # while the client still has to read
    assert await box.wait(run=2) == 0
    await client.until_end()
    assert len(client.stdout) == 600_000


# --- terminals ---------------------------------------------------------------------------------------------------------


async def test_a_terminal_is_the_programs_controlling_terminal(runtime: Runtime) -> None:
    box = await runtime.create(
        "sh", "-c", "tty; tty < /dev/tty; test -c /dev/console && echo console; sleep 1000; echo no", tty=True
    )
    client = await box.attach(stdin=True)
    await box.start()
    await client.until_text(b"console\r\n")
    assert bytes(client.stdout) == b"/dev/pts/0\r\n/dev/tty\r\nconsole\r\n"
    assert read_log(box)[1] == bytes(client.stdout)
    client.socket.sendall(b"\x03")
    assert await box.wait() == 130
    assert await client.until_end() == b"/dev/pts/0\r\n/dev/tty\r\nconsole\r\n^C"


async def test_a_terminal_is_resized_and_tells_its_program(runtime: Runtime) -> None:
    script = "trap 'stty size' WINCH; echo ready; while :; do sleep 1000 & wait; done"
    box = await runtime.create("sh", "-c", script, tty=True)
    client = await box.attach()
    await box.start()
    await client.until_text(b"ready")
    await box.shim.resize(31, 97)
    await client.until_text(b"31 97\r\n")
    plain = await runtime.run("sleep", "1000")
    with pytest.raises(OperationFailed, match="there is no such terminal"):
        await plain.shim.resize(1, 1)


async def test_a_program_begins_with_the_size_that_its_terminal_was_given_before(runtime: Runtime) -> None:
    box = await runtime.create("stty", "size", tty=True)
    client = await box.attach()
    await box.shim.resize(31, 97)
    await box.start()
    assert await client.until_end() == b"31 97\r\n"


async def test_a_terminal_belongs_to_the_user(runtime: Runtime) -> None:
    box = await runtime.create(
        "sh", "-c", "stat -c %u:%g $(tty); echo written > /dev/pts/0; exit 4", tty=True, user="app"
    )
    client = await box.attach()
    await box.start()
    assert await finish(box, client) == 4
    assert bytes(client.stdout) == b"1000:5\r\nwritten\r\n"


@pytest.mark.parametrize("init", [True, False])
async def test_a_terminal_outlives_a_program_that_closes_it_for_a_moment(runtime: Runtime, init: bool) -> None:
    """As an init with its gettys does: no process has it open in between."""
    script = (
        "exec </dev/null >/dev/null 2>&1; usleep 50000; exec </dev/console >/dev/console; echo back; read x; echo $x"
    )
    box = await runtime.create("sh", "-c", f"echo first; {script}", tty=True, init=init)
    client = await box.attach(stdin=True)
    await box.start()
    await client.until_text(b"back\r\n")
    await box.shim.resize(20, 30)
    client.socket.sendall(b"typed\n")
    await client.until_text(b"typed\r\ntyped\r\n")
    assert await box.wait() == 0


async def test_the_last_words_on_a_terminal_are_never_lost(runtime: Runtime) -> None:
    box = await runtime.create("sh", "-c", "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done", tty=True)
    descriptors: set[int] = set()
    for run in range(1, 21):
        client = await box.attach()
        await box.start()
        await client.until_end()
        assert client.stdout.endswith(b"line 299\r\n"), f"run {run}"
        assert client.stdout.count(b"line") == 300
        assert await box.wait(run=run) == 0
        descriptors.add(len(os.listdir(f"/proc/{box.shim_pid}/fd")))
    assert len(descriptors) == 1


async def test_input_before_the_start_reaches_a_terminal(runtime: Runtime) -> None:
    box = await runtime.create("sh", "-c", "read x; echo got $x", tty=True)
    client = await box.attach(stdin=True, early="aGVs")
    client.socket.sendall(b"lo\n")
    await box.start()
    await client.until_text(b"got hello")
    assert await box.wait() == 0


async def test_the_shims_memory_does_not_grow_with_execs_and_clients(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")

    async def use(times: int) -> int:
        for _ in range(times):
            running = await box.exec("true")
            assert await running.wait() == 0
            running.client.close()
            client = await box.attach()
            client.close()
            box.clients.clear()
        return int(status_of(box.shim_pid)["RssAnon"].split()[0])

    await use(50)
    before = await use(50)
    assert await use(150) < before + 150, "KiB"
