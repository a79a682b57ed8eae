"""PID 1 of a container: sets itself up, starts the program, then reaps and forwards signals until the program ends.

It is the forked image of the forkserver, so what `/proc/1` leads to must be harmless: the executable is a sealed
memfd or a read-only mount, the heap holds no secret, and once set up it has the program's own ids, capabilities and
seccomp filter, is dumpable (`> /proc/1/fd/1` must work) and keeps descriptors 0 to 2 only.

Behaviour as PID 1: tini's and catatonit's. Every signal that Python can wait for goes to the program, except SIGCHLD
and the ones that mean a fault of this process; the exit code is the program's, or 128 + n.
"""

import errno
import json
import os
import signal
import socket
from typing import Any, Final, NoReturn

from orchestr8.errors import Orchestr8Error
from orchestr8.kernel import cgroup_enter, prctl, sockets
from orchestr8.kernel.clone import exit_code
from orchestr8.kernel.namespaces import CloneFlag, setns, unshare
from orchestr8.runtime import program
from orchestr8.runtime.rootfs import Rootfs

CGROUP_JOIN: Final = "org.orchestr8.cgroup-join"  # annotation: ["/sys/fs/cgroup/memory/…/tasks", …]
REAPER: Final = "org.orchestr8.reaper"  # annotation: "true" or "false"
_FAULTS: Final = {signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS}
_WAITED: Final = signal.valid_signals() - _FAULTS - {signal.SIGKILL, signal.SIGSTOP}
# In a cgroup that runs out of memory the kernel kills what scores highest; PID 1's death is the whole container's.
_INIT_OOM_SCORE: Final = b"-500"
_PROGRAM_OOM_SCORE: Final = b"0"
_PROGRAM_OOM_SCORE_FALLBACK: Final = b"500"  # without CAP_SYS_RESOURCE PID 1 cannot be lowered: raise the others


def run(
    bundle: str,
    config: dict[str, Any],
    seccomp_program: bytes,
    sync: socket.socket,
    network_fd: int,
    stdio: tuple[int, int, int] | None,
    title: prctl.ArgumentArea,
) -> NoReturn:
    """Everything from the first instruction in the new namespaces to the container's end. `stdio` None: a terminal."""
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, _WAITED)
        # While the host can still be named, nobody but root may look into this process.
        prctl.set_dumpable(False)
        title.write("orchestr8-init")
        prctl.set_name("orchestr8-init")
        sync_fd = _keep_only(sync, network_fd, stdio)
        sync = socket.socket(fileno=sync_fd)
        code = _run(bundle, config, seccomp_program, sync, terminal=stdio is None)
    except Orchestr8Error as error:
        _report(sync, error.message, getattr(error, "exit_code", 128))
        os._exit(getattr(error, "exit_code", 128))
    except BaseException as error:  # whatever it was, the shim must hear of it: nobody else can
        _report(sync, f"{type(error).__name__}: {error}", 128)
        os._exit(128)
    os._exit(code)


def _report(sync: socket.socket, text: str, code: int) -> None:
    try:
        sockets.send_packet(sync, json.dumps({"text": text, "exit_code": code}).encode())
    except OSError:
        pass  # the shim is gone; so will be this process, by its parent-death signal


def _keep_only(sync: socket.socket, network_fd: int, stdio: tuple[int, int, int] | None) -> int:
    """Close every descriptor but stdio, the sync socket (returned) and the network namespace, which move up to it."""
    high_sync, high_network = os.dup(sync.detach()), os.dup(network_fd)
    if stdio is not None:
        spare = [os.dup(fd) for fd in stdio]
        for fd, number in zip(spare, (0, 1, 2), strict=True):
            os.dup2(fd, number, inheritable=True)
    low = sorted((high_sync, high_network))
    os.closerange(3, low[0])
    os.closerange(low[0] + 1, low[1])
    os.closerange(low[1] + 1, os.sysconf("SC_OPEN_MAX"))
    setns(high_network, CloneFlag.NEWNET)
    os.close(high_network)
    return high_sync


def _run(bundle: str, config: dict[str, Any], seccomp_program: bytes, sync: socket.socket, *, terminal: bool) -> int:
    process = config["process"]
    _set_up(bundle, config, sync, terminal=terminal)
    lowered = _write_oom_score(_INIT_OOM_SCORE)
    program.make_working_directory(process["cwd"])
    program.become(process, seccomp_program)
    prctl.set_parent_death_signal(signal.SIGKILL)  # after the change of ids, which clears it
    prctl.set_dumpable(True)
    program.enter_working_directory(process["cwd"])
    sockets.send_packet(sync, b'{"ready": true}')
    if not sockets.receive_packet(sync)[0]:
        return 128  # the shim died before the parent-death signal was set
    oom_score = _PROGRAM_OOM_SCORE if lowered else _PROGRAM_OOM_SCORE_FALLBACK
    if config.get("annotations", {}).get(REAPER) == "false":
        _execute(process, oom_score)
    child = _start(process, oom_score, sync)
    sockets.send_packet(sync, b'{"started": true}')
    sync.close()
    return _reap_until(child)


def _set_up(bundle: str, config: dict[str, Any], sync: socket.socket, *, terminal: bool) -> None:
    """cgroups, then (here would come a user namespace of the container's own) the others, the file system, the name.

    The order of a user namespace: its maps are written by the shim before anything below, so that every further
    namespace and mount belongs to it; `bundle.check` refuses documents that ask for one.
    """
    cgroup_enter.enter(json.loads(config.get("annotations", {}).get(CGROUP_JOIN, "[]")))
    unshare(CloneFlag.NEWCGROUP)
    os.setsid()
    program.new_session_keyring()
    rootfs = Rootfs(bundle, config)
    rootfs.mount_all()
    if terminal:
        master, slave = rootfs.open_terminal()
        sockets.send_packet(sync, b'{"terminal": true}', [master])
        os.close(master)
        for number in (0, 1, 2):
            os.dup2(slave, number, inheritable=True)
        os.close(slave)
    if config.get("hostname"):
        socket.sethostname(config["hostname"])
    rootfs.protect()
    rootfs.pivot()


def _write_oom_score(value: bytes) -> bool:
    try:
        with open("/proc/self/oom_score_adj", "wb", buffering=0) as score:
            score.write(value)
    except PermissionError:
        return False
    return True


def _execute(process: dict[str, Any], oom_score: bytes) -> NoReturn:
    """Become the program: for a program that is an init itself, and in every program's own process."""
    _write_oom_score(oom_score)
    program.reset_signals()
    program.execute(process["args"], process["env"])
    raise AssertionError("execve returned")


def _start(process: dict[str, Any], oom_score: bytes, sync: socket.socket) -> int:
    """Fork the program and wait until it runs or has failed; a ProgramError says why."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            sync.close()
            os.close(reader)
            os.setsid()
            if process.get("terminal"):
                program.take_terminal(0)
            _execute(process, oom_score)
        except program.ProgramError as error:
            os.write(writer, json.dumps([error.message, error.exit_code]).encode())
        except BaseException as error:  # the parent raises it
            os.write(writer, json.dumps([f"{type(error).__name__}: {error}", 128]).encode())
        finally:
            os._exit(127)
    os.close(writer)
    report = b""
    while chunk := os.read(reader, 4096):
        report += chunk
    os.close(reader)
    if report:
        text, code = json.loads(report)
        raise program.ProgramError(text, code)
    return child


def _reap_until(child: int) -> int:
    """Reap whatever dies and forward whatever arrives, until `child` has ended; its exit code.

    Ending then, not after the last descendant, is what init does in a pid namespace: the kernel kills the rest.
    """
    while True:
        received = signal.sigwaitinfo(_WAITED)
        if received.si_signo != signal.SIGCHLD:
            _forward(child, received.si_signo)
            continue
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == child:
                return exit_code(status)
            if pid == 0:
                break


def _forward(child: int, number: int) -> None:
    try:
        os.kill(child, number)
    except OSError as error:
        # EPERM: the program changed its user and this process has no capability to signal it, as under any init
        # that runs as the user. ESRCH: it has just ended.
        if error.errno not in {errno.EPERM, errno.ESRCH}:
            raise
