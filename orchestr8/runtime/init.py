"""PID 1 of a container: forks the process that becomes the program, then reaps and forwards signals until it ends.

Everything that takes memory (reading the bundle, mounting, opening terminals) is done by that child (`runtime.setup`),
whose memory goes with its execve; this process stays what the fork left it, a few hundred KiB of its own.

It is the forkserver's image, so what `/proc/1` leads to must be harmless: the executable is a sealed memfd or a
read-only mount, the heap holds no secret, and before the program runs it has the program's own ids, capabilities and
seccomp filter, is dumpable (`> /proc/1/fd/1` must work) and keeps descriptors 0 to 2 only.

Behaviour as PID 1: tini's and catatonit's. Every signal that Python can wait for goes to the program, except SIGCHLD
and those that mean a fault of this process; the exit code is the program's, or 128 + n.
"""

import contextlib
import errno
import os
import signal
import socket
from typing import Final, NoReturn

from orchestr8.kernel import cgroup_enter, prctl, sockets
from orchestr8.kernel.clone import exit_code
from orchestr8.kernel.namespaces import CloneFlag, setns, unshare
from orchestr8.runtime import program, setup

_FAULTS: Final = frozenset(
    {signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS}
)
# Blocked by the forkserver already, so that none can end this process before it waits for them.
WAITED: Final = frozenset(map(int, signal.valid_signals() - _FAULTS - {signal.SIGKILL, signal.SIGSTOP}))
# In a cgroup that runs out of memory the kernel kills what scores highest; PID 1's death is the whole container's.
_OOM_SCORE: Final = b"-500"
_NAME: Final = b"orchestr8-init"
# Plain numbers: this process lives as long as its container, and an enum's members would be pages of its own.
_SIGKILL: Final = int(signal.SIGKILL)
_SIGCHLD: Final = int(signal.SIGCHLD)
_NEWNET: Final = CloneFlag(int(CloneFlag.NEWNET))
_NEWCGROUP: Final = CloneFlag(int(CloneFlag.NEWCGROUP))
_FD_MAX: Final = os.sysconf("SC_OPEN_MAX")


def run(network_fd: int, reaper_fd: int, sync: socket.socket, title: prctl.ArgumentArea) -> NoReturn:
    """From the first instruction in the new namespaces to the container's end.

    Waits on `sync` for the shim's one packet, `launch.Order`, with the program's stdio (none when a terminal comes
    later). Born before the shim does anything, so that what the shim touches later is no memory of this process.
    """
    code = 128
    try:
        prctl.set_dumpable(False)  # while the host can still be named, nobody but root may look in here
        prctl.set_parent_death_signal(_SIGKILL)
        title.write(title.prepared("orchestr8-init"))
        prctl.set_name(_NAME)
        setns(network_fd, _NEWNET)
        _keep_only(sync.fileno(), reaper_fd)
        os.setsid()
        packet, stdio = sockets.receive_packet(sync)
        if packet:
            code = _run(packet, stdio, sync, reaper_fd)
    except BaseException as error:  # noqa: BLE001 - the shim must hear of it, whatever it was: nobody else can
        setup.report(sync, error)
    finally:
        os._exit(code)


def encode_order(cgroup_files: tuple[str, ...], order: bytes, *, reaper: bool) -> bytes:
    """The packet: what PID 1 needs itself in plain lines, then the order for set-up, which it does not look into."""
    return b"\n".join([b"reaper" if reaper else b"direct", *map(os.fsencode, cgroup_files)]) + b"\n\n" + order


def _run(packet: bytes, stdio: list[int], sync: socket.socket, reaper_fd: int) -> int:
    """Join the cgroups and take the stdio; then supervise the program, or become it.

    Here is the slot for a user namespace of the container's own: it comes before everything else and alone, its maps
    are written by the shim, and every later namespace and mount belongs to it. `bundle.check` refuses documents that
    ask for one.
    """
    head, _, order = packet.partition(b"\n\n")
    mode, *cgroup_files = head.split(b"\n")
    cgroup_enter.enter(map(os.fsdecode, cgroup_files))
    unshare(_NEWCGROUP)
    for number, fd in enumerate(stdio):
        os.dup2(fd, number, inheritable=True)
        os.close(fd)
    if mode == b"direct":  # the program is an init itself
        setup.run(order, sync, None, oom_lowered=True)
    return _supervise(order, sync, reaper_fd)


def _supervise(order: bytes, sync: socket.socket, reaper_fd: int) -> int:
    """Fork the program's process, take its rights once the container stands, and become its reaper."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    lowered = lower_oom_score()
    child = os.fork()
    if child == 0:
        ours.close()
        setup.run(order, sync, theirs, oom_lowered=lowered)
    theirs.close()
    sync.close()
    walls, terminals = sockets.receive_packet(ours)
    if walls:
        for terminal in terminals:
            for number in (0, 1, 2):
                os.dup2(terminal, number, inheritable=True)
            os.close(terminal)
        program.raise_walls(walls)
        prctl.set_parent_death_signal(_SIGKILL)  # again: a change of ids clears it
        prctl.set_dumpable(True)
        ours.send(setup.GO)
    ours.close()
    if walls and reaper_fd >= 0:
        _execute_reaper(reaper_fd, child)
    return _reap_until(child)


def _execute_reaper(reaper_fd: int, child: int) -> None:
    """Become `runtime.reaper`: same process, same children, blocked and pending signals kept. Returns on failure."""
    # Where executing a memfd is forbidden (vm.memfd_noexec), this process goes on as the reaper it is.
    with contextlib.suppress(OSError):
        os.execve(reaper_fd, [b"orchestr8-init", b"%d" % child], {})


def _keep_only(*kept: int) -> None:
    """Close every descriptor but stdio and `kept`; -1 stands for one that is not there."""
    low = 3
    for fd in sorted(fd for fd in kept if fd >= 0):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, _FD_MAX)


def lower_oom_score() -> bool:
    """Whether this process is now a less likely victim; not without CAP_SYS_RESOURCE."""
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, _OOM_SCORE)
    except PermissionError:
        return False
    finally:
        os.close(fd)
    return True


def _reap_until(child: int) -> int:
    """Reap whatever dies and forward whatever arrives, until `child` has ended; its exit code.

    Ending then, not after the last descendant, is what init does in a pid namespace: the kernel kills the rest.
    """
    while True:
        received = signal.sigwaitinfo(WAITED)
        if received.si_signo != _SIGCHLD:
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
