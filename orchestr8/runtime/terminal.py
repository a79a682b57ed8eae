"""A terminal from its master's side (ioctl_tty(2)): its size, its slave."""

import fcntl
import os
import struct
import termios
from typing import Final

_TIOCGPTPEER: Final = 0x5441


def set_size(fd: int, rows: int, columns: int) -> None:
    """The kernel tells the foreground processes by SIGWINCH."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def open_slave(master: int) -> int:
    """The slave of `master`, by descriptor and not by path: /dev/pts is the container's."""
    return fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def end_of_input(master: int) -> bytes:
    """The key that ends a program's input, b"" while it takes every key as it is (termios(3), VEOF)."""
    try:
        _, _, _, local, _, _, keys = termios.tcgetattr(master)
    except (OSError, termios.error):
        return b""
    return bytes(keys[termios.VEOF]) if local & termios.ICANON else b""
