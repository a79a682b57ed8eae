"""What forkserver, shim and PID 1 are made of: sealed, frozen, with nothing of the engine's, and light."""

import fcntl
import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestr8.runtime import messages
from orchestr8.runtime.forkserver_client import ForkserverClient
from orchestr8.runtime.sealed import start_forkserver
from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.processes import children_of, descriptors, sockets_of
from tests.system.runtime_fixtures import PACKAGE_PARENT, Runtime, eventually, fork_from, spare

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
