"""Forkserver, shim and PID 1 as processes: what each is made of, what it holds, and what its death means for the others."""

import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestr8.errors import OperationFailed, Unavailable
from orchestr8.kernel import sockets
from orchestr8.runtime import messages
from orchestr8.runtime.client import ForkserverClient
from orchestr8.runtime.sealed import start_forkserver
from tests.requires import requires
from tests.system.runtime_fixtures import (
    PACKAGE_PARENT,
    Box,
    Runtime,
    a_cradle,
    alive,
    children_of,
    descriptors,
    eventually,
    fork_from,
    needs_busybox,
    sockets_of,
    spare,
    status_of,
)

pytestmark = [pytest.mark.system, pytest.mark.anyio, requires("root", "overlayfs"), needs_busybox]

SEALED = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def seals_of_executable(pid: int) -> int:
    fd = os.open(f"/proc/{pid}/exe", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    finally:
        os.close(fd)


def writable_memory(pid: int) -> Iterator[bytes]:
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            addresses, permissions, *_ = line.split()
            if permissions.startswith("rw"):
                begin, end = (int(each, 16) for each in addresses.split("-"))
                memory.seek(begin)
                yield memory.read(end - begin)


# --- what they are made of ---------------------------------------------------------------------------------------------


async def test_every_process_runs_from_a_sealed_memfd_that_nobody_can_write_to(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    for pid in (runtime.forkserver.pid, box.shim_pid, box.pid):
        assert os.readlink(f"/proc/{pid}/exe").startswith("/memfd:orchestr8-"), pid
        assert seals_of_executable(pid) & SEALED == SEALED
        for mode in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
            with pytest.raises(OSError, match=r"Text file busy|Operation not permitted"):
                os.close(os.open(f"/proc/{pid}/exe", mode))


async def test_the_interpreter_of_the_machine_is_as_it_was(runtime: Runtime) -> None:
    interpreter = Path(sys.executable).resolve()
    before = hashlib.sha256(interpreter.read_bytes()).digest()
    await runtime.output("sh", "-c", "echo x > /proc/1/exe || echo x > /proc/self/exe || true")
    assert hashlib.sha256(interpreter.read_bytes()).digest() == before


def start_in_vain(scratch: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """A forkserver that serves nobody: it prints what it has become, and ends."""
    code = (
        f"import sys; sys.path.append({PACKAGE_PARENT!r})\n"
        "import gc, socket\n"
        "from orchestr8.runtime import forkserver\n"
        f"{before}\n"
        "def serve(server):\n"
        "    import os, signal\n"
        "    print(gc.get_freeze_count(), gc.isenabled(), signal.getsignal(signal.SIGCHLD).name, *os.listdir('/proc/self/fd'))\n"
        "forkserver.Forkserver.serve = serve\n"
        "ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        f"forkserver.main(theirs.detach(), {scratch!r})\n"
    )
    argv = [sys.executable, "-I", "-S", "-c", code]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30)


def test_the_heap_is_frozen_before_the_first_fork_and_a_rehearsal_leaves_nothing(tmp_path: Path) -> None:
    done = start_in_vain(str(tmp_path / "rehearsal"))
    count, enabled, children, *fds = done.stdout.split()
    assert int(count) > 10_000
    assert enabled == "False"
    assert children == "SIG_IGN", "the kernel buries shims"
    assert len(fds) == 6, "stdio, the engine, the reaper, and the folder that is being listed"
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "function", "told"),
    [("runtime.launch", "clone", "the rehearsal failed"), ("kernel.mount", "new_filesystem", "practice failed")],
)
def test_what_is_refused_before_the_first_container_is_told_and_leaves_nothing(
    tmp_path: Path, module: str, function: str, told: str
) -> None:
    refuse = "def refuse(*_, **__): raise OSError(1, 'Operation not permitted')"
    before = f"import orchestr8.{module} as module\n{refuse}\nmodule.{function} = refuse"
    done = start_in_vain(str(tmp_path / "rehearsal"), before)
    _, _, children, *fds = done.stdout.split()
    assert (children, len(fds)) == ("SIG_IGN", 6)
    assert f"{told}: [Errno 1] Operation not permitted" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_where_no_rehearsal_can_be_held_it_serves_all_the_same(tmp_path: Path) -> None:
    done = start_in_vain(str(tmp_path / "missing" / "rehearsal"))
    assert done.stdout.split()[2] == "SIG_IGN"
    assert "the rehearsal failed: [Errno 2]" in done.stderr


async def test_nothing_is_imported_or_compiled_after_the_fork(runtime: Runtime) -> None:
    """Shim, PID 1, set-up and exec, with a terminal and without: all under an audit hook that tells of every import."""
    await fork_from(
        runtime,
        "import os\n"
        "def tell(event, arguments):\n"
        "    if event in ('import', 'compile'): os.write(2, f'{event} {arguments[0]}\\n'.encode())\n"
        "sys.addaudithook(tell)",
    )
    box = await runtime.create("sh", "-c", "read x; echo $x; sleep 1000", stdin_open=True)
    client = await box.attach(stdin=True, early="aGVsbG8K")
    await box.start()
    await client.until_text(b"hello\n")
    assert await box.run("sh", "-c", "exit 3", user="app", working_dir="/tmp") == (3, "")
    assert await box.run("tty", tty=True, rows=10, columns=20) == (0, "/dev/pts/0\r\n")
    with pytest.raises(Exception, match="not found"):
        await box.run("missing")
    await box.connect().status()
    await box.kill()
    await box.wait()
    await box.start()
    terminal = await runtime.run("sh", "-c", "tty; exit 4", tty=True, init=False)
    assert await terminal.wait() == 4
    assert runtime.said() == ""


async def test_no_secret_of_the_engine_is_in_the_memory_of_what_is_forked(runtime: Runtime, tmp_path: Path) -> None:
    secret = os.urandom(20).hex()
    await runtime.forkserver.close()
    runtime.forkserver = ForkserverClient(
        lambda: start_forkserver(runtime.log_fd, runtime.root),
        messages.Configure(cgroup_files=list(runtime.tree.prepare().files)),
        engine=(["/bin/true"], {"REGISTRY_PASSWORD": secret}),
    )
    await runtime.forkserver.start()
    box = await runtime.run("sleep", "1000")
    for pid in (runtime.forkserver.pid, box.shim_pid):
        pages = list(writable_memory(pid))
        assert any(b"orchestr8" in each for each in pages), "the search itself works"
        assert not any(secret.encode() in each for each in pages)
    assert secret not in Path(f"/proc/{runtime.forkserver.pid}/environ").read_text()
    environment = Path(f"/proc/{box.shim_pid}/environ").read_bytes().split(b"\0")
    assert {each.split(b"=")[0] for each in environment if each} == {b"PATH", b"LANG"}


async def test_each_process_holds_only_the_descriptors_that_it_needs(runtime: Runtime) -> None:
    kept = socket.socket()
    with kept:
        box = await runtime.run("sleep", "1000", kept=[kept.fileno()])
    (program,) = children_of(box.pid)
    assert sorted(descriptors(box.pid)) == sorted(descriptors(program)) == [0, 1, 2]
    await eventually(lambda: spare(runtime), "the next shim")
    forkserver = descriptors(runtime.forkserver.pid)
    assert (
        len([path for path in forkserver.values() if path.startswith("socket:")]) == 2
    )  # its engine's, the next shim's
    (cradle,) = await eventually(lambda: children_of(spare(runtime)), "its cradle")
    await eventually(lambda: sockets_of(spare(runtime)) == 2, "the forkserver's and the cradle's, of the next shim")
    await eventually(lambda: sockets_of(cradle) == 1, "the shim's, of the cradle")
    assert [path for path in forkserver.values() if "orchestr8-python" in path] == []
    shim = descriptors(box.shim_pid)
    assert [path for path in shim.values() if path == f"{box.bundle}/log/current.log"] != []
    assert len([path for path in shim.values() if path.startswith("net:")]) == 1
    kinds = sorted(path.split(":")[0] for path in shim.values() if path.startswith(("socket:", "pipe:")))
    assert kinds == ["pipe", "pipe", "socket", "socket", "socket"]  # stdout, stderr; control, listener, kept


async def test_nobody_but_root_looks_into_forkserver_and_shim(runtime: Runtime) -> None:
    """Not dumpable: their files in /proc are root's, whatever user they might have become."""
    box = await runtime.run("sleep", "1000", user="app")
    (program,) = children_of(box.pid)
    for pid in (box.pid, program):
        assert os.stat(f"/proc/{pid}/fd").st_uid == 1000, "dumpable again once nothing of the host is in it"
    code = f"import os; os.setresuid(1000, 1000, 1000); os.readlink('/proc/{box.shim_pid}/exe')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "PermissionError" in done.stderr


async def test_the_shim_has_a_session_and_a_cgroup_of_its_own_and_is_not_the_containers(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    assert os.getsid(box.shim_pid) == box.shim_pid
    assert os.getsid(runtime.forkserver.pid) == runtime.forkserver.pid
    groups = Path(f"/proc/{box.shim_pid}/cgroup").read_text()
    assert f"/orchestr8-{runtime.instance}/shims" in groups
    assert box.id not in groups
    (program,) = children_of(box.pid)
    assert {box.pid, program} <= set(runtime.tree.pids(box.id))


# --- the named socket --------------------------------------------------------------------------------------------------


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


def cpu_ticks(pid: int) -> int:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return sum(map(int, file.read().rpartition(")")[2].split()[11:13]))


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


# --- death -------------------------------------------------------------------------------------------------------------


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


async def test_the_forkserver_starts_the_next_engine_when_the_engine_dies(runtime: Runtime, tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = tmp_path / "engine.py"
    script.write_text(FAKE_ENGINE)
    client = ForkserverClient(
        lambda: start_forkserver(runtime.log_fd, runtime.root),
        messages.Configure(cgroup_files=list(runtime.tree.prepare().files)),
        engine=([sys.executable, "-I", str(script), str(told)], {"LIFE": "long", "SECRET": "s" * 100_000}),
    )
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
    told = tmp_path / "told"
    script = tmp_path / "engine.py"
    script.write_text(FAKE_ENGINE)
    client = ForkserverClient(
        lambda: start_forkserver(runtime.log_fd, runtime.root),
        messages.Configure(cgroup_files=list(runtime.tree.prepare().files)),
        engine=([sys.executable, "-I", str(script), str(told)], {"LIFE": "short"}),
    )
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


async def test_the_next_shim_waits_for_its_container_and_ends_with_the_forkserver(runtime: Runtime) -> None:
    await eventually(lambda: spare(runtime), "the next shim")
    first = spare(runtime)
    box = await runtime.run("sleep", "1000")
    assert box.shim_pid == first
    await eventually(lambda: spare(runtime), "another one")
    second = spare(runtime)
    os.kill(second, signal.SIGKILL)
    await eventually(lambda: not alive(second), "its death")
    other = await runtime.run("sleep", "1000")
    assert other.shim_pid not in {first, second}
    await eventually(lambda: spare(runtime), "another one")
    third = spare(runtime)
    os.kill(runtime.forkserver.pid, signal.SIGKILL)
    await eventually(lambda: not alive(third), "its end")
    assert (await box.status()).state == (await other.status()).state == "running"


async def test_pid_1_is_born_in_the_cradle_of_its_shim_which_is_gone_then(runtime: Runtime) -> None:
    shim, cradle = await a_cradle(runtime)
    box = await runtime.run("sh", "-c", "cat /proc/1/comm; readlink /proc/self/fd/1; exec sleep 1000")
    assert box.shim_pid == shim
    assert box.pid != cradle
    await eventually(lambda: children_of(shim) == [box.pid], "the end of the cradle")
    await box.until_log("pipe:")
    assert status_of(box.pid)["NSpid"].split() == [str(box.pid), "1"]
    for kind in ("mnt", "pid", "ipc", "uts", "net", "cgroup"):
        assert os.readlink(f"/proc/{box.pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"), kind
    assert sorted(runtime.tree.pids(box.id)) == sorted([box.pid, *children_of(box.pid)])


async def test_who_has_a_filter_or_users_of_its_own_is_forked(runtime: Runtime) -> None:
    _, cradle = await a_cradle(runtime)
    own = Path(runtime.root) / "own.bpf"
    own.write_bytes(Path(runtime.seccomp_path).read_bytes())

    def change(document: dict[str, Any]) -> None:
        document["annotations"]["org.orchestr8.seccomp"] = str(own)

    box = await runtime.run("sleep", "1000", change=change)
    await eventually(lambda: children_of(box.shim_pid) == [box.pid], "the end of the cradle")
    assert not alive(cradle)


async def test_without_its_cradle_a_shim_forks_pid_1(runtime: Runtime) -> None:
    _, cradle = await a_cradle(runtime)
    os.kill(cradle, signal.SIGKILL)
    await eventually(lambda: not alive(cradle), "its end")
    box = await runtime.run("sh", "-c", "echo here; exec sleep 1000")
    await box.until_log("here")
    await eventually(lambda: children_of(box.shim_pid) == [box.pid], "that nothing else is left")


async def test_a_cradle_that_dies_over_its_order_is_no_failure(runtime: Runtime) -> None:
    """It is stopped, so that it cannot have heard of the order by the time that it is killed."""
    _, cradle = await a_cradle(runtime)
    os.kill(cradle, signal.SIGSTOP)
    box = await runtime.create("sh", "-c", "echo here; exec sleep 1000")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(box.start)
        await eventually(lambda: runtime.waits_in(cradle), "the order")
        os.kill(cradle, signal.SIGKILL)
    await box.until_log("here")
    await eventually(lambda: children_of(box.shim_pid) == [box.pid], "that nothing else is left")


async def test_a_start_is_given_up_while_its_cradle_stands_still(runtime: Runtime) -> None:
    shim, cradle = await a_cradle(runtime)
    os.kill(cradle, signal.SIGSTOP)
    box = await runtime.create("sleep", "1000")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(raises_unavailable, box)
        await eventually(lambda: runtime.waits_in(cradle), "the order")
        box.shim.release()
    await eventually(lambda: not alive(shim) and not alive(cradle), "that both are gone")


async def test_what_will_run_again_has_a_cradle_ready_for_a_second(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    await box.kill()
    await box.wait()
    await eventually(lambda: children_of(box.shim_pid) == [], "the end of all")
    box.shim.prepare()
    box.shim.prepare()
    (cradle,) = await eventually(lambda: children_of(box.shim_pid), "a cradle")
    await box.start()
    assert box.pid != cradle
    await eventually(lambda: children_of(box.shim_pid) == [box.pid], "the end of the cradle")
    await box.kill()
    await box.wait(run=2)
    box.shim.prepare()
    (unused,) = await eventually(lambda: children_of(box.shim_pid), "a cradle")
    await eventually(lambda: children_of(box.shim_pid) == [], "the end of what nobody asked for")
    assert not alive(unused)


async def raises_unavailable(box: Box) -> None:
    with pytest.raises((Unavailable, OperationFailed)):
        await box.start()
