"""A process in which a PID 1 is born: forked ahead of its order, with pages of its own, so that a start waits for neither.

It is a child of the shim, in the host's namespaces, and does nothing but wait. At its order PID 1 is born in its memory
(`kernel.clone.Successor.take_over_in_place`) and lives as any other (`runtime.init`) until it executes something, which
gives it a memory of its own; the shim ends the cradle when nobody waits for anything.

**Nobody's program may ever run while PID 1 has this memory**: it belongs to a process of the host's, root there, that goes on
in it. Who would have to go on as Python (`init.Birth.in_cradle`) says `again` and ends, and PID 1 is forked as it was
before there were cradles.

shim                     cradle                         PID 1
│── Spawn, with cgroup ─▶ │── clone3 ──────────────────▶ │ as in `launch`
│   and stdio             │◀── execve, or its end ────── │
"""

import os
import select
import signal
import socket
from collections.abc import Callable
from typing import Final, NamedTuple, NoReturn, Self

from orchestr8.kernel import prctl, processors, sockets
from orchestr8.kernel.clone import CAN_SUCCEED_IN_PLACE, Successor, clone
from orchestr8.kernel.namespaces import CloneFlag
from orchestr8.runtime import init, messages, program, setup
from orchestr8.runtime.poller import Poller
from orchestr8.runtime.successors import bury, kill
from orchestr8.runtime.template import Template

_IN_GROUP: Final = b"in group "  # before an order with which a cgroup v2 directory comes, ahead of stdio


class Cradle(NamedTuple):
    """The shim's side. Whoever has it must `close` it or have a PID 1 born."""

    pid: int
    pidfd: int
    sync: socket.socket
    successor: Successor
    movable: bool  # from one processor to another, until PID 1 is there

    def bear(self, order: messages.Spawn, cgroup_fd: int, stdio: list[int], processor: int) -> None:
        """Have PID 1 born for an order that `suits`: `successor` tells of it, and it speaks on `sync`. It begins on that
        processor, if it is one. Raises OSError when the cradle is gone.
        """
        if self.movable:
            processors.move(self.pid, processor)
        packet, fds = messages.encode(order), stdio
        if cgroup_fd >= 0:
            packet, fds = _IN_GROUP + packet, [cgroup_fd, *stdio]
        sockets.send_packet(self.sync, packet, fds)

    def close(self, poller: Poller) -> None:
        """End it: nothing of it is needed."""
        self.sync.close()
        kill(self.pidfd)
        bury(poller, self.pidfd)


def suits(order: messages.Spawn) -> bool:
    """Whether PID 1 may be born in one: it must be sure to execute something before another process sees it, so it has no
    filter that this code does not know and no limit of processes (`plain`), and a pid namespace. With a user namespace of its own
    it has its forked copy, in which it may do less from the first moment. Where a change of ids makes a process open to its
    user (proc_sys_fs(5), suid_dumpable), the cradle would be that, too.
    """
    own = order.namespaces & CloneFlag.NEWPID and not order.id_count
    return bool(own and not order.plain and not _ids_open_memory())


def _ids_open_memory() -> bool:
    try:
        with open("/proc/sys/fs/suid_dumpable", "rb", buffering=0) as setting:
            return setting.read(1) == b"1"
    except OSError:  # it cannot be known
        return True


class UnderWay(NamedTuple):
    """A start in which only PID 1 is busy, on that processor."""

    shim: socket.socket  # hung up when it is over
    processor: int

    def is_over(self) -> bool:
        waiting = select.poll()
        waiting.register(self.shim, 0)  # a hang-up is always told
        return bool(waiting.poll(0))

    def wait_unless(self, order: socket.socket) -> bool:
        """Until it is over (True), or there is something to be read from `order`."""
        waiting = select.poll()
        waiting.register(self.shim, 0)
        waiting.register(order, select.POLLIN)
        return self.shim.fileno() in dict(waiting.poll())


class Makings(NamedTuple):
    """What a cradle takes. A shim has it from the forkserver: what a shim writes before it clones its cradle, both have to copy."""

    ours: socket.socket
    theirs: socket.socket
    successor: Successor

    @classmethod
    def make(cls) -> Self:
        """The next children have part in it. Raises OSError where there is no room for another descriptor or another page."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            successor = Successor()
            successor.give()
        except BaseException:
            ours.close()
            theirs.close()
            raise
        return cls(ours, theirs, successor)

    def keep(self) -> None:
        """The cradle is made, or cannot be; nobody else has part in it."""
        self.theirs.close()
        self.successor.keep()

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


def can_have_cradle(reaper_fd: int) -> bool:
    """Whether a PID 1 that is to turn into what is behind `reaper_fd` can be born in one on this machine."""
    return CAN_SUCCEED_IN_PLACE and reaper_fd >= 0


def make_cradle(
    makings: Makings,
    reaper_fd: int,
    title: prctl.ArgumentArea,
    template: Template | None,
    become_init: Callable[[init.Birth], NoReturn] = init.run,
    start: UnderWay | None = None,
    *,
    movable: bool,
) -> Cradle | None:
    """In a shim that waits for an order, which is to `keep` its makings then; `become_init` is PID 1's life. None where no other
    process can be: PID 1 is forked when it is wanted. Only if there `can_have_cradle`. `start`: another shim's, beside which
    this is done. `movable`: see `processors.expect`.
    """
    processors.stay()  # nobody waits for it
    try:
        pid, pidfd = clone()
    except OSError:
        processors.roam()
        makings.ours.close()
        return None
    if pid == 0:
        processors.roam()
        processors.expect(movable=movable)
        _wait(makings.theirs, reaper_fd, title, makings.successor, template, become_init, start)
    processors.roam()
    if start is not None and movable:
        processors.move(pid, start.processor)  # which is free when that is over
        if start.is_over():  # perhaps it had gone on before it was moved
            processors.let_roam(pid)
    return Cradle(pid, pidfd, makings.ours, makings.successor, movable)


def _wait(
    sync: socket.socket,
    reaper_fd: int,
    title: prctl.ArgumentArea,
    successor: Successor,
    template: Template | None,
    become_init: Callable[[init.Birth], NoReturn],
    start: UnderWay | None,
) -> NoReturn:
    try:
        if start is not None:
            # First, for that may take long: meanwhile nobody may take this process for one whose sockets it has.
            _settle(title, sync.fileno(), reaper_fd, start.shim.fileno())
            if start.wait_unless(sync):
                processors.roam(expecting=True)  # from where that start's PID 1 was
            start.shim.close()
        if template is not None:
            template.copy_ahead_what_pid_1_writes()
        if start is None:
            _settle(title, sync.fileno(), reaper_fd)
        packet, fds = sockets.receive_packet(sync)
        if packet:
            _bear(packet, fds, sync, reaper_fd, title, successor, template, become_init)
    except BaseException as error:  # noqa: BLE001 - the shim must hear of it, whatever it was: nobody else can
        setup.report_again(sync, error)
    finally:
        os._exit(0)


def _settle(title: prctl.ArgumentArea, *kept: int) -> None:
    prctl.set_parent_death_signal(signal.SIGKILL)
    title.write(title.prepared("orchestr8-init (next)"))
    prctl.set_name(b"orchestr8-next")  # its own, when its PID 1 has changed the title that is in their memory
    program.keep_only(*kept)


def _bear(
    packet: bytes,
    fds: list[int],
    sync: socket.socket,
    reaper_fd: int,
    title: prctl.ArgumentArea,
    successor: Successor,
    template: Template | None,
    become_init: Callable[[init.Birth], NoReturn],
) -> NoReturn:
    cgroup_fd = fds.pop(0) if packet.startswith(_IN_GROUP) else -1
    order = messages.decode(packet.removeprefix(_IN_GROUP))
    assert isinstance(order, messages.Spawn)
    birth = init.Birth(order, sync, reaper_fd, fds, title, {}, successor, in_cradle=True, template=template)
    successor.take_over_in_place(CloneFlag(order.namespaces), cgroup_fd=cgroup_fd)
    become_init(birth)
