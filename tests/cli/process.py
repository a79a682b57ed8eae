"""The CLI as a process of its own, for signals and terminals: what it writes is waited for, never slept for."""

import contextlib
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path
from typing import Self

import pyte

ROOT = Path(__file__).parents[2]
PATIENCE_S = 20.0
OWN_TERMINAL = (  # a session's leader gets the first terminal that it opens, and with it Ctrl-C and SIGWINCH
    "import os, runpy; os.close(os.open(os.ttyname(0), os.O_RDWR)); "
    "runpy.run_module('orchestr8', run_name='__main__', alter_sys=True)"
)


class Process:
    """`orchestr8 WORDS` with pipes, or with a terminal of its own (`terminal`: columns and rows).

    `typing`: with a pipe that `type` writes into, which otherwise needs a terminal.
    """

    def __init__(self, *words: str, terminal: tuple[int, int] | None = None, typing: bool = False) -> None:
        self.output = b""  # of both streams, as they come; of a terminal, what it was sent
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": ""}
        self.screen: pyte.Screen | None = None
        if terminal is None:
            self._fd, ours = os.pipe()
            argv = [sys.executable, "-m", "orchestr8", *words]
            stdin = subprocess.PIPE if typing else subprocess.DEVNULL
            self._process = subprocess.Popen(argv, stdin=stdin, stdout=ours, stderr=ours, env=environ)
        else:
            self._fd, ours = os.openpty()
            ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", terminal[1], terminal[0], 0, 0))
            self.screen = pyte.Screen(*terminal)
            self._stream = pyte.ByteStream(self.screen)
            self._process = subprocess.Popen(
                [sys.executable, "-c", OWN_TERMINAL, *words], stdin=ours, stdout=ours, stderr=ours,
                env={**environ, "TERM": "xterm"}, start_new_session=True,
            )  # fmt: skip
        os.close(ours)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        os.close(self._fd)

    def until(self, text: str) -> None:
        """Return once this has been written."""
        deadline = time.monotonic() + PATIENCE_S
        while text.encode() not in self.output:
            assert self._read(deadline - time.monotonic()), f"{text!r} never came:\n{self.text}"

    def until_shown(self, wanted: Callable[[list[str]], bool]) -> None:
        """Return once a person sees such lines."""
        deadline = time.monotonic() + PATIENCE_S
        while not (len(self.shown()) > 1 and wanted(self.shown())):
            assert self._read(deadline - time.monotonic()), "never shown, but:\n" + "\n".join(self.shown())

    def resize(self, columns: int, rows: int) -> None:
        assert self.screen is not None
        self.screen.resize(rows, columns)
        ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self._fd if self._process.stdin is None else self._process.stdin.fileno(), keys)

    def paste(self, data: bytes) -> None:
        """As much as a terminal takes at a time, reading what it shows meanwhile."""
        os.set_blocking(self._fd, False)
        try:
            while data:
                readable, writable, _ = select.select([self._fd], [self._fd], [], PATIENCE_S)
                assert readable or writable, f"{len(data)} bytes are not taken"
                if readable:  # whoever cannot show what it has may take no more
                    self._read(0)
                if writable:
                    data = data[os.write(self._fd, data[:4096]) :]
        finally:
            os.set_blocking(self._fd, True)

    def echoes(self) -> bool:
        """Whether the terminal shows what is typed, as at first."""
        return bool(termios.tcgetattr(self._fd)[3] & termios.ECHO)

    def end_input(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        """Read to the end; the exit code."""
        deadline = time.monotonic() + PATIENCE_S
        while self._read(deadline - time.monotonic()):
            pass
        return self._process.wait(PATIENCE_S)

    @property
    def text(self) -> str:
        return self.output.decode(errors="replace")

    def shown(self) -> list[str]:
        """What a person sees."""
        assert self.screen is not None
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def _read(self, timeout_s: float) -> bool:
        if not select.select([self._fd], [], [], max(timeout_s, 0))[0]:
            return False
        data = b""
        with contextlib.suppress(OSError):  # EIO: the terminal's other end is gone
            data = os.read(self._fd, 65536)
        self.output += data
        if self.screen is not None:
            self._stream.feed(data)
        return bool(data)
