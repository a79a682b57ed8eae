"""A further process in a container, its caller's child: `exec`. As `runtime.exec` for containers of the engine.

The child joins the container through PID 1's pidfd, takes its cgroup and rights, and only then has a successor born into its
pid namespace, who becomes the program: no program of the container sees one that still has the host's rights.
"""

import contextlib
import errno
import functools
import json
import os
import socket
from typing import Any, Final, NamedTuple, NoReturn

from orchestr8.errors import Conflict, InvalidInput
from orchestr8.kernel import cgroup_enter, prctl, rlimit, sockets
from orchestr8.kernel.cgroup import CgroupPlace
from orchestr8.kernel.clone import Successor, clone
from orchestr8.kernel.namespaces import CloneFlag
from orchestr8.oci import create, document
from orchestr8.oci.birth import confine, give_master, null_instead
from orchestr8.oci.state import Container, replace
from orchestr8.runtime import joining, program, setup
from orchestr8.runtime.userns import Ids, ids_of

_KINDS: Final = CloneFlag.NEWNS | CloneFlag.NEWNET | CloneFlag.NEWIPC | CloneFlag.NEWUTS | CloneFlag.NEWCGROUP
_NO_PROCESSES: Final = {errno.EBUSY, errno.EOPNOTSUPP}  # it has made groups below its own (cgroups(7))
_NULL: Final = "/dev/null"


class Order(NamedTuple):
    process: dict[str, Any]  # OCI's, settled
    console: int
    pid_file: str
    preserved: int


class _Child(NamedTuple):
    """What it is given before it is another one."""

    order: Order
    config: dict[str, Any]
    filter: bytes
    init: int  # pidfd
    tasks: tuple[str, ...]
    sync: socket.socket
    successor: Successor


def execute(container: Container, order: Order) -> int:
    """The process's number, once it is the program. Raises what kept it from that."""
    status = container.status()
    if status not in {"running", "created"}:
        helps = ["its program has ended: a shell does at the end of its input, for one"] if status == "stopped" else []
        raise Conflict(f"cannot exec in a {status} container", helps=helps)
    if order.process["terminal"] and order.console < 0:
        raise InvalidInput("a terminal that nobody here looks after needs --console-socket")
    config = container.document()
    place = container.group().place(config["linux"]["resources"])
    with contextlib.ExitStack() as opened:
        init = container.process()
        if init < 0:
            raise Conflict("cannot exec in a stopped container")
        opened.callback(os.close, init)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        opened.enter_context(ours)
        opened.enter_context(theirs)
        successor = Successor()
        child = _Child(order, config, program.read_filter(container.filter), init, place.tasks, theirs, successor)
        with successor.given():
            pid, pidfd = _clone(place, container.record.pid)
            if pid == 0:
                _run(child)  # and never leaves the blocks around this
        opened.callback(os.close, pidfd)
        theirs.close()
        packet, _ = sockets.receive_packet(ours)
    if successor.pid:
        os.waitpid(pid, 0)
        pid = successor.pid
    if packet:
        os.waitpid(pid, 0)
        raise create.told(json.loads(packet))
    if order.pid_file:
        replace(order.pid_file, str(pid).encode())
    return pid


def _clone(place: CgroupPlace, init: int) -> tuple[int, int]:
    if not place.leaf:
        return clone()
    try:
        return _clone_into(place.leaf)
    except OSError as error:
        if error.errno not in _NO_PROCESSES:
            raise
    with open(f"/proc/{init}/cgroup", encoding="utf-8") as file:
        where = next(line[3:].rstrip("\n") for line in file if line.startswith("0::"))
    return _clone_into(place.leaf.removesuffix(f"/{place.group}") + where)


def _clone_into(leaf: str) -> tuple[int, int]:
    fd = os.open(leaf, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return clone(cgroup_fd=fd)
    finally:
        os.close(fd)


def _run(child: _Child) -> NoReturn:
    code = 128
    try:
        _become(child)
    except BaseException as error:  # noqa: BLE001 - the caller must hear of it: nobody else can
        code = getattr(error, "exit_code", 255)
        setup.report(child.sync, error, code)
    finally:
        os._exit(code)


def _become(child: _Child) -> NoReturn:
    order, process = child.order, child.order.process
    program.reset_dispositions()
    prctl.set_dumpable(False)
    if child.config["process"].get("oomScoreAdj") is not None:
        setup.write_oom_score(child.config["process"]["oomScoreAdj"])
    program.keep_only(*range(3, 3 + order.preserved), child.sync.fileno(), child.init, order.console)
    cgroup_enter.enter(child.tasks)
    times = CloneFlag.NEWTIME if document.has(child.config, "time") else CloneFlag(0)
    joining.join(child.init, _KINDS | CloneFlag.NEWPID | times)
    os.chdir("/")
    for number, fd in _stdio(order).items():
        os.dup2(fd, number, inheritable=True)
    ids = ids_of(child.config, child.init if document.has(child.config, "user") else -1)
    confine(process, child.filter, ids, functools.partial(_enter_users, ids))
    if ids.fd < 0:
        os.close(child.init)
    joining.take_over(child.successor)
    os.setsid()
    if process["terminal"]:
        program.take_terminal(0)
    program.reset_signals()
    rlimit.settle(program.limits_of(process))
    program.execute(process["args"], process["env"])


def _enter_users(ids: Ids) -> None:
    ids.join()
    program.new_session_keyring()


def _stdio(order: Order) -> dict[int, int]:
    """The terminal, or the container's null device in place of the host's. They are closed by the program's execve."""
    if order.process["terminal"]:
        master, slave = joining.open_terminal()
        give_master(order.console, master, order.process)
        return dict.fromkeys((0, 1, 2), slave)
    if not os.path.exists(_NULL):
        return {}
    return null_instead(os.open(_NULL, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC))
