"""The size of a terminal (ioctl_tty(2), TIOCSWINSZ)."""

import fcntl
import struct
import termios


def set_size(fd: int, rows: int, columns: int) -> None:
    """The kernel tells the foreground processes by SIGWINCH."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
