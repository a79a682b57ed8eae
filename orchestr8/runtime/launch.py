"""The shim's side of starting PID 1: stdio, clone3, and the hand-shake until the program runs.

shim                                   init
│── clone3(NEWNS NEWPID NEWIPC NEWUTS) ──▶ joins cgroups, network
│                                      └── fork ──▶ setup
│◀── {"terminal"} + master (only with a terminal) ──── │ mounts, pivots
│                                      │◀── "entered" ─│
│                    drops its rights  │─── "go" ─────▶│ drops its own
│◀── {"ready"} ─────────────────────────────────────── │
│─── "go" ───────────────────────────────────────────▶ │
│◀── end of stream: execve closed it ───────────────── program
│    or {"text", "exit_code"} and the end of both
"""

import json
import os
import socket
from collections.abc import Callable
from typing import Final, NamedTuple

from orchestr8.kernel import prctl, sockets
from orchestr8.kernel.clone import clone
from orchestr8.kernel.namespaces import CloneFlag
from orchestr8.runtime import init
from orchestr8.runtime.messages import Spawn
from orchestr8.runtime.poller import READ, Poller

_NAMESPACES: Final = CloneFlag.NEWNS | CloneFlag.NEWPID | CloneFlag.NEWIPC | CloneFlag.NEWUTS


class Stdio:
    """The shim's ends of a program's stdio: pipes for stdout, stderr and perhaps stdin, or a terminal's master."""

    def __init__(self, *, terminal: bool, stdin: bool) -> None:
        self.stdin = self.stdout = self.stderr = self.master = -1
        self.child: tuple[int, int, int] | None = None
        if terminal:
            return
        self.stdout, out = os.pipe()
        self.stderr, err = os.pipe()
        if stdin:
            given, self.stdin = os.pipe()
        else:
            given = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self.child = (given, out, err)

    def close_child_side(self) -> None:
        sockets.close_all(self.child or ())
        self.child = None

    def close(self) -> None:
        self.close_child_side()
        sockets.close_all([fd for fd in (self.stdin, self.stdout, self.stderr, self.master) if fd >= 0])
        self.stdin = self.stdout = self.stderr = self.master = -1


class Ground(NamedTuple):
    """What every run of a container stands on, as the shim holds it."""

    network_fd: int
    cgroup_fd: int  # the cgroup v2 directory in which PID 1 is born; -1: none
    reaper_fd: int  # what PID 1 turns into; -1: it stays what it is
    title: prctl.ArgumentArea


class Launch:
    """One PID 1 from its clone to the end of the hand-shake. `on_end(error)`: None when the program runs."""

    def __init__(
        self, poller: Poller, order: Spawn, ground: Ground, on_end: Callable[[tuple[str, int] | None], None]
    ) -> None:
        self._poller = poller
        self._on_end = on_end
        self._error: tuple[str, int] | None = None
        self.stdio = Stdio(terminal=order.terminal, stdin=order.stdin)
        self._sync, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self.pid, self.pidfd = clone(_NAMESPACES, cgroup_fd=ground.cgroup_fd)
            if self.pid == 0:
                init.run(order, theirs, ground.network_fd, ground.reaper_fd, self.stdio.child, ground.title)
        except OSError:
            self.stdio.close()
            self._sync.close()
            raise
        finally:
            theirs.close()
        self.stdio.close_child_side()
        self._poller.watch(self._sync.fileno(), READ, self._receive)

    def _receive(self, _events: int) -> None:
        try:
            packet, fds = sockets.receive_packet(self._sync)
        except OSError as error:
            packet, fds = b"", []
            self._error = self._error or (f"lost contact with init: {error}", 128)
        if not packet:
            self._poller.forget(self._sync.fileno())
            self._sync.close()
            self._on_end(self._error)
            return
        said = json.loads(packet)
        if "terminal" in said:
            self.stdio.master = fds[0]
        elif "ready" in said:
            sockets.send_packet(self._sync, b"go")
        elif "text" in said:
            self._error = (said["text"], said["exit_code"])


def open_cgroup(leaf: str) -> int:
    """A descriptor of the cgroup v2 directory in which a child is to be born; -1 where there is none."""
    return os.open(leaf, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) if leaf else -1
