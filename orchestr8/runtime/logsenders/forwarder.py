"""The shim's part of a log that goes to a receiver: a copy of our own, and a queue for the sender, which is never waited for.

The queue is a socket's buffer, so it takes no memory while it is empty, and both of its ends are held here: a sender that
is killed is replaced by another, which goes on with what is in it. What has no room is counted. Where the next thing goes
into the queue a line tells the receiver how much is missing (not of datagrams that it did not take: that would fare as they
did); our own copy and the engine are told when a loss begins and when none came for a while (`_CALM_S`), for with a receiver
that is merely slow there are many small ones.
"""

import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import sys
import termios
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from orchestr8.runtime.logsenders import packets, sender
from orchestr8.runtime.poller import ENDED, READ, WRITE, Poller
from orchestr8.runtime.successors import kill
from orchestr8.runtime.template import Template

QUEUE_BYTES: Final = 8 << 20
_QUEUE_MAX: Final = 1 << 30  # the kernel doubles it, in 32 bits
_SO_SNDBUFFORCE: Final = 32  # <asm-generic/socket.h>
_CALM_S: Final = 5.0
_ROOM: Final = 8  # the part of a full queue that has to be free again, lest there be a line of ours for each of its own
_LIFE_S: Final = 1.0  # of a sender, at least: too many of them that live no longer are replaced less often
_DEATHS_MAX: Final = 3
_LAST_S: Final = 5.0  # for what is in the queue when the shim ends
_END_S: Final = 1.0  # for a sender to say what it gives up


class Log(Protocol):
    """Our own copy: a `logwriter.LogWriter`, or `NoLog`."""

    lost_bytes: int
    on_trouble: Callable[[str], None]

    def write(self, stream: bytes, chunk: bytes) -> None: ...

    def close(self) -> None: ...


class _Loss:
    __slots__ = ("lines", "size")

    def __init__(self) -> None:
        self.lines = 0
        self.size = 0  # bytes

    def add(self, lines: int, size: int) -> None:
        self.lines += lines
        self.size += size

    def told(self, where: str, why: str) -> bytes:
        """The line that stands in the place of what was lost."""
        lines, were = ("line", "was") if self.lines == 1 else ("lines", "were")
        text = f"orchestr8: {self.lines} {lines} ({self.size} bytes) of this log {were} not sent to {where}: {why}"
        return text.encode(errors="replace")


class Forwarder:
    """A log as the shim wants one, which writes to `copy` and forwards to the receiver of `order` (`runtime.logorder`)."""

    def __init__(self, copy: Log, poller: Poller, order: Mapping[str, Any], template: Template | None = None) -> None:
        self._copy = copy
        self._poller = poller
        self._order = order
        self._template = template
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._size = _widen(self._ours, order.get("queue_bytes", QUEUE_BYTES))
        self._pidfd = -1
        self._born = 0.0
        self._deaths = 0  # of senders that did not live for long
        self._gap = _Loss()  # of which the receiver was not told yet
        self._gap_streams = 0
        self._torn: set[int] = set()  # streams that are within a line that is lost
        self._unsent = _Loss()  # of which our own copy does not tell yet
        self._unsent_bytes = 0  # ever
        self._full = False  # until the queue has room again for more than a few lines
        self._runs = False  # the program: it may write again before anything is to be told
        self._end_due = False  # a run has ended, which had no room in the queue
        self._lost_at = 0.0
        self._last_reason = ""
        self._obstacle: str | None = None
        self._waiting: list[Callable[[], None]] = []
        self.on_trouble: Callable[[str], None] = lambda _reason: None
        copy.on_trouble = self._copy_trouble
        poller.watch(self._ours.fileno(), READ, self._ready)
        self._begin()

    # --- the log --------------------------------------------------------------------------------------------------

    @property
    def lost_bytes(self) -> int:
        """What our own copy or the receiver did not get."""
        return self._copy.lost_bytes + self._unsent_bytes

    @property
    def obstacle(self) -> str | None:
        """Why the receiver cannot be reached; "": it can; None: that is not known yet."""
        if self._obstacle:
            return f"the receiver of its log, {self._order['name']}, cannot be reached: {self._obstacle}"
        return self._obstacle

    def when_known(self, tell: Callable[[], None]) -> None:
        """Call `tell` once, as soon as `obstacle` is known."""
        self._waiting.append(tell)

    def write(self, stream: bytes, chunk: bytes) -> None:
        """Append to our copy, and put into the queue what has room there."""
        self._copy.write(stream, chunk)
        self._runs = True
        if self._pidfd < 0:
            self._begin_again()
        if self._unsent.size and not self._full and time.monotonic() - self._lost_at > _CALM_S:
            self._tell_unsent()
        kind = packets.STDERR if stream == b"stderr" else packets.STDOUT
        if kind in self._torn:
            end = chunk.find(b"\n") + 1 or len(chunk)
            self._miss(kind, chunk[:end])
            chunk = chunk[end:]
        for start in range(0, len(chunk), packets.PIECE_BYTES):
            if not self._offer(kind, chunk[start : start + packets.PIECE_BYTES]):
                self._full = True
                self._miss(kind, chunk[start:])
                return

    def end_run(self) -> None:
        """The program has ended: a line that it has not finished is one now."""
        self._runs = False
        if self._unsent.size:
            self._tell_unsent()
        self._end_due = True
        self._torn.clear()
        if not self._catch_up():
            self._poller.watch(self._ours.fileno(), READ | WRITE, self._ready)

    def close(self) -> None:
        """Nothing more comes. The sender goes on with what it has (`linger`)."""
        if self._unsent.size:
            self._tell_unsent()
        self._copy.close()
        self._poller.forget(self._ours.fileno())

    def linger(self) -> None:
        """Give the sender some time for the rest, and see it end. Nobody waits for this process any more."""
        if self._pidfd < 0 and _queued(self._ours):
            self._begin()
        deadline = time.monotonic() + _LAST_S
        while not self._catch_up() and _is_ready(self._ours.fileno(), select.POLLOUT, deadline):
            pass
        self._ours.shutdown(socket.SHUT_WR)
        if self._pidfd >= 0:
            self._poller.forget(self._pidfd)
            if not _is_ready(self._pidfd, select.POLLIN, deadline):
                signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)
            if not _is_ready(self._pidfd, select.POLLIN, time.monotonic() + _END_S):
                kill(self._pidfd)
            os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
            os.close(self._pidfd)
            self._pidfd = -1
        self._unsent = _Loss()
        self._take_news()
        if self._unsent.size:  # our own copy may be another shim's by now
            told = self._unsent.told(self._order["name"], self._last_reason).decode()
            with contextlib.suppress(OSError):  # nowhere to tell it
                print(f"{self._order['owner']}: {told}", file=sys.stderr, flush=True)
        self._ours.close()
        self._theirs.close()

    def _copy_trouble(self, why: str) -> None:
        self.on_trouble(why)

    # --- the queue ------------------------------------------------------------------------------------------------

    def _offer(self, kind: int, piece: bytes) -> bool:
        """Put it into the queue, after what has to come before it."""
        if self._full and _queued(self._ours) > self._size - self._size // _ROOM:
            return False
        self._full = False
        return self._catch_up() and self._put(kind, piece)

    def _catch_up(self) -> bool:
        """Put what comes before anything else: how much is missing, and that a run has ended. False: there is no room."""
        if self._gap.size:
            told = self._gap.told(self._order["name"], self._last_reason)
            if not self._put(packets.GAP, bytes([self._gap_streams]) + told):
                return False
            self._gap = _Loss()
            self._gap_streams = 0
        if self._end_due and not self._put(packets.RUN_END):
            return False
        self._end_due = False
        return True

    def _put(self, kind: int, piece: bytes = b"") -> bool:
        header = packets.HEADER.pack(kind, time.time_ns())
        try:
            self._ours.sendmsg([header, piece], [], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:  # EAGAIN: it is full; ENOMEM, ENOBUFS: the machine is
            return False
        return True

    def _miss(self, kind: int, lost: bytes) -> None:
        """There was no room for this. A line of which anything is lost is lost: what comes up to its end is, too."""
        if lost.endswith(b"\n"):
            self._torn.discard(kind)
        else:
            self._torn.add(kind)
        lines = lost.count(b"\n")
        self._gap.add(lines, len(lost))
        self._gap_streams |= kind
        self._poller.watch(self._ours.fileno(), READ | WRITE, self._ready)  # told as soon as there is much room
        self._lose(lines, len(lost), self._obstacle or "it takes less than is written")

    def _lose(self, lines: int, size: int, why: str) -> None:
        is_first = not self._unsent.size
        self._unsent.add(lines, size)
        self._unsent_bytes += size
        self._lost_at = time.monotonic()
        self._last_reason = why
        if is_first:
            self.on_trouble(f"{self._order['name']}: {why}")

    def _tell_unsent(self) -> None:
        """The loss is over, as it seems: our own copy says how much it was."""
        told = self._unsent.told(self._order["name"], self._last_reason)
        self._unsent = _Loss()
        self._copy.write(b"stderr", told + b"\n")
        self.on_trouble("")

    # --- the sender -----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._born = time.monotonic()
        parent = os.getpid()
        try:
            child = os.fork()
            if child == 0:
                sender.main(self._theirs, self._order, parent, self._template)
            self._pidfd = _pidfd_of(child)
        except OSError as error:  # no processes, no memory: tried again when there is something to send
            self._know(f"cannot start who sends to it: {error.strerror}")
            return
        self._poller.watch(self._pidfd, ENDED, self._ended)

    def _begin_again(self) -> None:
        if self._deaths < _DEATHS_MAX or time.monotonic() - self._born > _LIFE_S:
            self._begin()

    def _ended(self, _events: int) -> None:
        """Somebody has killed it, or the machine ran out of memory: another one goes on with the queue."""
        if os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG) is None:
            return
        self._poller.forget(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        self._deaths = self._deaths + 1 if time.monotonic() - self._born < _LIFE_S else 0
        self._know("who sends to it has ended")
        self._begin_again()

    def _ready(self, events: int) -> None:
        if events & WRITE and self._catch_up():
            self._poller.watch(self._ours.fileno(), READ, self._ready)
        self._take_news()
        if self._unsent.size and not self._runs and not _queued(self._ours):  # what the run left is sent, or lost
            self._tell_unsent()

    def _take_news(self) -> None:
        try:
            while news := self._ours.recv(packets.MAX_NEWS, socket.MSG_DONTWAIT):
                if news == packets.REACHED:
                    self._know("")
                elif news.startswith(packets.UNREACHED):
                    self._know(news.removeprefix(packets.UNREACHED).decode(errors="replace"))
                elif news.startswith(packets.LOST):
                    lines, size, why = news.removeprefix(packets.LOST).decode(errors="replace").split(" ", 2)
                    self._lose(int(lines), int(size), why)
        except BlockingIOError:
            pass

    def _know(self, obstacle: str) -> None:
        self._obstacle = obstacle
        waiting, self._waiting = self._waiting, []
        for tell in waiting:
            tell()


def _pidfd_of(child: int) -> int:
    """Raises OSError when there is no descriptor left for it; the child is gone then."""
    try:
        return os.pidfd_open(child)
    except OSError:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise


def _widen(sock: socket.socket, wanted: int) -> int:
    """Let the queue hold about `wanted` bytes of output; returns its size as the kernel counts it, which is twice that, with what
    each packet takes besides (socket(7), SO_SNDBUF).
    """
    limited = min(wanted, _QUEUE_MAX)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, limited)
    except PermissionError:  # in a user namespace: as much as the machine lets anybody have
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, limited)
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)


def _queued(sock: socket.socket) -> int:
    """How much of `_widen`'s size is taken."""
    (size,) = struct.unpack("=i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))
    return int(size)


def _is_ready(fd: int, event: int, deadline: float) -> bool:
    """Whether that happens before `deadline`, of the monotonic clock."""
    waiting = select.poll()
    waiting.register(fd, event)
    return bool(waiting.poll(max(0.0, deadline - time.monotonic()) * 1000))
