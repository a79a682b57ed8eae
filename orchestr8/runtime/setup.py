"""The process that builds the container from inside and then becomes its program.

It reads the bundle's OCI document, mounts, opens the terminal, pivots, and waits for two words before the program
runs: PID 1's, that it has given up its rights, and the shim's, that it is alive to be PID 1's parent.
"""

import contextlib
import json
import os
import signal
import socket
from typing import Any, Final, NoReturn

from orchestr8.errors import Orchestr8Error
from orchestr8.kernel import prctl, sockets
from orchestr8.runtime import program
from orchestr8.runtime.messages import Spawn
from orchestr8.runtime.rootfs import Rootfs

_OOM_SCORE: Final = b"0"


def run(order: Spawn, sync: socket.socket, init: socket.socket | None) -> NoReturn:
    """Set up and execute. `init`: PID 1, None when this is PID 1 itself."""
    try:
        with open(os.path.join(order.bundle, "config.json"), "rb") as document:
            config = json.load(document)
        process = config["process"]
        walls = program.pack_walls(process, program.read_filter(order.seccomp))
        stdio, null = _build(order, config, sync)
        program.make_working_directory(process["cwd"])
        write_oom_score(_OOM_SCORE)
        if init is not None:
            sockets.send_packet(init, walls, stdio)
            os.setsid()
        _adopt(stdio)
        if order.terminal:
            program.take_terminal(0)
        entered = program.try_working_directory(process["cwd"])
        program.raise_walls(walls)
        if init is None:
            prctl.set_parent_death_signal(signal.SIGKILL)  # a change of ids cleared it; execve keeps it
        program.enter_working_directory(process["cwd"], entered=entered)
        if init is not None:
            init.recv(1)  # b"": PID 1 has let go, being the reaper by now
        sockets.send_packet(sync, b'{"ready": true}', [null])
        if not sockets.receive_packet(sync)[0]:
            os._exit(128)  # the shim died before PID 1's parent-death signal was set
        program.reset_signals()
        program.execute(process["args"], process["env"])
    except Orchestr8Error as error:
        code = getattr(error, "exit_code", 128)
        report(sync, error, code)
        os._exit(code)
    except BaseException as error:  # noqa: BLE001 - the shim must hear of it, whatever it was: nobody else can
        report(sync, error)
    finally:
        os._exit(128)


def report(sync: socket.socket, error: BaseException, exit_code: int = 128) -> None:
    """Tell the shim why the program will not run."""
    text = error.message if isinstance(error, Orchestr8Error) else f"{type(error).__name__}: {error}"
    body = {"text": text, "exit_code": exit_code}
    try:
        sockets.send_packet(sync, json.dumps(body).encode())
    except OSError:
        return  # the shim is gone, and with it everybody who could want to know


def _build(order: Spawn, config: dict[str, Any], sync: socket.socket) -> tuple[list[int], int]:
    """The file system, the terminal, the host name, the walls around kernel files.

    Returned: descriptors that take the places of 0, 1 and 2, as far as there are any, and the container's /dev/null.
    """
    rootfs = Rootfs(order.bundle, config)
    rootfs.mount_all()
    null = rootfs.open_null()
    stdio = [] if order.stdin else [null]
    if order.terminal:
        master, slave = rootfs.open_terminal()
        sockets.send_packet(sync, b'{"terminal": true}', [master])
        os.close(master)
        stdio = [slave] * 3
    if config.get("hostname"):
        socket.sethostname(config["hostname"])
    rootfs.protect()
    rootfs.pivot()
    return stdio, null


def _adopt(stdio: list[int]) -> None:
    for number, fd in enumerate(stdio):
        os.dup2(fd, number, inheritable=True)


def write_oom_score(value: bytes) -> None:
    """How likely a victim of the OOM killer this process is; it stays what it was without CAP_SYS_RESOURCE, which
    lowering it needs (proc_pid_oom_score_adj(5)).
    """
    with contextlib.suppress(PermissionError), open("/proc/self/oom_score_adj", "wb", buffering=0) as score:
        score.write(value)
