"""What PID 1 does while it is still privileged, and what the program's process does last.

`build` makes the container from inside, after the bundle's OCI document: file system, terminal, host name, working
directory; then it raises the walls, which the program's process inherits. `execute` waits for the shim's word, that it
is alive to be PID 1's parent, and becomes the program.
"""

import contextlib
import functools
import json
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from orchestr8.errors import Orchestr8Error
from orchestr8.kernel import prctl, rlimit, sockets
from orchestr8.kernel.descriptors import read_whole
from orchestr8.kernel.namespaces import CloneFlag, set_domain_name, setns
from orchestr8.runtime import program
from orchestr8.runtime.rootfs import Rootfs
from orchestr8.runtime.sharing import NOTHING, Shared
from orchestr8.runtime.terminal import set_size
from orchestr8.runtime.userns import Ids, ids_of

if TYPE_CHECKING:
    from orchestr8.runtime.messages import Spawn


class Built(NamedTuple):
    process: dict[str, Any]  # OCI's
    null: int  # the container's /dev/null


def build(order: "Spawn", sync: socket.socket, shared: Shared = NOTHING, user_namespace: int = -1) -> Built:
    """Everything up to the walls, those included: the caller has the program's rights afterwards, and its stdio."""
    config = json.loads(read_whole(os.path.join(order.bundle, "config.json")))
    process = config["process"]
    walls = program.pack_walls(process, program.read_filter(order.seccomp))
    ids = ids_of(config, user_namespace)
    stdio, null = _build(order, config, sync, shared, ids)
    for number, fd in enumerate(stdio):
        os.dup2(fd, number, inheritable=True)
    rlimit.make_room(program.limits_of(process))
    program.give_stdio(ids, process["user"])
    ids.enter()
    program.make_working_directory(process["cwd"])
    entered = program.try_working_directory(process["cwd"])
    program.raise_walls(walls)
    prctl.set_dumpable(False)  # again: where fs.suid_dumpable is 1 a change of ids sets it
    prctl.set_parent_death_signal(signal.SIGKILL)  # again: a change of ids clears it; execve keeps it
    program.enter_working_directory(process["cwd"], entered=entered)
    return Built(process, null)


def execute(order: "Spawn", built: Built, sync: socket.socket) -> NoReturn:
    """Become the program, after `say_ready`; where that cannot be, tell the shim and exit."""
    try:
        if order.terminal:
            program.take_terminal(0)
        program.reset_signals()
        rlimit.settle(program.limits_of(built.process))
        program.execute(built.process["args"], built.process["env"])
    except BaseException as error:  # noqa: BLE001 - the shim must hear of it, whatever it was: nobody else can
        code = getattr(error, "exit_code", 128)
        report(sync, error, code)
        os._exit(code)


def say_ready(order: "Spawn", built: Built, sync: socket.socket) -> None:
    """Nothing but the program's execve is left. Raises OSError when the shim is dead: it may have died before PID 1's
    parent-death signal was set; from here on that ends PID 1.
    """
    said = {"ready": True, "name": built.process["args"][0]}
    root = [os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)] if order.throttled else []
    sockets.send_packet(sync, json.dumps(said).encode(), [built.null, *root])


def report(sync: socket.socket, error: BaseException, exit_code: int = 128) -> None:
    """Tell the shim why the program will not run."""
    text = error.message if isinstance(error, Orchestr8Error) else f"{type(error).__name__}: {error}"
    body = {"text": text, "exit_code": exit_code}
    try:
        sockets.send_packet(sync, json.dumps(body).encode())
    except OSError:
        return  # the shim is gone, and with it everybody who could want to know


def report_again(sync: socket.socket, error: BaseException | None = None) -> None:
    """Tell the shim that PID 1 is to be forked: in its cradle it cannot be, which is nobody's fault."""
    if error is not None:
        sys.__excepthook__(type(error), error, error.__traceback__)
    with contextlib.suppress(OSError):  # the shim is gone
        sockets.send_packet(sync, b'{"again": true}')


def _build(
    order: "Spawn", config: dict[str, Any], sync: socket.socket, shared: Shared, ids: Ids
) -> tuple[list[int], int]:
    """The file system, the terminal, the host name, the walls around kernel files.

    Returned: descriptors that take the places of 0, 1 and 2, as far as there are any, and the container's /dev/null.
    """
    rootfs = Rootfs(order.bundle, config, shared, ids)
    rootfs.mount_all(functools.partial(_join_network, sync))
    null = rootfs.open_null()
    stdio = [] if order.stdin else [null]
    if order.terminal:
        master, slave = rootfs.open_terminal()
        if order.rows and order.columns:
            set_size(master, order.rows, order.columns)
        sockets.send_packet(sync, b'{"terminal": true}', [master])
        os.close(master)
        stdio = [slave] * 3
    close_off(rootfs, config)
    return stdio, null


def close_off(rootfs: Rootfs, config: dict[str, Any]) -> None:
    """What a mounted container has left to be done from outside: its names, parameters, walls, and the host out of sight."""
    if config.get("hostname"):
        socket.sethostname(config["hostname"])
    if config.get("domainname"):
        set_domain_name(config["domainname"])
    rootfs.set_parameters()
    rootfs.protect()
    rootfs.pivot()


def _join_network(sync: socket.socket) -> None:
    """Enter the network namespace that the shim passes on as soon as there is one. It may be gone by then."""
    packet, fds = sockets.receive_packet(sync)
    if not packet:
        os._exit(128)
    (network,) = fds
    setns(network, CloneFlag.NEWNET)
    os.close(network)


def write_oom_score(value: int, pid: int | str = "self") -> None:
    """How likely a victim of the OOM killer a process is, and the least that it may make of that itself.

    To go below what its parents were made needs CAP_SYS_RESOURCE (proc_pid_oom_score_adj(5)); without it, it is 0.
    """
    with open(f"/proc/{pid}/oom_score_adj", "wb", buffering=0) as score:
        try:
            score.write(b"%d" % value)
        except PermissionError:
            with contextlib.suppress(PermissionError):  # the engine itself is a likely victim, and stays one
                score.write(b"0")
