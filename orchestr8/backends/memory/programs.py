"""Programs for the fake backend: just enough of a shell that a test's command means the same to it and to a real one.

Known: `true`, `false`, `echo`, `sleep`, `cat`, and `sh -c` with these, `exit N` and `trap '' TERM`, one after the other.
All on the loop's own timers: nothing runs while a program sleeps.
"""

import asyncio
import os
import shlex
import signal
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from orchestr8.wire.frames import STDERR, STDOUT, encode

NOT_FOUND: Final = 127
KNOWN: Final = frozenset({"true", "false", "echo", "sleep", "cat", "sh", "exit", "trap"})


class Program:
    """One process. `write` gets its output as (stream, bytes), `ended` its exit code."""

    def __init__(
        self, argv: Sequence[str], write: Callable[[int, bytes], None], ended: Callable[[int], None], *, stdin: bool
    ) -> None:
        self._commands = deque(_parse(argv))
        self._write = write
        self._ended = ended
        self._ignored: set[int] = set()
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._reading = False
        self._input = deque[bytes]()  # b"": its end
        self._code = 0
        self.over = False
        self._paused = False
        self._due = False  # its next step came while it was paused
        self._signals: list[int] = []  # likewise
        if not stdin:
            self._input.append(b"")

    def start(self) -> None:
        self._timer = asyncio.get_running_loop().call_soon(self._step)

    def feed(self, data: bytes) -> None:
        """Input; b"" is its end."""
        self._input.append(data)
        if self._reading and not self._paused:
            self._copy()

    def pause(self) -> None:
        self._paused = True

    def go_on(self) -> None:
        self._paused = False
        signals, self._signals = self._signals, []
        for number in signals:
            self.signal(number)
        due, self._due = self._due, False
        if self._reading:
            self._copy()
        elif due:
            self._step()

    def signal(self, number: int) -> None:
        if self._paused and number != signal.SIGKILL:
            self._signals.append(number)
        elif number == signal.SIGKILL or (number not in self._ignored and number != 0):
            self._end(128 + number)

    def _step(self) -> None:
        if self._paused:
            self._due = True
            return
        while self._commands and not self.over:
            words = self._commands.popleft()
            match words:
                case ["exit", *code]:
                    self._end(int(code[0]) if code else self._code)
                case ["trap", "", *names]:
                    self._ignored |= {signal.Signals[f"SIG{each.removeprefix('SIG')}"] for each in names}
                case ["sleep", "infinity"]:
                    return
                case ["sleep", seconds]:
                    self._timer = asyncio.get_running_loop().call_later(float(seconds), self._step)
                    return
                case ["cat"]:
                    self._reading = True
                    self._copy()
                    return
                case _:
                    self._code = self._run(words)
        self._end(self._code)

    def _run(self, words: list[str]) -> int:
        match words:
            case ["true"]:
                return 0
            case ["false"]:
                return 1
            case ["echo", *rest, ">&2"]:
                self._write(STDERR, (" ".join(rest) + "\n").encode())
                return 0
            case ["echo", *rest]:
                self._write(STDOUT, (" ".join(rest) + "\n").encode())
                return 0
            case _:
                self._write(STDERR, f"{words[0]}: not found\n".encode())
                return NOT_FOUND

    def _copy(self) -> None:
        while self._input and not self.over:
            data = self._input.popleft()
            if data:
                self._write(STDOUT, data)
            else:
                self._reading = False
                self._step()

    def _end(self, code: int) -> None:
        if not self.over:
            self.over = True
            if self._timer is not None:
                self._timer.cancel()
            self._ended(code)


def _parse(argv: Sequence[str]) -> list[list[str]]:
    name = os.path.basename(argv[0]) if argv else ""
    if name == "sh" and len(argv) >= 3 and argv[1] == "-c":
        lines = argv[2].replace("\n", ";").split(";")
        return [shlex.split(line) for line in lines if line.strip()]
    return [[name if name in KNOWN else argv[0], *argv[1:]]] if argv else []


def run_at_once(argv: Sequence[str]) -> tuple[int | None, str]:
    """Exit code and output of a program that does not wait for anything; None for one that would sleep or read."""
    output: list[bytes] = []
    codes: list[int] = []
    program = Program(argv, lambda _, data: output.append(data), codes.append, stdin=False)
    program._step()
    return (codes[0] if codes else None), b"".join(output).decode()


class Peer:
    """A client's connection as the stdio of a program: frames out (raw bytes with a terminal), raw bytes in."""

    def __init__(self, stream_fd: int, *, tty: bool) -> None:
        self._socket = socket.socket(fileno=os.dup(stream_fd))
        self._socket.setblocking(False)
        self._tty = tty
        self._out = bytearray()
        self._closing = False
        self._loop = asyncio.get_running_loop()

    def listen(self, feed: Callable[[bytes], None], early: bytes) -> None:
        if early:
            feed(early)
        self._loop.add_reader(self._socket, self._readable, feed)

    def write(self, stream: int, data: bytes) -> None:
        self._out += data if self._tty else encode(stream, data)
        self._flush()

    def close(self) -> None:
        """Once what was written is sent."""
        self._closing = True
        self._flush()

    def _readable(self, feed: Callable[[bytes], None]) -> None:
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # the client is gone, which ends the input as its half-close does
        if not data:
            self._loop.remove_reader(self._socket)
        feed(data)

    def _flush(self) -> None:
        if self._socket.fileno() < 0:
            return
        try:
            while self._out:
                del self._out[: self._socket.send(self._out)]
        except BlockingIOError:
            self._loop.add_writer(self._socket, self._flush)
            return
        except OSError:
            self._out.clear()  # nobody reads any more
        self._loop.remove_writer(self._socket)
        if self._closing:
            self._loop.remove_reader(self._socket)
            self._socket.close()


class Exec:
    """See model.backend.ExecHandle."""

    def __init__(self, pid: int, peer: Peer) -> None:
        self._pid = pid
        self._peer = peer
        self._over = asyncio.Event()
        self._code = 0

    @property
    def pid(self) -> int:
        return self._pid

    def ended(self, code: int) -> None:
        self._code = code
        self._peer.close()
        self._over.set()

    async def wait(self) -> int:
        await self._over.wait()
        return self._code

    async def resize(self, rows: int, columns: int) -> None:
        """Its terminal has no size."""
