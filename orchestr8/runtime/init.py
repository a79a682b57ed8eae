"""PID 1 of a container: builds it from inside, forks the program's process, and reaps until that ends.

It is the forkserver's image, so what `/proc/1` leads to must be harmless: the executable is a sealed memfd or a
read-only mount, the heap holds no secret, and before the program runs it has the program's own ids, capabilities and
seccomp filter, is dumpable (`> /proc/1/fd/1` must work) and keeps descriptors 0 to 2 only. By then it has executed
`runtime.reaper`, a few hundred bytes of code that do what `_reap_until` says; where that cannot be, it does it itself.

Behaviour as PID 1: tini's and catatonit's. Every signal goes to the program, except SIGCHLD, those that mean a fault of
this process, and, while this is a Python process, the two that the C library keeps from it; the exit code is the program's, or 128 + n.
"""

import contextlib
import errno
import fcntl
import os
import signal
import socket
from collections.abc import Mapping
from typing import Final, NamedTuple, NoReturn

from orchestr8.kernel import cgroup_enter, prctl, rlimit
from orchestr8.kernel.clone import Successor, exit_code
from orchestr8.kernel.namespaces import CloneFlag, unshare
from orchestr8.runtime import program, setup, sharing
from orchestr8.runtime.messages import Spawn
from orchestr8.runtime.template import Template

_SYNC_FD: Final = 3  # where the reaper's child has the shim's socket
_FAULTS: Final = frozenset(
    {signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS}
)
# Blocked by the forkserver already, so that none can end this process before it waits for them.
WAITED: Final = frozenset(map(int, signal.valid_signals() - _FAULTS - {signal.SIGKILL, signal.SIGSTOP}))


class Birth(NamedTuple):
    """What PID 1 is given at its clone. No `stdio`: a terminal comes later. `joined`: see messages.Start."""

    order: Spawn
    sync: socket.socket
    reaper_fd: int
    stdio: list[int]
    title: prctl.ArgumentArea
    joined: Mapping[str, int]
    successor: Successor
    user_namespace: int = -1  # of the container's own
    in_cradle: bool = False  # its memory is that of a process of the host's, until it executes something
    template: Template | None = None  # where it is still to be learnt what PID 1 writes


def run(birth: Birth) -> NoReturn:
    """From the first instruction in the new namespaces to the container's end."""
    order, sync = birth.order, birth.sync
    code = 128
    try:
        prctl.set_dumpable(False)  # while the host can still be named, nobody but root may look in here
        prctl.set_parent_death_signal(signal.SIGKILL)
        birth.title.write(birth.title.prepared("orchestr8-init"))
        prctl.set_name(b"orchestr8-init")
        for number, fd in enumerate(birth.stdio):
            os.dup2(fd, number, inheritable=True)
        # Whatever the engine has; `launch` makes PID 1 a less likely victim later.
        setup.write_oom_score(order.oom_score)
        shared = sharing.join(birth.joined)
        program.keep_only(sync.fileno(), birth.reaper_fd, *shared, birth.user_namespace)
        cgroup_enter.enter(order.cgroup_files)
        if not order.host_cgroup:
            unshare(CloneFlag.NEWCGROUP)
        program.new_session_keyring()
        built = setup.build(order, sync, shared, birth.user_namespace)
        if "pid" in birth.joined:
            birth.successor.take_over()
            prctl.set_parent_death_signal(signal.SIGKILL)
        os.setsid()
        if not order.namespaces & CloneFlag.NEWPID:
            prctl.set_child_subreaper()  # as in a namespace of its own, what loses its parent is reaped in here
        setup.say_ready(order, built, sync)
        program.reset_dispositions()
        if birth.template is not None:
            birth.template.learn_what_pid_1_writes()
        if order.reaper:
            code = _supervise(birth, built)
        else:  # the program is an init itself, and wants to be PID 1
            setup.execute(order, built, sync)
    except BaseException as error:  # noqa: BLE001 - the shim must hear of it, whatever it was: nobody else can
        code = getattr(error, "exit_code", 128)
        setup.report(sync, error, code)
    finally:
        os._exit(code)


def _supervise(birth: Birth, built: setup.Built) -> int:
    """Become the reaper, which forks the program's process; where this stays Python, do what it does."""
    order, sync, reaper_fd = birth.order, birth.sync, birth.reaper_fd
    limits = program.limits_of(built.process)
    # The reaper can be looked into, so its socket must be closed before others are there; and a limit of processes might
    # leave it without room for a child.
    if order.namespaces & CloneFlag.NEWPID and "RLIMIT_NPROC" not in limits and reaper_fd >= 0:
        _become_reaper(order, built, sync, reaper_fd)
        reaper_fd = -1
    if birth.in_cradle:  # no program may run beside this memory
        setup.report_again(sync)
        os._exit(0)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        ours.close()
        os.setsid()
        if not order.namespaces & CloneFlag.NEWPID:
            prctl.set_parent_death_signal(signal.SIGKILL)  # no namespace ends with PID 1 and takes it along
        theirs.recv(1)  # b"": PID 1 has let go of its socket, being the reaper by now
        setup.execute(order, built, sync)
    theirs.close()
    sync.close()
    if reaper_fd >= 0:
        with contextlib.suppress(OSError):  # see below
            os.execve(reaper_fd, [b"orchestr8-init", b"%d" % child], {})
    program.keep_only(ours.fileno())
    prctl.set_dumpable(True)  # as does the execve above: nothing of the host is left, and `> /proc/1/fd/1` must work
    ours.close()  # as the execve above does: the program runs now
    return _reap_until(child)


def _become_reaper(order: Spawn, built: setup.Built, sync: socket.socket, reaper_fd: int) -> None:
    """Execute `runtime.reaper`: same process, blocked and pending signals kept; its child executes the program.

    Returns where executing a memfd is forbidden (vm.memfd_noexec).
    """
    process = built.process
    argv = ["orchestr8-init", "-t" if order.terminal else "--", program.find(process["args"], process["env"])]
    argv += process["args"]
    variables = program.variables_of(process["env"])
    # Out of the way of the number that the socket gets.
    spoken_for, image = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _SYNC_FD + 1) for fd in (sync.fileno(), reaper_fd))
    os.dup2(spoken_for, _SYNC_FD, inheritable=True)
    rlimit.settle(
        program.limits_of(process)
    )  # with what the program gets along with Python may not: nothing more is made
    try:
        os.execve(image, argv, variables)
    except OSError:
        os.dup2(spoken_for, sync.fileno(), inheritable=False)
        if sync.fileno() != _SYNC_FD:
            os.close(_SYNC_FD)
        os.close(spoken_for)


def _reap_until(child: int) -> int:
    """Reap whatever dies and forward whatever arrives, until `child` has ended; its exit code.

    Ending then, not after the last descendant, is what init does in a pid namespace: the kernel kills the rest.
    """
    while True:
        received = signal.sigwaitinfo(WAITED)
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
