"""A process in which the next PID 1 is born: made ahead of its order, so that a start need not wait for a fork.

It is a child of the shim, in the host's namespaces. From its order on it gets ready whatever belongs to no namespace; by
the shim's word the container's PID 1 is born in its memory (`kernel.clone.Successor.take_over_in_place`), with pages that
are its own already. It ends when PID 1 has become the reaper or the program, and with its shim.

shim                     cradle                         PID 1
│── the order ──────────▶ │ document, filter, tmpfs
│── stdio, cgroup ──────▶ │── clone3 ──────────────────▶ │ as in `launch`
                          │◀── execve, or its end ────── │
"""

import os
import signal
import socket
from typing import Final, NamedTuple, NoReturn

from orchestr8.kernel import prctl, sockets
from orchestr8.kernel.clone import CAN_SUCCEED_IN_PLACE, Successor, clone
from orchestr8.kernel.namespaces import CloneFlag
from orchestr8.runtime import init, messages, program, setup
from orchestr8.runtime.poller import Poller
from orchestr8.runtime.successors import bury, kill

_GROUP: Final = b"group"  # with it comes the cgroup v2 directory that PID 1 is born in, before stdio
_NO_GROUP: Final = b"no group"
_KERNEL: Final = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2]))


class Cradle(NamedTuple):
    """The shim's side. Whoever has it must `close` it or have a PID 1 born."""

    pid: int
    pidfd: int
    sync: socket.socket
    successor: Successor

    def order(self, packet: bytes) -> None:
        """Let it get ready for this Spawn, which `suits`. Raises OSError when it is gone."""
        sockets.send_packet(self.sync, packet)

    def bear(self, cgroup_fd: int, stdio: list[int]) -> None:
        """Have PID 1 born, which is told of by `successor` and speaks on `sync`. Raises OSError when that cannot be."""
        if cgroup_fd < 0:
            sockets.send_packet(self.sync, _NO_GROUP, stdio)
        else:
            sockets.send_packet(self.sync, _GROUP, [cgroup_fd, *stdio])

    def close(self, poller: Poller) -> None:
        """End it: nothing of it is needed."""
        self.sync.close()
        kill(self.pidfd)
        bury(poller, self.pidfd)


def suits(order: messages.Spawn) -> bool:
    """Whether PID 1 can be born in one: not with a user namespace, which the shim makes later, nor before Linux 6.0 with one
    of time, which only an execve that follows can put it in (commit 133e2d3e81de).
    """
    return not order.id_count and (not order.namespaces & CloneFlag.NEWTIME or _KERNEL >= (6, 0))


def make_cradle(reaper_fd: int, title: prctl.ArgumentArea) -> Cradle | None:
    """In a shim that waits for an order. None where that cannot be: PID 1 is forked then when it is wanted.

    Without a reaper PID 1 would never execute anything, and its cradle stand still for as long.
    """
    if not CAN_SUCCEED_IN_PLACE or reaper_fd < 0:
        return None
    successor = Successor()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        try:
            pid, pidfd = clone()
        except OSError:
            ours.close()
            return None
        if pid == 0:
            _wait(theirs, reaper_fd, title, successor)
    return Cradle(pid, pidfd, ours, successor)


def _wait(sync: socket.socket, reaper_fd: int, title: prctl.ArgumentArea, successor: Successor) -> NoReturn:
    code = 128
    try:
        prctl.set_parent_death_signal(signal.SIGKILL)
        prctl.set_name(b"orchestr8-init")
        title.write(title.prepared("orchestr8-init (next)"))
        program.keep_only(sync.fileno(), reaper_fd)
        packet, _ = sockets.receive_packet(sync)
        if packet:
            order = messages.decode(packet)
            assert isinstance(order, messages.Spawn)
            code = _bear(order, sync, reaper_fd, title, successor)
    except BaseException as error:  # noqa: BLE001 - the shim must hear of it, whatever it was: nobody else can
        code = getattr(error, "exit_code", 128)
        setup.report(sync, error, code)
    finally:
        os._exit(code)


def _bear(
    order: messages.Spawn, sync: socket.socket, reaper_fd: int, title: prctl.ArgumentArea, successor: Successor
) -> int:
    """Get ready, be succeeded by PID 1, and as that live its life (`init.run`); its exit code."""
    init.prepare(order, title)
    ready = setup.make_ready(order)
    ready.rootfs.make_file_systems()
    packet, fds = sockets.receive_packet(sync)
    if not packet:
        return 128
    cgroup_fd = fds.pop(0) if packet == _GROUP else -1
    init.take_stdio(fds)
    successor.take_over_in_place(CloneFlag(order.namespaces), cgroup_fd=cgroup_fd)
    prctl.set_parent_death_signal(signal.SIGKILL)
    sockets.close_all([*fds, *([cgroup_fd] if cgroup_fd >= 0 else [])])
    init.enter_groups(order)
    built = setup.build(order, ready, sync)
    return init.live(order, built, sync, reaper_fd)
