"""The two ways out: standard output for the answer, standard error for the conversation.

Bytes go straight to the descriptor, so text, log lines and streams never overtake each other in a buffer, and a reader
who left (`| head`) shows at once as BrokenPipeError.
"""

from __future__ import annotations

import os
import select
import sys

from orchestr8.errors import OperationFailed

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

RESET: Final = "\x1b[0m"
BOLD: Final = "\x1b[1m"
DIM: Final = "\x1b[2m"
RED: Final = "\x1b[31m"
GREEN: Final = "\x1b[32m"
YELLOW: Final = "\x1b[33m"


class Output:
    """One of the two. `colour`: whether escape sequences are welcome; `terminal`: whether a person looks at it."""

    def __init__(self, fd: int, *, ansi: str, environ: Mapping[str, str]) -> None:
        self.fd = fd
        self.terminal = _is_terminal(fd)
        self.colour = ansi == "always" or (ansi == "auto" and self.terminal and can_colour(environ))
        stream = sys.stdout if fd == 1 else sys.stderr
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> None:
        self.write_bytes(text.encode(self.encoding, "replace"))

    def write_bytes(self, data: bytes) -> None:
        write_all(self.fd, data)

    def paint(self, text: str, *styles: str) -> str:
        """The text in these colours, where colours are welcome."""
        return f"{''.join(styles)}{text}{RESET}" if self.colour and styles else text

    def size(self) -> tuple[int, int]:
        """Columns and rows of the terminal; 80 × 24 where it does not tell."""
        try:
            columns, rows = os.get_terminal_size(self.fd)
        except OSError:
            return 80, 24
        return columns or 80, rows or 24


def write_all(fd: int, data: bytes) -> None:
    """Write everything, waiting where a descriptor shared with another program was made non-blocking.

    Raises BrokenPipeError when the reader has left, OperationFailed when what is written cannot be kept.
    """
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            poll.poll()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OperationFailed(f"the output cannot be written: {error.strerror}") from error


def can_colour(environ: Mapping[str, str]) -> bool:
    return not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def is_true(text: str) -> bool:
    """A variable that is a switch."""
    return text.lower() in ("1", "t", "true", "yes", "y", "on")


def open_standard_descriptors() -> None:
    """Put /dev/null where a caller closed 0, 1 or 2, before a socket gets that number and is taken for it."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open("/dev/null", os.O_RDWR)  # the lowest free number, so this one


def _is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False
