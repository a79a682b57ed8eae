"""The caller's own terminal and streams, connected to a program in a container: `exec`, `run` and `attach`.

With a terminal, every key goes to the program (the local terminal is raw until the end) and what comes back is shown
as it is; without one, the two outputs come in frames, and the end of our input is passed on by a half-close.
"""

from __future__ import annotations

import json
import os
import select
import signal
import termios
import tty

from orchestr8.cli.loop import Signals
from orchestr8.cli.output import write_all
from orchestr8.cli.parser import UsageError
from orchestr8.errors import Orchestr8Error, error_from_json
from orchestr8.wire.frames import ERROR, STDERR, FrameReader

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Final, Self

    from orchestr8.cli.detach import DetachKeys
    from orchestr8.wire.client import Client, Stream

READ_BYTES: Final = 64 * 1024
ERROR_HEAD: Final = bytes([ERROR, 0, 0, 0])
PATIENCE: Final = 3  # so many requests to end, and the caller is free


class RawTerminal:
    """While entered, the terminal at `fd` hands every key over at once, Ctrl-C among them. None: no terminal, nothing."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        if self._fd is not None:
            self._before = termios.tcgetattr(self._fd)
            tty.setraw(self._fd, termios.TCSANOW)
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)


def is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False


def terminal_size(fd: int) -> tuple[int, int]:
    """Rows and columns; 0, 0 where it does not tell."""
    try:
        columns, rows = os.get_terminal_size(fd)
    except OSError:
        return 0, 0
    return rows, columns


def resize(client: Client, there: str) -> None:
    """Give the program at the path `there` the size of our terminal."""
    rows, columns = terminal_size(1)
    if rows and columns:
        client.request("POST", f"{there}/resize", query={"h": rows, "w": columns})


def wants_terminal(*, wanted: bool, no_tty: bool) -> bool:
    """A program gets a terminal when both ends of ours are one, unless told otherwise."""
    if wanted and no_tty:
        raise UsageError("-t asks for a terminal and -T for none")
    return wanted or (not no_tty and is_terminal(0) and is_terminal(1))


def environment_list(given: Iterable[str], environ: Mapping[str, str], *, tty: bool) -> list[str]:
    """KEY=VALUE as given; KEY alone takes the caller's value, if there is one. A terminal's kind goes with it."""
    found = {"TERM": environ["TERM"]} if tty and environ.get("TERM") else {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or any(letter.isspace() or letter == "\0" for letter in name):
            raise UsageError(f"-e {text}: `{name}` cannot name a variable", helps=["write -e KEY=VALUE, or -e KEY"])
        if equals:
            found[name] = value
        elif name in environ:
            found[name] = environ[name]
    return [f"{name}={value}" for name, value in found.items()]


def interact(
    client: Client, stream: Stream, there: str, *, tty: bool, stdin: bool,
    forward: Callable[[signal.Signals], None] | None, keys: DetachKeys | None = None,
) -> int | None:  # fmt: skip
    """Connect the caller with a program until its output ends. `there` is its path, for changes of the terminal's size.

    `forward` passes signals on to the program; at the third of those that ask to end, or at the first where there is
    no `forward`, the program is left alone and the signal's number returned. `keys`, typed, let it alone, too: 0. None: the
    program ended its output.
    Raises the engine's error if there was nothing to connect with.
    """
    left: list[int] = []

    def on_signal(number: signal.Signals) -> None:
        if number != signal.SIGWINCH and (forward is None or len(asked) == PATIENCE - 1):
            left.append(number)
            pump.stop()
            return
        try:
            if number == signal.SIGWINCH:
                resize(client, there)
            elif forward is not None:
                asked.append(number)
                forward(number)
        except Orchestr8Error:
            return  # the program has ended meanwhile, or its engine has: the stream's end tells that

    asked: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, *((signal.SIGWINCH,) if tty else ()))
    with Signals(numbers) as signals, RawTerminal(0 if tty and stdin and is_terminal(0) else None):
        pump = Pump(stream, signals, on_signal, raw=tty, stdin=stdin, keys=keys)
        pump.run()
    if pump.error:
        raise error_from_json(500, json.loads(pump.error))
    if pump.detached:
        return 0
    return left[0] if left else None


class Pump:
    """Carries bytes both ways until the program's output ends. `raw`: a terminal's stream, which has no frames.

    `error` is what the engine said if it could not connect us: a frame of its own, on a raw stream too, where nothing
    else begins with such bytes.
    """

    def __init__(
        self, stream: Stream, signals: Signals, on_signal: Callable[[signal.Signals], None], *, raw: bool, stdin: bool,
        keys: DetachKeys | None = None,
    ) -> None:  # fmt: skip
        self._stream = stream
        self._signals = signals
        self._on_signal = on_signal
        self._raw = raw
        self._frames = FrameReader()
        self._keys = keys
        self.error = b""
        self.detached = False  # by those keys
        self._pending = b""  # read from the caller, not yet taken by the socket
        self._reading = stdin
        self._ending = False  # nothing more will be read, and the socket is to be told once all is sent
        self._open = True

    def stop(self) -> None:
        self._open = False

    def run(self) -> None:
        while self._stream.ready and self._open:
            self._receive()
        while self._open:
            events = self._wait()
            if self._signals.fileno() in events:
                for number in self._signals.take():
                    self._on_signal(signal.Signals(number))
            if events.get(self._stream.fileno(), 0) & ~select.POLLOUT:
                self._receive()
            if self._pending:
                self._send()
            elif self._reading and 0 in events:
                self._read()

    def _wait(self) -> dict[int, int]:
        poll = select.poll()
        poll.register(self._signals.fileno(), select.POLLIN)
        poll.register(self._stream.fileno(), select.POLLIN | (select.POLLOUT if self._pending else 0))
        if self._reading and not self._pending:
            poll.register(0, select.POLLIN)
        return dict(poll.poll())

    def _receive(self) -> None:
        data = self._stream.receive()
        if not data:
            self._open = False
        elif self._raw and not data.startswith(ERROR_HEAD):
            write_all(1, data)
        else:
            for kind, payload, _ in self._frames.feed(data):
                if kind == ERROR:
                    self.error += payload
                else:
                    write_all(2 if kind == STDERR else 1, payload)

    def _read(self) -> None:
        try:
            data = os.read(0, READ_BYTES)
        except OSError:
            data = b""  # a terminal that hung up, or a descriptor that was never open, has nothing more to say
        if data:
            if self._keys is not None:
                data, self.detached = self._keys.feed(data)
            self._pending = data
            self._send()
            if self.detached:
                self.stop()
        else:
            self._reading, self._ending = False, True
            self._pending = self._keys.rest() if self._keys is not None else b""
            self._send()

    def _send(self) -> None:
        try:
            if self._pending:
                self._pending = self._pending[self._stream.send_some(self._pending) :]
            if self._ending and not self._pending:
                self._ending = False
                self._stream.half_close()
        except ConnectionError:
            # The program is gone; what it wrote last is still to be read.
            self._pending, self._reading, self._ending = b"", False, False
