"""PID 1 of a container: forks the process that becomes the program, then reaps and forwards signals until it ends.

Everything that takes memory (reading the bundle, mounting, opening terminals) is done by that child (`runtime.setup`),
whose memory goes with its execve; this process stays what the fork left it, a few hundred KiB of its own.

It is the forkserver's image, so what `/proc/1` leads to must be harmless: the executable is a sealed memfd or a
read-only mount, the heap holds no secret, and before the program runs it has the program's own ids, capabilities and
seccomp filter, is dumpable (`> /proc/1/fd/1` must work) and keeps descriptors 0 to 2 only.

Behaviour as PID 1: tini's and catatonit's. Every signal that Python can wait for goes to the program, except SIGCHLD
and those that mean a fault of this process; the exit code is the program's, or 128 + n.
"""

import errno
import os
import signal
import socket
import sys
from typing import Final, NoReturn

from orchestr8.kernel import cgroup_enter, prctl, sockets
from orchestr8.kernel.clone import exit_code
from orchestr8.kernel.namespaces import CloneFlag, setns, unshare
from orchestr8.runtime import setup
from orchestr8.runtime.program import Walls

_FAULTS: Final = frozenset(
    {signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS}
)
_WAITED: Final = frozenset(signal.valid_signals() - _FAULTS - {signal.SIGKILL, signal.SIGSTOP})
# In a cgroup that runs out of memory the kernel kills what scores highest; PID 1's death is the whole container's.
_OOM_SCORE: Final = b"-500"
_ENTERED: Final = b"entered"
_GO: Final = b"go"


class Plan:
    """What PID 1 needs to know, decided before the clone so that it reads nothing itself."""

    __slots__ = ("bundle", "cgroup_files", "reaper", "walls")

    def __init__(self, bundle: str, cgroup_files: tuple[str, ...], walls: Walls, *, reaper: bool) -> None:
        self.bundle = bundle
        self.cgroup_files = cgroup_files
        self.walls = walls
        self.reaper = reaper


def run(
    plan: Plan, sync: socket.socket, network_fd: int, stdio: tuple[int, int, int] | None, title: prctl.ArgumentArea
) -> NoReturn:
    """From the first instruction in the new namespaces to the container's end. `stdio` None: a terminal comes later."""
    code = 128
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, _WAITED)
        prctl.set_dumpable(False)  # while the host can still be named, nobody but root may look in here
        prctl.set_parent_death_signal(signal.SIGKILL)
        title.write("orchestr8-init")
        prctl.set_name("orchestr8-init")
        sync = _enter(plan, sync, network_fd, stdio)
        code = _supervise(plan, sync) if plan.reaper else _be_the_program(plan, sync)
    except BaseException as error:  # noqa: BLE001 - the shim must hear of it, whatever it was: nobody else can
        setup.report(sync, error)
    finally:
        os._exit(code)


def _enter(plan: Plan, sync: socket.socket, network_fd: int, stdio: tuple[int, int, int] | None) -> socket.socket:
    """Join cgroups and the network namespace, and close every descriptor but stdio and the sync socket, returned anew.

    Here is the slot for a user namespace of the container's own: it comes first and alone, its maps are written by
    the shim, and every later namespace and mount belongs to it. `bundle.check` refuses documents that ask for one.
    """
    cgroup_enter.enter(plan.cgroup_files)
    setns(network_fd, CloneFlag.NEWNET)
    unshare(CloneFlag.NEWCGROUP)
    os.setsid()
    if stdio is not None:
        spare = [os.dup(fd) for fd in stdio]
        for number, fd in enumerate(spare):
            os.dup2(fd, number, inheritable=True)
    sync_fd = sync.detach()
    os.closerange(3, sync_fd)
    os.closerange(sync_fd + 1, os.sysconf("SC_OPEN_MAX"))
    return socket.socket(fileno=sync_fd)


def _supervise(plan: Plan, sync: socket.socket) -> int:
    """Fork the program's process, take its rights once the container stands, and reap until it ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    lowered = lower_oom_score()
    child = os.fork()
    if child == 0:
        ours.close()

        def confined(terminal: int) -> None:
            sockets.send_packet(theirs, _ENTERED, [terminal] if terminal >= 0 else [])
            if theirs.recv(16) != _GO:
                sys.exit(128)  # PID 1 has said why
            theirs.close()

        setup.run(plan.bundle, plan.walls, sync, confined, oom_lowered=lowered)
    theirs.close()
    packet, terminals = sockets.receive_packet(ours)
    if packet:
        for terminal in terminals:
            for number in (0, 1, 2):
                os.dup2(terminal, number, inheritable=True)
            os.close(terminal)
        sync.close()
        plan.walls.raise_here()
        prctl.set_parent_death_signal(signal.SIGKILL)  # again: a change of ids clears it
        prctl.set_dumpable(True)
        ours.send(_GO)
    ours.close()
    return _reap_until(child)


def _be_the_program(plan: Plan, sync: socket.socket) -> NoReturn:
    """No reaper: this very process sets up and becomes the program, for programs that are an init themselves."""
    setup.run(plan.bundle, plan.walls, sync, lambda _terminal: None, oom_lowered=True)


def lower_oom_score() -> bool:
    """Whether this process is now a less likely victim; not without CAP_SYS_RESOURCE."""
    try:
        with open("/proc/self/oom_score_adj", "wb", buffering=0) as score:
            score.write(_OOM_SCORE)
    except PermissionError:
        return False
    return True


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
            pid, status = os.waitpid(-1, os.WNOHANG)
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
