"""The shim's side of starting PID 1: stdio, clone3, and the hand-shake until the program runs.

shim                                   init
│── clone3(NEWNS NEWPID NEWIPC NEWUTS) ──▶ joins cgroups
│── "network" + namespace, once it is there ─────────▶ │ mounts, joins it, pivots
│◀── {"terminal"} + master (only with a terminal) ──── │
│                                      │◀── its rights │
│            drops the others, execve  │ end of stream▶│ drops its own
│◀── {"ready", "name"} + its /dev/null ─────────────── │ becomes the reaper, which forks
│◀── end of stream: execve closed it ───────────────── program
│    or {"text", "exit_code"}, or of the reaper an error number, and the end of both
"""

import contextlib
import json
import os
import socket
import struct
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, NoReturn

from orchestr8.errors import OperationFailed
from orchestr8.kernel import prctl, processors, sockets
from orchestr8.kernel.clone import Successor, clone
from orchestr8.kernel.namespaces import CloneFlag
from orchestr8.runtime import init, program, setup
from orchestr8.runtime.cradle import Cradle
from orchestr8.runtime.messages import Spawn
from orchestr8.runtime.poller import READ, Poller
from orchestr8.runtime.successors import Ends, Reserve, bury, follow, has_ended, kill
from orchestr8.runtime.terminal import open_slave

_REST_S: Final = 1.0  # of a cradle: by then what was started with this one has been started, too
# In a cgroup that runs out of memory the kernel kills what scores highest; PID 1's death is the whole container's.
_OOM_SCORE: Final = -500
_ERROR_NUMBER: Final = struct.Struct("=i")  # all that the reaper can say; no JSON of ours is as short
# What can come of hearing a process that is becoming the container's: no descriptor is left for what came, say; or a
# program that may trace others has spoken in its name.
DISTURBED: Final = (OSError, OperationFailed, ValueError, TypeError, LookupError)


class Stdio:
    """The shim's ends of a program's stdio: pipes for stdout, stderr and perhaps stdin, or a terminal.

    Of a terminal the slave is held open too: a program that closes its own for a moment, as a getty does, must not
    hang it up. It is closed before the last read, which then ends where the output ends.
    """

    def __init__(self, *, terminal: bool, stdin: bool, null: int) -> None:
        self.stdin = self.stdout = self.stderr = self.master = self.slave = -1
        self.child: list[int] = []  # what becomes the program's 0, 1 and 2
        if terminal:
            return
        self.child = [-1, -1, -1]
        try:
            self.stdout, self.child[1] = os.pipe()
            self.stderr, self.child[2] = os.pipe()
            if stdin:
                self.child[0], self.stdin = os.pipe()
            else:
                # Of an exec: the container's. At a start: the host's, this process's own, until set-up has made that.
                self.child[0] = os.open(f"/proc/self/fd/{null}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self.close()
            raise

    def close_child_side(self) -> None:
        sockets.close_all([fd for fd in self.child if fd >= 0])
        self.child = []

    def take_terminal(self, fds: list[int]) -> None:
        """Its master, out of `fds`."""
        if self.master >= 0:
            raise ValueError("a second terminal")
        self.master = fds.pop()
        self.slave = open_slave(self.master)

    def close_slave(self) -> None:
        if self.slave >= 0:
            os.close(self.slave)
            self.slave = -1

    def close(self) -> None:
        self.close_child_side()
        self.close_slave()
        sockets.close_all([fd for fd in (self.stdin, self.stdout, self.stderr, self.master) if fd >= 0])
        self.stdin = self.stdout = self.stderr = self.master = -1


class Ground(NamedTuple):
    """What every run of a container stands on, as the shim holds it."""

    cgroup_fd: int  # the cgroup v2 directory in which PID 1 is born; -1: none
    reaper_fd: int  # what PID 1 turns into; -1: it stays what it is
    title: prctl.ArgumentArea
    user_namespace: int = -1  # of the container's own; -1: it has the host's
    become_init: Callable[[init.Birth], NoReturn] = init.run


class Launch:
    """One PID 1 from its clone to the end of the hand-shake. `on_end(error)`: None when the program runs."""

    def __init__(
        self,
        poller: Poller,
        ends: Ends,
        order: Spawn,
        ground: Ground,
        on_end: Callable[[tuple[str, int] | None], None],
        joined: Mapping[str, int] | None = None,
        cradle: Cradle | None = None,
    ) -> None:
        """`cradle`: where PID 1 is born, unless that is gone; it is used up."""
        self._poller = poller
        self._ends = ends
        self._on_end = on_end
        self._reaper = order.reaper
        self._oom_score = min(_OOM_SCORE, order.oom_score)
        self._error: tuple[str, int] | None = None
        self._cradle_pid = 0
        self._empty_cradle = -1  # out of which PID 1 has come
        self.rests_until = 0.0  # on the monotonic clock: when it is to be ended; 0: there is none, or not yet
        self._ready = False
        self._name = ""  # of the program
        self._given_up = False
        self.processor = -1  # on which PID 1 has begun, as far as that is known
        self.again = False  # in its cradle PID 1 cannot be: nothing has run, and a Launch without one is to follow
        self._successor = Successor()
        self._reserve = Reserve()
        self.null = -1  # the container's /dev/null, for what is executed in it later; the owner closes it
        # Of one that is throttled, its root. With the last of a mount the kernel syncs all of the file system below, at
        # the rate of who lets go: of PID 1 that might take minutes, in which nothing can end it.
        self._root = -1
        with contextlib.ExitStack() as undo, contextlib.ExitStack() as unused:
            if cradle is not None:
                unused.callback(cradle.close, poller)
            undo.callback(self._reserve.spend)
            self.stdio = Stdio(terminal=order.terminal, stdin=order.stdin, null=0)
            undo.callback(self.stdio.close)
            ends.listen(self._look)
            undo.callback(ends.ignore, self._look)
            if cradle is not None and self._bear(order, ground, cradle):
                unused.pop_all()
            else:
                self._sync, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                with theirs:  # a socket closes itself
                    self.pid, self.pidfd = self._clone(order, ground, theirs, joined or {})
            undo.pop_all()
        self.stdio.close_child_side()
        self._poller.watch(self._sync.fileno(), READ, self._receive)

    def _clone(self, order: Spawn, ground: Ground, theirs: socket.socket, joined: Mapping[str, int]) -> tuple[int, int]:
        # Only who enters another's pid namespace is succeeded; whoever is PID 1 itself must not have a word in it.
        with self._successor.given() if "pid" in joined else contextlib.nullcontext():
            pid, pidfd = clone(CloneFlag(order.namespaces), cgroup_fd=ground.cgroup_fd)
            if pid == 0:
                ground.become_init(
                    init.Birth(
                        order,
                        theirs,
                        ground.reaper_fd,
                        self.stdio.child,
                        ground.title,
                        joined,
                        self._successor,
                        ground.user_namespace,
                    )
                )
        return pid, pidfd

    def _bear(self, order: Spawn, ground: Ground, cradle: Cradle) -> bool:
        processor = processors.here()  # who calls is about to sleep
        try:
            cradle.bear(order, ground.cgroup_fd, self.stdio.child, processor)
        except OSError:  # somebody has killed it
            return False
        self.pid, self.pidfd, self._sync, self._successor, movable = cradle
        self.processor = processor if movable else -1
        self._cradle_pid = cradle.pid
        return True

    def _follow(self) -> None:
        """In another's pid namespace, and out of a cradle, PID 1 is not the process that was cloned first."""
        first = self.pidfd
        self.pid, self.pidfd = follow(self._ends, self._successor, self.pid, first, self._reserve)
        if self.pidfd == first:
            return
        if self._cradle_pid:
            self._empty_cradle = first
        else:
            bury(self._poller, first)

    def give_up(self) -> None:
        """End PID 1, though it may wait for something; that is told as the end of its start."""
        self._given_up = True
        with contextlib.suppress(OSError):  # for who is born this moment: it waits for nothing more
            self._sync.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):  # then the end of the stream tells
            self._follow()
        kill(self.pidfd)

    def give_network(self, fd: int) -> None:
        """PID 1 goes on when it has this; it waits for it, having built what needs none."""
        with contextlib.suppress(OSError):  # it has just died: the end of the stream tells
            sockets.send_packet(self._sync, b"network", [fd])

    def _receive(self, _events: int) -> None:
        if not self._hear_next():
            self._finish()

    def _look(self) -> None:
        """Who is to end, having been succeeded, may stand still, with its end of the socket, when its successor has ended."""
        if has_ended(self._successor):
            self._sync.setblocking(False)
            while self._hear_next():
                pass
            self._finish()

    def _hear_next(self) -> bool:
        """One packet. False: there is none any more."""
        try:
            packet, fds = self._next_packet()
            try:
                if packet:
                    self._hear(packet, fds)
                    return True
            finally:
                sockets.close_all(fds)  # what was not taken
        except BlockingIOError:
            return False
        except DISTURBED as error:
            self._error = self._error or (f"lost contact with PID 1: {error}", 128)
        return False

    def _finish(self) -> None:
        self._poller.forget(self._sync.fileno())
        self._sync.close()
        try:
            self._follow()
        except OSError as error:
            self._error = self._error or (f"lost contact with PID 1: {error}", 128)
        self._reserve.spend()
        self._ends.ignore(self._look)
        if self.pid == self._cradle_pid and not self._successor.pid:  # the cradle has died before it bore anybody
            self.again = True
        if self.again:
            self._error = ("PID 1 is to be forked", 128)
        elif not self._ready:  # killed: by the OOM killer, or by hand
            self._error = self._error or ("PID 1 died while it set the container up", 128)
        elif self._reaper and not self._error:
            # From outside, since PID 1 has no right to it any more; and now, since what it forks would inherit it.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended already
                setup.write_oom_score(self._oom_score, self.pid)
        if self._given_up and self._error:
            self.again = False
            self._error = ("the start was given up", 128)
        if self._error:
            self.end_cradle()
        elif self._empty_cradle >= 0:
            self.rests_until = time.monotonic() + _REST_S
        self._on_end(self._error)

    def end_cradle(self) -> None:
        """When nobody waits for anything: to take a whole memory apart keeps a processor busy for a millisecond."""
        if self._empty_cradle >= 0:
            kill(self._empty_cradle)
            bury(self._poller, self._empty_cradle)
            self._empty_cradle = -1
            self.rests_until = 0.0

    def _next_packet(self) -> tuple[bytes, list[int]]:
        """A PID 1 that ended before it took its network shows as a reset, once (unix(7)); what it said is behind that."""
        try:
            return sockets.receive_packet(self._sync)
        except ConnectionResetError:
            return sockets.receive_packet(self._sync)

    def _hear(self, packet: bytes, fds: list[int]) -> None:
        """Takes out of `fds` what it keeps."""
        if len(packet) == _ERROR_NUMBER.size:  # of the reaper, which knows no more than that
            failed = program.failure(self._name, *_ERROR_NUMBER.unpack(packet))
            self._error = (failed.message, failed.exit_code)
            return
        said = json.loads(packet)
        if "terminal" in said:
            self.stdio.take_terminal(fds)
        elif "ready" in said and not self._ready:
            self._name = said["name"]
            self.null = fds.pop(0)
            self._root = fds.pop() if fds else -1
            self._ready = True
            self._follow()
            if self._given_up:  # it was succeeded just then
                self.give_up()
        elif "again" in said:
            self.again = self._cradle_pid > 0
        else:
            self._error = (said["text"], said["exit_code"])

    def close(self) -> None:
        """Nothing runs: let go of its process and of what nobody has taken over."""
        os.close(self.pidfd)
        self.stdio.close()
        if self.null >= 0:
            os.close(self.null)
        self.unmount()

    def unmount(self) -> None:
        """PID 1 has ended: let go of its root, should this be the last to hold it."""
        if self._root >= 0:
            os.close(self._root)
            self._root = -1
