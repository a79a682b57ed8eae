"""Stdio between a program and its clients, inside the shim: pipes or a terminal on one side, Docker's stream on the other.

    program ──pipe──▶ Output ──▶ log (LogWriter)
                        └─────▶ Session ──8-byte frames──▶ client
    program ◀──pipe── Input ◀── Session ◀── raw bytes ──── client

Everything is non-blocking. A session whose client reads slowly pauses the program's output, as a slow terminal does;
the log has no such reader: followed logs are read from the file. With a terminal the client gets raw bytes.
"""

import contextlib
import fcntl
import os
import socket
import struct
import time
from collections.abc import Callable
from typing import Final

from orchestr8.runtime.poller import HANGUP, READ, WRITE, Poller
from orchestr8.runtime.terminal import end_of_input

STDOUT: Final = 1
STDERR: Final = 2
_READ_SIZE: Final = 256 * 1024
_CHUNK_SIZE: Final = 64 * 1024  # of a program's output: it is handled while it is in the processor's cache
_PIPE_SIZE: Final = 256 * 1024
# Who writes in small pieces, one after the other, is let write some more of them before the next read: a million lines
# in writes of 4 KiB woke the shim seventeen thousand times, and took a fifth longer. His pipe holds what he writes meanwhile.
_SMALL_SIZE: Final = 32 * 1024
_NAP_S: Final = 0.0003
_HIGH_WATER: Final = 512 * 1024
_DRAIN_BYTES: Final = 2 * 1024 * 1024  # a pipe of an unprivileged program holds half of it (pipe(7), pipe-max-size)
_DRAIN_READS: Final = 1024
_FRAME: Final = struct.Struct(">B3xI")


class Input:
    """The write end of a program's stdin and what is not yet written to it.

    For a terminal `fd` is a duplicate of its own, so that giving it up ends this input and nothing else. `by_key`: it is
    a terminal, whose program learns of the end as from a person: by Ctrl-D, where it reads lines.
    """

    def __init__(self, poller: Poller, fd: int, *, by_key: bool = False) -> None:
        os.set_blocking(fd, False)
        self._poller = poller
        self._fd = fd
        self._pending = bytearray()
        self._is_wide = False  # was its pipe made larger?
        self._ended = False
        self._by_key = by_key
        self._is_within_line = False
        self.listeners: list[Callable[[], None]] = []  # called when there is room again, and when it is closed

    @property
    def full(self) -> bool:
        return len(self._pending) >= _HIGH_WATER

    def write(self, data: bytes) -> None:
        if self._fd >= 0 and not self._ended:
            self._pending += data
            self._is_within_line = data[-1:] not in {b"", b"\r", b"\n"}
            self._flush(WRITE)

    def end(self) -> None:
        """No more input: close once everything is written."""
        if self._by_key and self._fd >= 0 and not self._ended:
            self.write(end_of_input(self._fd) * (2 if self._is_within_line else 1))  # the first one ends a line
        self._ended = True
        if not self._pending:
            self.close()

    def _flush(self, _events: int) -> None:
        try:
            while self._pending:
                written = os.write(self._fd, self._pending[:_READ_SIZE])
                del self._pending[:written]
        except BlockingIOError:
            if not self._is_wide:
                self._is_wide = True
                _widen(self._fd)
            self._poller.watch(self._fd, WRITE, self._flush)
            return
        except OSError:  # EPIPE, EIO: nobody reads it any more
            self.close()
            return
        if self._ended:
            self.close()
            return
        self._poller.watch(self._fd, 0, self._flush)
        self._tell_room()

    def _tell_room(self) -> None:
        for listener in list(self.listeners):
            listener()

    def close(self) -> None:
        self._pending.clear()
        if self._fd >= 0:
            self._poller.forget(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._tell_room()


class Session:
    """One client on a stream socket. `on_end` is called once, when it is gone or everything is delivered.

    `wants_input`: what the client sends is for the program; it is kept, as far as there is room, until `take_input`
    says where it goes. Without it, it is read and dropped, so that the client's end is noticed. A `guest` is
    one of those who look at a program that does not run for them: the end of what it sends ends nobody's input, and what
    it is too slow for it misses, and is told so.
    """

    def __init__(
        self, poller: Poller, fd: int, *, raw: bool, wants_input: bool, early: bytes, guest: bool = False
    ) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)
        self._poller = poller
        self._raw = raw
        self.wants_input = wants_input
        self._guest = guest
        self._missed = 0  # bytes
        self._early = bytearray(early if wants_input else b"")
        self._input: Input | None = None
        self._owns_input = False
        self._out = bytearray()
        self._reading = True
        self.finishing = False
        self.open = True
        self._resumes: list[Callable[[], None]] = []
        self.on_end: Callable[[], None] = lambda: None
        self._update()

    def take_input(self, program_input: Input, *, owned: bool) -> None:
        """What the client sends goes to the program from now on, what it sent before first.

        `owned`: the input is this session's alone, and ends with it.
        """
        self._input = program_input
        self._owns_input = owned
        program_input.listeners.append(self._update)
        program_input.write(bytes(self._early))
        self._early.clear()
        if not self._reading and not self._guest:
            program_input.end()
        self._update()

    def refuse_input(self) -> None:
        """The program has no stdin: what the client sends is dropped."""
        self.wants_input = False
        self._early.clear()
        self._update()

    @property
    def full(self) -> bool:
        return self.open and not self._guest and len(self._out) >= _HIGH_WATER

    def when_room(self, resume: Callable[[], None]) -> None:
        """Call `resume` each time a full session has room again, and when it is gone."""
        self._resumes.append(resume)

    def _tell_room(self) -> None:
        for resume in self._resumes:
            resume()

    def deliver(self, stream: int, chunk: bytes) -> None:
        if not self.open or self.finishing:
            return
        if self._guest and len(self._out) >= _HIGH_WATER:
            self._missed += len(chunk)
            return
        self._tell_missed()
        self._put(stream, chunk)
        self._flush()

    def _tell_missed(self) -> None:
        if self._missed:
            missed, self._missed = self._missed, 0
            self._put(
                STDERR, b"\r\n[%d bytes are not shown here, which was too slow for them; the log has them]\r\n" % missed
            )

    def _put(self, stream: int, chunk: bytes) -> None:
        if not self._raw:
            self._out += _FRAME.pack(stream, len(chunk))
        self._out += chunk

    def finish(self) -> None:
        """The program has ended: deliver the rest of its output, then close."""
        self.finishing = True
        self._tell_missed()
        self._let_go_of_input()
        self._flush()

    def _ready(self, events: int) -> None:
        if events & READ and self._reading:
            self._read()
        elif events & READ:  # a hang-up: the client has closed, and not only its sending side
            self._close()
        if events & WRITE and self.open:
            self._flush()

    def _read(self) -> None:
        try:
            data = self._socket.recv(_READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            self._close()
            return
        if data:
            if self._input is not None:
                self._input.write(data)
            elif self.wants_input:
                self._early += data
        else:
            self._reading = False
            if self._input is not None and not self._guest:
                self._input.end()
        self._update()

    def _flush(self) -> None:
        was_full = self.full
        try:
            while self._out:
                sent = self._socket.send(self._out[:_READ_SIZE])
                del self._out[:sent]
        except BlockingIOError:
            pass
        except OSError:  # the client is gone; the program does not care
            self._close()
            return
        if self.finishing and not self._out:
            self._close()
            return
        self._update()
        if was_full and not self.full:
            self._tell_room()

    def _update(self) -> None:
        """Watch for what can go on: input while there is room for it, output while there is some."""
        if not self.open:
            return
        pending_full = self._input.full if self._input is not None else len(self._early) >= _HIGH_WATER
        reads = self._reading and not pending_full
        mask = (READ if reads else 0) | (WRITE if self._out else 0)
        self._poller.watch(self._socket.fileno(), mask | HANGUP, self._ready)

    def _close(self) -> None:
        if self.open:
            self.open = False
            self._out.clear()
            self._poller.forget(self._socket.fileno())
            self._socket.close()
            self._let_go_of_input()
            self._tell_room()
            self.on_end()

    def _let_go_of_input(self) -> None:
        if self._input is not None:
            self._input.listeners.remove(self._update)
            if self._owns_input:
                self._input.close()
            self._input = None
            self.wants_input = False


def _widen(fd: int) -> None:
    """Let a pipe hold more, where one side waits for the other all the time: each turn of theirs is one of the scheduler's."""
    with contextlib.suppress(OSError):  # a terminal, or no more is granted to this user: it stays as it is
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)


class Output:
    """One descriptor that the program writes to, read whenever every session has room."""

    def __init__(self, poller: Poller, fd: int, stream: int, log: Callable[[bytes], None] | None) -> None:
        os.set_blocking(fd, False)
        self._poller = poller
        self._fd = fd
        self._stream = stream
        self._log = log
        self._taken = 0  # bytes, ever
        self._rested_at = 0.0  # when something small had been read last
        self._is_wide = False  # was its pipe made larger?
        self.sessions: list[Session] = []
        self.resume()

    @property
    def open(self) -> bool:
        return self._fd >= 0

    def add(self, session: Session) -> None:
        """Deliver to `session` too, from now on and while it is open."""
        self.sessions.append(session)
        session.when_room(self.resume)
        self.resume()

    def resume(self) -> None:
        self.sessions = [session for session in self.sessions if session.open]
        if self._fd >= 0:
            self._poller.watch(self._fd, 0 if self._paused else READ, self._ready)

    @property
    def _paused(self) -> bool:
        return any(session.full for session in self.sessions)

    def _ready(self, _events: int) -> None:
        """Take all that a pipe holds: what the other stream got later is read later."""
        before = self._taken
        if not self._read():
            return
        taken = self._taken - before
        if taken == _CHUNK_SIZE:
            self._widen()
            while self._taken - before < _PIPE_SIZE and (self._taken - before) % _CHUNK_SIZE == 0 and not self._paused:
                if not self._read():
                    break
        elif taken < _SMALL_SIZE and not self.sessions:
            now = time.monotonic()
            if now - self._rested_at < 2 * _NAP_S:
                self._widen()
                time.sleep(_NAP_S)
                now = time.monotonic()
            self._rested_at = now

    def _widen(self) -> None:
        if not self._is_wide:
            self._is_wide = True
            _widen(self._fd)

    def _read(self) -> bool:
        """Pass on one read; False when there is nothing (more) to read."""
        try:
            chunk = os.read(self._fd, _CHUNK_SIZE)
        except BlockingIOError:
            return False
        except OSError:  # EIO: the last process has closed its side of the terminal
            chunk = b""
        if not chunk:
            self.close()
            return False
        self._taken += len(chunk)
        if self._log is not None:
            self._log(chunk)
        for session in self.sessions:
            session.deliver(self._stream, chunk)
        self.resume()
        return True

    def drain(self) -> None:
        """Read what is there now, heedless of slow sessions, and close: the program has ended.

        No more than a pipe can hold: a program may have given the other end to one in another container.
        """
        before, reads = self._taken, 0
        while self._fd >= 0 and self._taken - before < _DRAIN_BYTES and reads < _DRAIN_READS and self._read():
            reads += 1
        self.close()

    def close(self) -> None:
        if self._fd >= 0:
            self._poller.forget(self._fd)
            os.close(self._fd)
            self._fd = -1
