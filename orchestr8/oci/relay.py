"""A call that stays until a program ends: signals are passed on to it, and its terminal is shown on the caller's own."""

import contextlib
import os
import select
import signal
import socket
import termios
import tty
from collections.abc import Callable, Iterator
from typing import Final

from orchestr8.kernel.clone import exit_code
from orchestr8.kernel.descriptors import write_whole
from orchestr8.runtime.terminal import end_of_input, set_size

_NOT_PASSED_ON: Final = {signal.SIGCHLD, signal.SIGKILL, signal.SIGSTOP, signal.SIGWINCH, signal.SIGURG, signal.SIGPIPE}
_FAULTS: Final = {
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGABRT,
    signal.SIGTRAP,
    signal.SIGSYS,
}
_READ: Final = 65536


class Relay:
    """`console`: what the other side sends the terminal's master to; -1: the program has the caller's own stdio."""

    def __init__(self, *, terminal: bool) -> None:
        self._send: Callable[[int], object] | None = None
        self._early: list[int] = []  # signals that came before there was anybody to pass them on to
        for number in signal.valid_signals() - _NOT_PASSED_ON - _FAULTS:
            with contextlib.suppress(OSError):  # the C library keeps two for itself
                signal.signal(number, self._heard)
        self.console = -1
        self._ours: socket.socket | None = None
        if terminal:
            self._ours, theirs = socket.socketpair()
            self.console = theirs.detach()

    @staticmethod
    def size() -> dict[str, int]:
        """OCI's `consoleSize` as the caller's own terminal has it, so that the program never sees another; {}: it has none."""
        try:
            columns, rows = os.get_terminal_size(0)
        except OSError:
            return {}
        return {"height": rows, "width": columns}

    def wait(self, pid: int, send: Callable[[int], object]) -> int:
        """Until the child `pid` has ended: its exit code. `send` passes on a signal."""
        self._send = send
        while self._early:
            send(self._early.pop(0))
        if self._ours is None:
            return exit_code(os.waitpid(pid, 0)[1])
        os.close(self.console)
        _, (master,), _, _ = socket.recv_fds(self._ours, 4096, 1)
        try:
            with _raw(0):
                self._follow_size(master)
                is_seen = self._pump(master)
            if is_seen:
                return exit_code(os.waitpid(pid, 0)[1])
        finally:
            os.close(master)
        return exit_code(os.waitpid(pid, 0)[1])  # its terminal has hung up: it would wait for its reader without end

    def _heard(self, number: int, _frame: object) -> None:
        if self._send is None:
            self._early.append(number)
        else:
            self._send(number)

    @staticmethod
    def _follow_size(master: int) -> None:
        def resize(*_: object) -> None:
            with contextlib.suppress(OSError):  # stdin is no terminal
                columns, rows = os.get_terminal_size(0)
                set_size(master, rows, columns)

        signal.signal(signal.SIGWINCH, resize)
        resize()

    @staticmethod
    def _pump(master: int) -> bool:
        """Both ways until nobody has the terminal open any more (EIO); False: until what it shows can be shown to nobody.

        What a program does not read yet is kept, so that what it writes meanwhile is shown: it may be waiting for that.
        """
        os.set_blocking(master, False)
        typed, typing, is_within_line = b"", True, False
        with contextlib.suppress(OSError):
            while True:
                sources = [master, 0] if typing and not typed else [master]
                readable, writable, _ = select.select(sources, [master] if typed else [], [])
                if master in readable:
                    shown = os.read(master, _READ)
                    try:
                        write_whole(1, shown)
                    except OSError:
                        return False
                if 0 in readable:
                    typed = os.read(0, _READ)
                    typing = bool(typed)
                    if typing:
                        is_within_line = typed[-1:] not in {b"\r", b"\n"}
                    else:  # the program learns of it as from a person
                        typed = end_of_input(master) * (2 if is_within_line else 1)
                if writable:
                    typed = typed[os.write(master, typed) :]
        return True


@contextlib.contextmanager
def _raw(fd: int) -> Iterator[None]:
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    tty.setraw(fd, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
