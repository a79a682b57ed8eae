"""The child of a shim that sends a container's log to its receiver, and that may wait for it as long as that takes.

It reads packets from the queue, cuts them into lines, and sends them in their order. A receiver that is not there is
tried again and again, later and later; meanwhile the queue fills, and the shim counts what has no more room. It ends
when the shim has closed the queue and all of it is sent, or cannot be; the shim, which it never survives, sees to it
that this does not take for ever (SIGTERM: say what is lost, and end).
"""

import contextlib
import os
import select
import signal
import socket
import sys
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from orchestr8.kernel import prctl
from orchestr8.runtime.logsenders import packets
from orchestr8.runtime.logsenders.connections import Connection, connect
from orchestr8.runtime.logsenders.journal import JournalFormat
from orchestr8.runtime.logsenders.lines import Line, Splitter
from orchestr8.runtime.logsenders.syslog import SyslogFormat
from orchestr8.runtime.template import Template

_DELAY_S: Final = 0.1
_QUIET_MS: Final = 1000
_DELAY_MAX_S: Final = 5.0


class Over(BaseException):
    """The shim wants no more of this."""


class Sender:
    def __init__(
        self, queue: socket.socket, order: Mapping[str, Any], formats: SyslogFormat | JournalFormat,
        template: Template | None = None,
    ) -> None:  # fmt: skip
        self._queue = queue
        self._order = order
        self._format = formats
        self._block = formats.block if isinstance(formats, SyslogFormat) and _is_stream(order) else None
        self._template = template  # of the heap, as long as it is not shared again
        self._lines = {packets.STDOUT: Splitter(), packets.STDERR: Splitter()}
        self._batch: deque[bytes] = deque()  # formed, not sent
        self._connection: Connection | None = None
        self._reached: bool | None = None  # as it was told last
        self._lost_count = self._lost_size = 0  # messages and their bytes, of which the shim was not told
        self._delay_s = 0.0  # before the next try
        self._last_try = False  # the shim has closed the queue

    def run(self) -> None:
        """Until the queue is closed and empty."""
        try:
            with contextlib.suppress(OSError):  # told, and tried again when there is something to send
                self._connect()
            while self._batch or self._take():
                if not self._deliver():
                    raise Over
            if self._connection is not None:
                with contextlib.suppress(OSError):  # it was sent; more cannot be known
                    self._connection.finish()
        except Over:
            self._give_up()
        finally:
            self._disconnect()
            if self._lost_size:  # which the shim does not know
                self._say(f"took not all of it: {self._lost_count} lines ({self._lost_size} bytes) are lost")

    def _take(self) -> bool:
        """Form messages of the next packets; False at the queue's end."""
        while not self._batch:
            packet = self._receive()
            if not packet:
                self._end_lines()
                return bool(self._batch)
            self._form(packet)
        return True

    def _receive(self) -> bytes:
        """The next packet; after a quiet while, and once, memory is given back before."""
        if self._template is not None:
            waiting = select.poll()
            waiting.register(self._queue, select.POLLIN)
            if not waiting.poll(_QUIET_MS):
                self._template.share_again()
                self._template = None
        return self._queue.recv(packets.MAX_PACKET)

    def _form(self, packet: bytes) -> None:
        kind, at = packets.HEADER.unpack_from(packet)
        text = packet[packets.HEADER.size :]
        if kind in self._lines:
            lines = self._lines[kind]
            block = lines.take_whole(text, at) if self._block else b""
            if block and self._block:
                self._batch.append(self._block(kind, block, at))
            else:
                self._add(kind, lines.take(text, at))
            return
        if kind == packets.GAP:
            for stream, splitter in self._lines.items():
                if text[0] & stream:
                    splitter.drop()
            self._add(packets.STDERR, [Line(text[1:], at)])
        else:
            self._end_lines()

    def _end_lines(self) -> None:
        for stream, splitter in self._lines.items():
            self._add(stream, splitter.finish())

    def _add(self, stream: int, lines: list[Line]) -> None:
        message = self._format.message
        self._batch.extend(filter(None, [message(stream, line) for line in lines]))

    # --- the receiver ---------------------------------------------------------------------------------------------

    def _deliver(self) -> bool:
        """Send the batch, however long that takes; False: it cannot be sent, and nobody waits for that any more."""
        while self._batch:
            try:
                if self._connection is None:
                    self._connect()
                assert self._connection is not None
                self._connection.send(self._batch)
                self._delay_s = 0.0
            except OSError as error:
                if self._delay_s:  # else it is news only when the next connection cannot be made
                    self._tell_unreached(error)
                self._disconnect()
                if self._last_try or not self._batch:
                    return not self._batch
                self._pause()
        return True

    def _connect(self) -> None:
        try:
            self._connection = connect(self._order, self._lost)
        except OSError as error:
            self._tell_unreached(error)
            raise
        if not self._reached:
            if self._reached is False:
                self._say("is reached again")
            self._reached = True
            self._tell(packets.REACHED)

    def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with contextlib.suppress(OSError):
                connection.close()

    def _pause(self) -> None:
        """Until the next try; it is the last one when the shim closes the queue meanwhile."""
        waiting = select.poll()
        waiting.register(self._queue, select.POLLRDHUP)
        if waiting.poll(self._delay_s * 1000):
            self._last_try = True
        self._delay_s = min(max(_DELAY_S, 2 * self._delay_s), _DELAY_MAX_S)

    # --- the shim -------------------------------------------------------------------------------------------------

    def _tell_unreached(self, error: OSError) -> None:
        if self._reached is not False:
            self._reached = False
            why = reason(error)
            self._tell(packets.UNREACHED + why.encode())
            self._say(f"cannot be reached: {why}; it is tried again")

    def _lost(self, count: int, size: int, why: str) -> None:
        self._lost_count += count
        self._lost_size += size
        if self._tell(packets.LOST + f"{self._lost_count} {self._lost_size} {why}".encode()):
            self._lost_count = self._lost_size = 0

    def _tell(self, news: bytes) -> bool:
        """False: the shim has much to do, or is ending. It is not waited for."""
        try:
            self._queue.send(news[: packets.MAX_NEWS], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            return False
        return True

    def _give_up(self) -> None:
        """Count what is left as lost."""
        count, size = sum(each.count(b"\n") for each in self._batch), sum(map(len, self._batch))
        self._batch.clear()
        with contextlib.suppress(OSError):
            while packet := self._queue.recv(packets.MAX_PACKET, socket.MSG_DONTWAIT):
                count += packet.count(b"\n", packets.HEADER.size)
                size += len(packet) - packets.HEADER.size
        self._lost_count += count
        self._lost_size += size

    def _say(self, what: str) -> None:
        name, receiver = self._order["owner"], self._order["name"]
        with contextlib.suppress(OSError):
            print(f"{name}: the receiver of its log, {receiver}, {what}", file=sys.stderr, flush=True)


def reason(error: OSError) -> str:
    """In a few words: `Connection refused`."""
    return error.strerror or str(error) or type(error).__name__


def _is_stream(order: Mapping[str, Any]) -> bool:
    """Do messages follow each other there with nothing but newlines between them?"""
    return order["network"] in ("tcp", "unix", "tcp+tls") and not (
        order["tls"] and order["format"].startswith("rfc5424")
    )


def make_format(order: Mapping[str, Any], pid: int) -> SyslogFormat | JournalFormat:
    """`pid`: which syslog shows for the container."""
    if order["kind"] == "journald":
        return JournalFormat([(name, text) for name, text in order["fields"]])
    return SyslogFormat(
        order["format"], facility=order["facility"], tag=order["tag"], hostname=os.uname().nodename, pid=pid,
        counted=bool(order["tls"]),
    )  # fmt: skip


def main(queue: socket.socket, order: Mapping[str, Any], parent: int, template: Template | None) -> NoReturn:
    """The child's life, from the fork on. It holds nothing of the container's, and ends with its shim."""
    code = 1
    try:
        prctl.set_parent_death_signal(signal.SIGKILL)
        if os.getppid() == parent:
            fd = queue.fileno()
            os.closerange(3, fd)
            os.closerange(fd + 1, os.sysconf("SC_OPEN_MAX"))
            signal.signal(signal.SIGTERM, _be_over)
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            title = prctl.ArgumentArea()
            title.write(title.prepared(f"orchestr8-log {order['container']}"))
            prctl.set_name(b"orchestr8-log")
            Sender(queue, order, make_format(order, parent), template).run()
            code = 0
    except Over:  # before there was anything to be given up
        code = 0
    except BaseException:  # noqa: BLE001 - told, and no further: the shim's own code must not go on here
        sys.__excepthook__(*sys.exc_info())
    finally:
        os._exit(code)


def _be_over(_number: int, _frame: object) -> NoReturn:
    raise Over
