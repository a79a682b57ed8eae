"""Who ends with whom, and who goes on: shims with and without engines, by their named sockets, and forkservers that start engines."""

import contextlib
import itertools
import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path

import anyio
import pytest

from orchestr8.errors import Unavailable
from orchestr8.kernel import sockets
from orchestr8.runtime import messages
from orchestr8.runtime.forkserver_client import ForkserverClient
from orchestr8.runtime.sealed import start_forkserver
from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.processes import alive, children_of, status_of
from tests.system.runtime_fixtures import PACKAGE_PARENT, Runtime, eventually, spare

pytestmark = [pytest.mark.system, pytest.mark.anyio, requires("root", "overlayfs"), needs_busybox]

FAKE_ENGINE = f"""
import json, os, socket, sys
sys.path.append({PACKAGE_PARENT!r})
from orchestr8.kernel import sockets
from orchestr8.runtime import messages
told, flag, number = sys.argv[1:]
fds = sorted(int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + fd))
ignored = [line for line in open("/proc/self/status") if line.startswith(("SigIgn", "SigBlk"))]
text = json.dumps({{"flag": flag, "fds": fds, "own": int(number), "environment": dict(os.environ), "signals": ignored,
                   "session": os.getsid(0) == os.getpid(), "pid": os.getpid()}})
with open(told + ".new", "w") as file:
    file.write(text)
os.rename(told + ".new", told)
forkserver = socket.socket(fileno=int(number))
if os.environ["LIFE"] == "short":
    os._exit(1)
sockets.send_packet(forkserver, messages.encode(messages.Shutdown()))
"""


def cpu_ticks(pid: int) -> int:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return sum(map(int, file.read().rpartition(")")[2].split()[11:13]))


async def test_a_shim_without_a_free_descriptor_lets_an_engine_wait_and_goes_on(runtime: Runtime) -> None:
    box = await runtime.run("cat", stdin_open=True)
    talker = await box.attach(stdin=True)
    used = {int(name) for name in os.listdir(f"/proc/{box.shim_pid}/fd")}
    free = next(number for number in itertools.count() if number not in used)
    _, hard = resource.prlimit(box.shim_pid, resource.RLIMIT_NOFILE)
    resource.prlimit(box.shim_pid, resource.RLIMIT_NOFILE, (free, hard))
    later = box.connect()
    ticks = cpu_ticks(box.shim_pid)
    talker.socket.sendall(b"still here\n")
    await talker.until_text(b"still here\n")
    assert len(os.listdir(f"/proc/{box.shim_pid}/fd")) == len(used)
    assert cpu_ticks(box.shim_pid) - ticks < 20, "it spins"
    resource.prlimit(box.shim_pid, resource.RLIMIT_NOFILE, (hard, hard))
    assert (await later.status()).state == "running"


async def test_a_second_engine_adopts_a_shim_by_its_name(runtime: Runtime) -> None:
    kept = socket.socket()
    with kept:
        box = await runtime.run("sh", "-c", "read x < /dev/zero | sleep 1000", kept=[kept.fileno()])
        second = box.connect()
        status, fds = await second.shim.query()
        try:
            assert status.protocol == messages.PROTOCOL == 2
            assert (status.container, status.state, status.pid) == (box.id, "running", box.pid)
            assert status.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            assert (status.shim_pid, status.runs) == (box.shim_pid, 1)
            # As Spawn brought them: the network namespace, then what is merely kept.
            network, socket_kept = fds
            assert os.fstat(network).st_ino == os.stat(f"/proc/{box.pid}/ns/net").st_ino
            assert os.fstat(socket_kept).st_ino == os.fstat(kept.fileno()).st_ino
        finally:
            sockets.close_all(fds)
    assert box.state() == {**status.__dict__, "request": box.state()["request"]}
    await second.shim.signal(signal.SIGKILL)
    assert await second.wait() == await box.wait() == 137


async def test_a_shim_goes_on_without_any_engine_and_tells_the_next_one(runtime: Runtime) -> None:
    box = await runtime.run(
        "sh", "-c", "i=0; while [ $i -lt 50 ]; do i=$((i+1)); echo line $i; done; sleep 0.1; exit 7"
    )
    box.shim.close()
    await eventually(lambda: box.state().get("exit_code") == 7, "the exit in state.json")
    assert box.log() == "".join(f"line {number + 1}\n" for number in range(50))
    later = box.connect()
    status = await later.status()
    assert (status.state, status.exit_code, status.pid, status.runs) == ("exited", 7, 0, 1)
    assert 0 < status.started_at < status.finished_at
    await later.start()
    assert await later.wait() == 7
    later.shim.release()
    await later.lost.wait()


async def test_a_shim_that_has_run_nothing_ends_with_its_engine(runtime: Runtime) -> None:
    box = await runtime.create("sleep", "1000")
    pid = (await box.status()).shim_pid
    assert os.path.exists(box.order.socket)
    box.shim.close()
    await eventually(lambda: not alive(pid), "the end of the shim")
    assert not os.path.exists(box.order.socket)


async def test_a_message_that_a_shim_does_not_know_is_answered_and_harms_nothing(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
        stranger.connect(box.order.socket)
        for packet in (
            b'Invented {"request": 5}',
            b"rubbish",
            b'Signal {"request": 5, "signal": "x"}',
            b'Attach {"request": 5}',
        ):
            stranger.send(packet)
            answer = messages.decode(sockets.receive_packet(stranger)[0])
            assert isinstance(answer, messages.Failed)
            assert answer.request == (0 if packet == b"rubbish" else 5)
    assert (await box.status()).state == "running"
    assert await box.sh("echo well") == "well\n"


async def test_two_shims_of_one_name_do_not_take_each_others_socket_away(runtime: Runtime) -> None:
    """A shim that is about to end must not unlink the name of the one that came after it."""
    box = await runtime.create("sleep", "1000")
    await box.status()  # it listens
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        await runtime.forkserver.spawn(box.order, theirs.fileno())
        theirs.close()
        ours.settimeout(5)
        sockets.send_packet(ours, messages.encode(messages.Query(request=1)))
        _, fds = sockets.receive_packet(ours)  # the second one listens by now
        sockets.close_all(fds)
        box.shim.release()
        await box.lost.wait()
        assert os.path.exists(box.order.socket)
    await eventually(lambda: not os.path.exists(box.order.socket), "the end of the second")


@pytest.mark.parametrize(("init", "user"), [(True, ""), (True, "app"), (False, ""), (False, "app")])
async def test_a_container_dies_with_its_shim(runtime: Runtime, init: bool, user: str) -> None:
    box = await runtime.run("sh", "-c", "sleep 1000 & sleep 1000", init=init, user=user)
    await eventually(lambda: len(runtime.tree.pids(box.id)) == (3 if init else 2), "the program's children")
    os.kill(box.shim_pid, signal.SIGKILL)
    await box.lost.wait()
    await eventually(lambda: not runtime.tree.pids(box.id), "the end of the container")


async def test_the_forkservers_death_leaves_containers_alone_and_the_next_start_works(runtime: Runtime) -> None:
    before = await runtime.run("sh", "-c", "read line < /tmp/pipe 2>/dev/null; sleep 1000")
    first = runtime.forkserver.pid
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: runtime.forkserver.pid != first, "its end to be noticed")
    after = await runtime.run("echo", "hello")
    assert await after.wait() == 0
    assert runtime.forkserver.pid not in {0, first}
    assert await before.sh("echo still here") == "still here\n"
    assert status_of(before.shim_pid)["PPid"] != str(first)


async def test_the_forkserver_is_started_again_at_once_when_somebody_kills_it(runtime: Runtime) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runtime.forkserver.keep_running)
        for _ in range(2):
            pid = runtime.forkserver.pid
            os.kill(pid, signal.SIGKILL)
            await eventually(lambda pid=pid: runtime.forkserver.pid not in {0, pid}, "another forkserver")
        tasks.cancel_scope.cancel()
    assert await runtime.output("echo", "hello") == "hello\n"


async def test_many_starts_at_once_make_one_forkserver(runtime: Runtime) -> None:
    os.kill(runtime.forkserver.pid, signal.SIGKILL)
    await eventually(lambda: runtime.forkserver.pid == 0, "its end to be noticed")
    boxes = [await runtime.create("true") for _ in range(2)]
    async with anyio.create_task_group() as tasks:
        for box in boxes:
            tasks.start_soon(box.start)
    assert [await box.wait() for box in boxes] == [0, 0]
    assert {status_of(box.shim_pid)["PPid"] for box in boxes} == {str(runtime.forkserver.pid)}


async def test_a_forkserver_that_dies_over_a_start_shows_as_the_end_of_the_control_socket(runtime: Runtime) -> None:
    os.kill(runtime.forkserver.pid, signal.SIGSTOP)
    box = await runtime.create("true")
    os.kill(runtime.forkserver.pid, signal.SIGKILL)
    with pytest.raises(Unavailable):
        await box.start()
    await box.lost.wait()


def forkserver_with_engine(
    runtime: Runtime, folder: Path, environment: dict[str, str]
) -> tuple[ForkserverClient, Path]:
    """One that starts FAKE_ENGINE, and where that tells of itself."""
    told, script = folder / "told", folder / "engine.py"
    script.write_text(FAKE_ENGINE)
    client = ForkserverClient(
        lambda: start_forkserver(runtime.log_fd, runtime.root),
        messages.Configure(cgroup_files=list(runtime.tree.prepare().files)),
        engine=([sys.executable, "-I", str(script), str(told)], environment),
    )
    return client, told


async def test_the_forkserver_starts_the_next_engine_when_the_engine_dies(runtime: Runtime, tmp_path: Path) -> None:
    client, told = forkserver_with_engine(runtime, tmp_path, {"LIFE": "long", "SECRET": "s" * 100_000})
    await client.start()
    forkserver = client.pid
    assert client._channel is not None
    client._channel.close()  # as when the engine is killed
    await eventually(told.exists, f"the next engine: {runtime.said()}")
    said = json.loads(told.read_text())
    assert said["flag"] == "--forkserver-fd"
    assert said["fds"] == [0, 1, 2, said["own"]]
    assert said["environment"].items() >= {"LIFE": "long", "SECRET": "s" * 100_000}.items()
    assert said["session"]
    blocked, ignored = sorted(said["signals"])
    assert int(blocked.split()[1], 16) == 0
    assert int(ignored.split()[1], 16) & ~(1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1)) == 0, (
        "Python's own two"
    )
    await eventually(lambda: not alive(forkserver), "Shutdown ends it")
    assert client._process is not None
    assert client._process.wait() == 0


async def test_an_engine_that_keeps_dying_is_started_again_and_again(runtime: Runtime, tmp_path: Path) -> None:
    client, told = forkserver_with_engine(runtime, tmp_path, {"LIFE": "short"})
    await client.start()
    assert client._channel is not None
    assert client._process is not None
    client._channel.close()
    pids: set[int] = set()

    def another() -> bool:
        with contextlib.suppress(FileNotFoundError):
            pids.add(json.loads(told.read_text())["pid"])
        return len(pids) >= 2

    await eventually(another, "a second engine")
    client._process.kill()
    client._process.wait()
    await eventually(lambda: not any(map(alive, pids)), "the last engine's end")


async def test_a_forkserver_that_has_no_engine_to_start_ends_with_its_engine(runtime: Runtime) -> None:
    pid = runtime.forkserver.pid
    assert runtime.forkserver._channel is not None
    runtime.forkserver._channel.close()
    runtime.forkserver._channel = None
    await eventually(lambda: not alive(pid), "the end of the forkserver")


async def test_shims_leave_no_zombies_behind(runtime: Runtime) -> None:
    for _ in range(3):
        box = await runtime.run("true")
        await box.wait()
        box.shim.release()
        await box.lost.wait()
    await eventually(
        lambda: len(children_of(runtime.forkserver.pid)) == 1, "no child of the forkserver but the next shim"
    )
    await eventually(lambda: spare(runtime), "which is the next shim")
    assert not status_of(spare(runtime))["State"].startswith("Z")
