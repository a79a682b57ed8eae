"""PID 1 of a container that somebody else looks after, from its clone to its program: what `create` cannot do from outside.

create                                  PID 1
│── clone3 ─────────────────────────────▶ joins cgroups and namespaces, mounts
│◀── {"mounted"} ─────────────────────── │
│ hooks: prestart, createRuntime          │
│── "go" ───────────────────────────────▶ createContainer hooks, terminal, pivot, walls
│◀── {"ready"} ───────────────────────── │ reads the fifo until somebody writes: `start`
                                          startContainer hooks, execve

Either side that fails says why, and then ends. What it needs is imported by then: the root is the image's in the end.
"""

import contextlib
import fcntl
import functools
import json
import os
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, NoReturn

from orchestr8.kernel import cgroup_enter, prctl, rlimit, sockets
from orchestr8.kernel.clone import Successor
from orchestr8.kernel.namespaces import CloneFlag, setns, unshare
from orchestr8.oci import hooks
from orchestr8.oci.document import NAMESPACES, Document, fresh, has, joined
from orchestr8.oci.root import Root
from orchestr8.oci.userns import Users
from orchestr8.runtime import joining, program, setup, sharing
from orchestr8.runtime.rootfs import CGROUP_MOUNTS
from orchestr8.runtime.sharing import NOTHING, Shared
from orchestr8.runtime.terminal import set_size
from orchestr8.runtime.userns import Ids
from orchestr8.runtime.users import read_file, resolve_user

MOUNTED: Final = {"mounted": True}
READY: Final = {"ready": True}
GO: Final = b"go"
_SIOCGIFFLAGS: Final = 0x8913
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 1
_NULL_DEVICE: Final = os.makedev(1, 3)


class Birth(NamedTuple):
    """What it is given. Descriptors of its own: `fifo`, `console` (-1: none), `joined` by kind of namespace."""

    document: Document
    state: dict[str, Any]
    sync: socket.socket
    fifo: int
    console: int
    joined: dict[str, int]
    processes: int  # somebody's pid namespace, to be born in once confined; -1: its own, or the caller's
    successor: Successor  # who is, then
    users: Users
    tasks: tuple[str, ...]
    filter: bytes
    preserved: int  # so many descriptors from 3 on are the program's
    keyring: bool


def run(birth: Birth) -> NoReturn:
    """From the first instruction to the program's."""
    code = 128
    try:
        process = _build(birth)
        sockets.send_packet(birth.sync, json.dumps(READY).encode())
        birth.sync.close()
    except BaseException as error:  # noqa: BLE001 - whoever called `create` must hear of it: nobody else can
        setup.report(birth.sync, error, getattr(error, "exit_code", 1))
        os._exit(code)
    try:
        os.read(birth.fifo, 1)
        os.close(birth.fifo)
        hooks.run(hooks.INSIDE, birth.document["hooks"][hooks.INSIDE], {**birth.state, "pid": os.getpid()})
        _execute(process)
    except BaseException as error:  # noqa: BLE001 - told where the program would speak
        os.write(2, f"orchestr8-oci: {error}\n".encode())
        code = getattr(error, "exit_code", 1)
    finally:
        os._exit(code)


def _build(birth: Birth) -> dict[str, Any]:
    """The container, its walls included; the process that is left to become the program."""
    document = birth.document
    process: dict[str, Any] = document["process"]
    program.reset_dispositions()
    prctl.set_dumpable(False)  # while the host can still be named, nobody but root may look in here
    prctl.set_name(b"orchestr8-init")
    if process.get("oomScoreAdj") is not None:
        setup.write_oom_score(process["oomScoreAdj"])
    kept = (
        birth.sync.fileno(),
        birth.fifo,
        birth.console,
        birth.processes,
        *birth.joined.values(),
        *birth.users.descriptors(),
    )
    program.keep_only(*range(3, 3 + birth.preserved), *kept)
    cgroup_enter.enter(birth.tasks)
    _enter_namespaces(birth)
    rootfs = Root(document, birth.users, _shared(birth))
    with _own_groups_alone(document):
        rootfs.mount_all(lambda: None)
    birth.users.close_maps()
    _ask_for_hooks(birth)
    null = rootfs.open_null()
    stdio = _terminal(birth, rootfs) if process["terminal"] else null_instead(null)
    setup.close_off(rootfs, document)
    for number, fd in stdio.items():
        os.dup2(fd, number, inheritable=True)
    for fd in {null, *stdio.values()}:
        os.close(fd)
    if birth.processes >= 0:  # for children only
        setns(birth.processes, CloneFlag.NEWPID)
        os.close(birth.processes)
    confine(process, birth.filter, birth.users.ids, functools.partial(_enter_users, birth))
    if birth.processes >= 0:
        joining.take_over(birth.successor)
    os.setsid()
    if process["terminal"]:
        program.take_terminal(0)
    program.find(process["args"], process["env"])
    return process


def _shared(birth: Birth) -> Shared:
    """The /proc of a pid namespace that is somebody's: no process that still has the host's rights goes there to make one."""
    if birth.processes < 0 or not any(each["type"] == "proc" for each in birth.document["mounts"]):
        return NOTHING
    path = dict(joined(birth.document))["pid"]
    number = path.removeprefix("/proc/").removesuffix("/ns/pid")
    if not number.isdigit():
        return Shared(processes=sharing.processes_of(birth.processes, -1))
    pidfd = os.pidfd_open(int(number))
    try:
        return Shared(processes=sharing.processes_of(birth.processes, pidfd))
    finally:
        os.close(pidfd)


def _enter_namespaces(birth: Birth) -> None:
    for kind, fd in {**birth.joined, **birth.users.namespaces}.items():
        setns(fd, NAMESPACES[kind])
        os.close(fd)
    if has(birth.document, "cgroup") and "cgroup" not in birth.joined:
        unshare(CloneFlag.NEWCGROUP)
    if "network" in fresh(birth.document):
        _raise_loopback()


def _enter_users(birth: Birth) -> None:
    """The last of its namespaces; its cgroup's once more, so that this one is its root's to mount. Then it makes its directory."""
    birth.users.ids.enter()
    if birth.users.ids.fd >= 0 and "cgroup" in fresh(birth.document):
        unshare(CloneFlag.NEWCGROUP)
    if birth.keyring:
        program.new_session_keyring()
    program.make_working_directory(birth.document["process"]["cwd"])


@contextlib.contextmanager
def _own_groups_alone(document: Document) -> Iterator[None]:
    """Meanwhile a mount of cgroup v1 shows the container's own group and those below, though it sees the machine's names
    of them in /proc: as with runc, which binds it there. On v2 who has no namespace of his own is shown all, as there.
    """
    if has(document, "cgroup") or all(fstype == "cgroup2" for _, fstype, _ in _views(document)):
        yield
        return
    before = os.open("/proc/self/ns/cgroup", os.O_RDONLY | os.O_CLOEXEC)
    unshare(CloneFlag.NEWCGROUP)
    yield
    setns(before, CloneFlag.NEWCGROUP)
    os.close(before)


def _views(document: Document) -> list[tuple[str, str, str]]:
    return [tuple(each) for each in json.loads(document["annotations"][CGROUP_MOUNTS])]


def _raise_loopback() -> None:
    """`ip link set lo up` (netdevice(7)), as runc does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
        request = struct.pack("16sh22x", b"lo", 0)
        flags = struct.unpack_from("=h", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request), 16)[0]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | _IFF_UP))


def _ask_for_hooks(birth: Birth) -> None:
    sockets.send_packet(birth.sync, json.dumps(MOUNTED).encode())
    packet, _ = sockets.receive_packet(birth.sync)
    if packet != GO:
        os._exit(128)  # the caller has gone
    hooks.run("createContainer", birth.document["hooks"]["createContainer"], {**birth.state, "pid": os.getpid()})


def _terminal(birth: Birth, rootfs: Root) -> dict[int, int]:
    master, slave = rootfs.open_terminal()
    give_master(birth.console, master, birth.document["process"])
    return dict.fromkeys((0, 1, 2), slave)


def give_master(console: int, master: int, process: dict[str, Any]) -> None:
    """Send a terminal's master to who listens on the console socket, as runc does: its name, and the descriptor."""
    size = process.get("consoleSize") or {}
    if size.get("height") and size.get("width"):
        set_size(master, size["height"], size["width"])
    os.set_blocking(master, True)
    with socket.socket(fileno=console) as listener:
        socket.send_fds(listener, [b"/dev/ptmx"], [master])
    os.close(master)


def null_instead(null: int) -> dict[int, int]:
    """Of 0, 1 and 2 those that are the host's null device, which is not for a container to change: its own for each."""
    found = {}
    for number in (0, 1, 2):
        if os.fstat(number).st_rdev == _NULL_DEVICE:
            found[number] = null
    return found


def confine(process: dict[str, Any], seccomp_program: bytes, ids: Ids, enter_users: Callable[[], None]) -> None:
    """In the container: home, limits, working directory, and every wall. The program's rights are left.

    `enter_users`: called once nothing more needs the host's.
    """
    limits = program.limits_of(process)
    rlimit.make_room(limits)
    if not any(text.startswith("HOME=") for text in process["env"]):
        home = resolve_user(str(process["user"]["uid"]), read_file("/etc/passwd"), b"").home
        process["env"].append(f"HOME={home}")
    program.give_stdio(ids, process["user"])
    enter_users()
    entered = program.try_working_directory(process["cwd"])
    program.raise_walls(program.pack_walls(process, seccomp_program))
    prctl.set_dumpable(False)  # again: where fs.suid_dumpable is 1 a change of ids sets it
    program.enter_working_directory(process["cwd"], entered=entered)


def _execute(process: dict[str, Any]) -> NoReturn:
    program.reset_signals()
    rlimit.settle(program.limits_of(process))
    program.execute(process["args"], process["env"])
