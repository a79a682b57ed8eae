"""What tests of the runtime share: a forkserver, cgroups and containers below a root of the test's own, no engine.

Containers have the image of `busybox`. At the end of each test everything is taken down, and the test fails when a cgroup, a
mount, a process, a descriptor or a network namespace is left.
"""

import contextlib
import fcntl
import itertools
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from e2e.pace import SLOW
from orchestr8.backends.native.limits import disk_numbers
from orchestr8.backends.native.making import find_user
from orchestr8.kernel import capabilities, seccomp, sockets
from orchestr8.kernel.cgroup import CgroupTree
from orchestr8.kernel.libc import libc
from orchestr8.kernel.namespaces import CloneFlag, unshare
from orchestr8.model.specs import ContainerSpec
from orchestr8.runtime import bundle, messages
from orchestr8.runtime.client import ShimClient, control_pair, read_state
from orchestr8.runtime.forkserver_client import ForkserverClient
from orchestr8.runtime.limits import block_devices, oci_resources
from orchestr8.runtime.sealed import start_forkserver
from orchestr8.storage.overlay import OverlayMount
from tests.system.processes import children_of, descriptors, mentioning, pids_in, sockets_of

PACKAGE_PARENT = str(Path(__file__).parent.parent.parent)
DEADLINE_S = 8.0 * SLOW
_PIDFD_GETFD = 438


async def eventually(look: Callable[[], Any], what: str = "", within_s: float = DEADLINE_S) -> Any:
    """The first true thing that `look` returns; it is asked until then."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what or look}"
        await anyio.sleep(0.005)
    return found


def new_network_namespace() -> int:
    made: list[int] = []

    def make() -> None:
        unshare(CloneFlag.NEWNET)
        made.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]


class Client:
    """The far end of an attach or exec stream: Docker's frames taken apart, or a terminal's raw bytes."""

    def __init__(self, sock: socket.socket, *, raw: bool) -> None:
        self.socket = sock
        self._raw = raw
        self._data = bytearray()
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.ended = False

    def read(self) -> None:
        """Take what has arrived, without waiting."""
        while not self.ended and select.select([self.socket], [], [], 0)[0]:
            try:
                data = self.socket.recv(1 << 20)
            except ConnectionResetError:
                data = b""
            self.ended = not data
            self._data += data
        if self._raw:
            self.stdout += self._data
            self._data.clear()
        while len(self._data) >= 8 and len(self._data) >= 8 + (size := struct.unpack_from(">I", self._data, 4)[0]):
            (self.stdout if self._data[0] == 1 else self.stderr).extend(self._data[8 : 8 + size])
            del self._data[: 8 + size]

    async def until(self, wanted: Callable[["Client"], Any], what: str = "") -> Any:
        def look() -> Any:
            self.read()
            return wanted(self)

        try:
            return await eventually(look, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; so far: {bytes(self.stdout)!r} {bytes(self.stderr)!r}") from None

    async def until_text(self, text: bytes) -> None:
        await self.until(lambda client: text in client.stdout, f"{text!r} on stdout")

    async def until_end(self) -> bytes:
        await self.until(lambda client: client.ended, "the end of the stream")
        return bytes(self.stdout)

    def close(self) -> None:
        self.socket.close()


class Exec:
    def __init__(self, shim: ShimClient, exec_id: str, pid: int, client: Client) -> None:
        self._shim = shim
        self.id = exec_id
        self.pid = pid
        self.client = client

    async def wait(self) -> int:
        with anyio.fail_after(DEADLINE_S):
            return await self._shim.exec_ended(self.id)

    async def resize(self, rows: int, columns: int) -> None:
        await self._shim.resize(rows, columns, self.id)

    async def signal(self, number: int) -> None:
        await self._shim.signal(number, self.id)


class Box:
    """One container and the engine's first connection to its shim."""

    def __init__(self, runtime: "Runtime", container_id: str, folder: str, order: messages.Spawn) -> None:
        self._runtime = runtime
        self.id = container_id
        self.bundle = folder
        self.order = order
        self.exits: list[messages.Exited] = []
        self.execs: dict[str, int] = {}  # of a connection before, with their pids
        self.exec_codes: dict[str, int] = {}  # of those that have ended
        self.out_of_memory = 0  # how often the shim said so
        self.log_troubles: list[tuple[str, int]] = []  # reason, "" once it is over; bytes lost by then
        self.lost = anyio.Event()
        self.shim: ShimClient
        self.pid = 0
        self.clients: list[Client] = []

    def on_started(self, started: messages.Started) -> None:
        """See runtime.client.ShimListener; tests look at the answers instead."""

    def on_status(self, status: messages.Status) -> None:
        """See on_started."""

    def on_execs(self, pids: Mapping[str, int], codes: Mapping[str, int]) -> None:
        self.execs = {**pids}
        self.exec_codes = {**codes}

    def on_exit(self, exited: messages.Exited) -> None:
        self.exits.append(exited)

    def on_out_of_memory(self) -> None:
        self.out_of_memory += 1

    def on_execs_used(self, read_bytes: int, written_bytes: int) -> None:
        self.execs_used = read_bytes, written_bytes

    def on_log_trouble(self, trouble: messages.LogTrouble) -> None:
        self.log_troubles.append((trouble.reason, trouble.lost_bytes))

    def on_lost(self) -> None:
        self.lost.set()

    @property
    def log_path(self) -> str:
        return f"{self.bundle}/log/current.log"

    def log(self, stream: str = "stdout") -> str:
        """What the program wrote to `stream`, from the log as it is now, rotated files included."""
        text = b""
        for number in (2, 1, 0):
            with contextlib.suppress(FileNotFoundError):
                text += Path(self.log_path + (f".{number}" if number else "")).read_bytes()
        out = bytearray()
        for line in text.split(b"\n")[:-1]:
            _, name, kind, rest = line.split(b" ", 3)
            if name == stream.encode():
                out += rest + (b"\n" if kind == b"F" else b"")
        return out.decode(errors="replace")

    def state(self) -> dict[str, Any]:
        return read_state(self.bundle)

    @property
    def shim_pid(self) -> int:
        return int(self.state()["shim_pid"])

    async def start(self) -> "Box":
        with anyio.fail_after(DEADLINE_S):
            self.pid = (await self.shim.start()).pid
        return self

    async def until_log(self, text: str, stream: str = "stdout") -> None:
        try:
            await eventually(lambda: text in self.log(stream), f"{text!r} in the log")
        except AssertionError as error:
            raise AssertionError(f"{error}; so far: {self.log()!r} {self.log('stderr')!r}") from None

    async def wait(self, run: int = 1) -> int:
        await eventually(lambda: len(self.exits) >= run, f"the end of run {run}; log: {self.log()!r}")
        return int(self.exits[run - 1].exit_code)

    async def kill(self, number: int = signal.SIGKILL) -> None:
        await self.shim.signal(number)

    def _stream(self, *, raw: bool) -> tuple[Client, socket.socket]:
        ours, theirs = socket.socketpair()
        client = Client(ours, raw=raw)
        self.clients.append(client)
        return client, theirs

    async def attach(self, *, stdin: bool = False, early: str = "") -> Client:
        client, theirs = self._stream(raw=self.order.terminal)
        with theirs:
            await self.shim.attach(theirs.fileno(), early, stdin=stdin)
        return client

    async def exec(self, *argv: str, **order: Any) -> Exec:
        """Start `argv` in the container; `order` as messages.Exec has it."""
        client, theirs = self._stream(raw=order.get("tty", False))
        exec_id = os.urandom(8).hex()
        with theirs, anyio.fail_after(DEADLINE_S):
            message = messages.Exec(exec=exec_id, argv=list(argv), **{"stdin": False, **order})
            pid = await self.shim.exec(message, theirs.fileno())
        return Exec(self.shim, exec_id, pid, client)

    async def run(self, *argv: str, **order: Any) -> tuple[int, str]:
        """Execute to the end: exit code, and stdout and stderr together."""
        running = await self.exec(*argv, **order)
        await running.client.until_end()
        return await running.wait(), (running.client.stdout + running.client.stderr).decode()

    async def sh(self, script: str, **order: Any) -> str:
        code, text = await self.run("sh", "-c", script, **order)
        assert code == 0, f"{script!r} exited with {code}: {text}"
        return text

    async def status(self) -> messages.Status:
        status, fds = await self.shim.query()
        sockets.close_all(fds)
        return status

    def connect(self) -> "Box":
        """As a later engine: a second connection, by the shim's name."""
        other = Box(self._runtime, self.id, self.bundle, self.order)
        other.shim = ShimClient.connect(self.order.socket, other)
        self._runtime.also.append(other)
        return other


class Runtime:
    """The engine's side. `root` is the test's own; containers are numbered 12-digit ids."""

    def __init__(self, root: str, image: str) -> None:
        self.root = root
        self.image = image
        self.instance = os.urandom(4).hex()
        self.tree = CgroupTree.detect(self.instance)
        self.boxes: list[Box] = []
        self.also: list[Box] = []
        self._numbers = itertools.count(1)
        self.log_fd = os.open(f"{root}/log", os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.seccomp_path = f"{root}/seccomp.bpf"
        Path(self.seccomp_path).write_bytes(seccomp.compile_default())
        self.forkserver = ForkserverClient(
            lambda: start_forkserver(self.log_fd, self.root),
            messages.Configure(cgroup_files=list(self.tree.prepare().files)),
        )

    def said(self) -> str:
        """What forkserver and shims wrote to the engine's log; not that a busy machine left a rehearsal no time."""
        lines = Path(f"{self.root}/log").read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        return "".join(line for line in lines if not line.endswith("rehearsal failed: timed out\n"))

    async def create(
        self,
        *command: str,
        image: str = "",
        kept: Sequence[int] = (),
        files: dict[str, str] | None = None,
        volumes: dict[str, str] | None = None,
        change: Callable[[dict[str, Any]], None] = lambda document: None,
        **spec: Any,
    ) -> Box:
        """A container whose shim waits for its first start. `spec` as ContainerSpec; `change` edits the document."""
        container_id = f"{next(self._numbers):012x}"
        folder = f"{self.root}/containers/{container_id}"
        image = image or self.image
        wanted = ContainerSpec(image=f"rootfs:{image}", command=command, **spec)
        self.tree.put_below(container_id, wanted.resources.cgroup_parent)
        for name in ("upper", "work"):
            os.makedirs(f"{folder}/{name}")
        disks = {path: disk_numbers(path) for path in block_devices(wanted.resources)}
        request = bundle.BundleRequest(
            container_id=container_id,
            spec=wanted,
            name=f"box-{container_id}",
            labels=dict(wanted.labels),
            overlay=OverlayMount((image,), f"{folder}/upper", f"{folder}/work").data(),
            user=find_user(wanted.user, (image,), wanted.isolation.groups),
            files={f"/etc/{name}": f"{folder}/{name}" for name in files or ()},
            volume_paths=volumes or {},
            cgroup_views=self.tree.views(oci_resources(wanted.resources, disks)),
            cgroup_group=self.tree.planned(container_id, {}).group,
            seccomp_path=self.seccomp_path,
            block_devices=disks,
            available=frozenset(capabilities.names_of(capabilities.read().permitted)),
        )
        document = bundle.build_document(request)
        change(document)
        place = self.tree.create(container_id, document["linux"]["resources"])
        bundle.write(folder, document, files or {})
        order = bundle.spawn_order(
            document,
            container_id=container_id,
            bundle=folder,
            socket_path=f"{self.root}/shims/{container_id}",
            place=place,
            oom_file=self.tree.oom_file(container_id),
            default_filter=self.seccomp_path,
        )
        box = Box(self, container_id, folder, order)
        network = new_network_namespace()
        cgroup = os.open(place.leaf or os.devnull, os.O_PATH | os.O_CLOEXEC)
        ours, theirs = control_pair()
        try:
            await self.forkserver.spawn(order, theirs.fileno())
            box.shim = ShimClient(ours, box)
            box.shim.place(cgroup)
            box.shim.equip(network, kept)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(network)
            os.close(cgroup)
        self.boxes.append(box)
        return box

    async def run(self, *command: str, **options: Any) -> Box:
        return await (await self.create(*command, **options)).start()

    async def output(self, *command: str, **options: Any) -> str:
        """Run to its end, which must be 0: what it wrote to stdout."""
        box = await self.run(*command, **options)
        code = await box.wait()
        assert code == 0, f"{command} exited with {code}: {box.log()!r} {box.log('stderr')!r} {self.said()}"
        return box.log()

    def waits_in(self, pid: int) -> bool:
        """Is there something to be read on its socket?"""
        (number,) = [fd for fd, path in descriptors(pid).items() if path.startswith("socket:")]
        pidfd = os.pidfd_open(pid)
        copy = libc.syscall(_PIDFD_GETFD, pidfd, number, 0)
        try:
            return fcntl.ioctl(copy, termios.FIONREAD, bytes(4)) != bytes(4)
        finally:
            sockets.close_all([pidfd, copy])

    async def close(self) -> None:
        """Kill, release, remove; raises when something of it cannot be taken away."""
        for box in [*self.boxes, *self.also]:
            for client in box.clients:
                client.close()
        for box in self.boxes:
            self.tree.kill(box.id)
            with contextlib.suppress(OSError):  # it may have ended already
                reached = box if box.shim.open else box.connect()
                reached.shim.release()
                with anyio.fail_after(DEADLINE_S):
                    await reached.lost.wait()
        for box in [*self.boxes, *self.also]:
            box.shim.close()
        await self.forkserver.close()
        shims = self.tree.prepare()
        await eventually(lambda: not pids_in(shims.files), "the end of every shim")
        for container_id in self.tree.containers():
            self.tree.kill(container_id)
            self.tree.remove(container_id)
        self.tree.remove_parent()
        self.tree.close()
        os.close(self.log_fd)


async def a_cradle(runtime: Runtime) -> tuple[int, int]:
    """The next shim and its cradle, once both are there."""
    await eventually(lambda: spare(runtime) and children_of(spare(runtime)), "a shim with a cradle")
    (cradle,) = children_of(spare(runtime))
    await eventually(lambda: b"(next)" in Path(f"/proc/{cradle}/cmdline").read_bytes(), "that it waits")
    await eventually(lambda: sockets_of(cradle) == 1, "that it has let go of the rest")
    return spare(runtime), cradle


def spare(runtime: Runtime) -> int:
    """The child of the forkserver that is a shim without a container yet; 0: there is none."""
    for pid in children_of(runtime.forkserver.pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"orchestr8-shim (next)"):
                return pid
    return 0


def traces(root: str, instance: str) -> dict[str, Any]:
    """What a test may not leave behind."""
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    with contextlib.suppress(OSError):
        groups = [
            f"{top}/{name}"
            for top, names, _ in os.walk("/sys/fs/cgroup")
            for name in names
            if name == f"orchestr8-{instance}"
        ]
    return {"mounts": [line for line in mounts if root in line], "cgroups": groups, "processes": mentioning(root)}


def open_descriptors() -> dict[str, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[name] = os.readlink(f"/proc/self/fd/{name}")
    return found


async def fork_from(runtime: Runtime, before: str) -> None:
    """Give it a forkserver that first does something else, in which `forkserver` is the module."""

    def start() -> tuple[socket.socket, subprocess.Popen[bytes]]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        code = (
            f"import sys; sys.path.append({PACKAGE_PARENT!r}); from orchestr8.runtime import forkserver\n{before}\n"
            f"forkserver.main({theirs.fileno()}, {runtime.root + '/rehearsal'!r})"
        )
        with theirs:
            argv = [sys.executable, "-I", "-S", "-c", code]
            log = runtime.log_fd
            return ours, subprocess.Popen(argv, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stderr=log)

    await runtime.forkserver.close()
    runtime.forkserver = ForkserverClient(start, messages.Configure(cgroup_files=list(runtime.tree.prepare().files)))
    await runtime.forkserver.start()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def runtime(busybox_image: str) -> AsyncIterator[Runtime]:
    with tempfile.TemporaryDirectory(prefix="orchestr8-test-") as root:
        os.makedirs(f"{root}/shims", 0o700)
        before = open_descriptors()
        made = Runtime(root, busybox_image)
        try:
            await made.forkserver.start()
            yield made
        finally:
            with anyio.CancelScope(shield=True):
                await made.close()
        assert traces(root, made.instance) == {"mounts": [], "cgroups": [], "processes": []}
        leaked = {fd: path for fd, path in open_descriptors().items() if fd not in before}
        assert leaked == {}
