"""How an HTTP answer's body is told from what surrounds it: by its length, by chunks, or by the connection's end.

Pure: bytes in, bytes out. The client's half only; the engine's server leaves this to h11.
"""

from __future__ import annotations

from orchestr8.errors import Unavailable

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Final

MAX_HEAD_BYTES: Final = 64 * 1024


class SizedBody:
    """A body of `length` bytes; None: until the connection ends."""

    def __init__(self, length: int | None) -> None:
        self._left = length

    @property
    def ended(self) -> bool:
        return self._left == 0

    def feed(self, data: bytes) -> bytes:
        if self._left is None:
            return data
        data = data[: self._left]
        self._left -= len(data)
        return data

    def end(self) -> None:
        """The connection ended."""
        if self._left:
            raise cut_off()
        self._left = 0


class ChunkedBody:
    """A chunked body: sizes in hexadecimal, a last chunk of size 0, trailers that nobody needs."""

    def __init__(self) -> None:
        self.ended = False
        self._buffer = b""
        self._left = 0  # bytes of the chunk at hand, its closing CRLF included
        self._trailers = False

    def feed(self, data: bytes) -> bytes:
        data = self._buffer + data
        start = 0
        pieces = []
        while start < len(data) and not self.ended:
            if self._left:
                taken = data[start : start + self._left]
                pieces.append(taken[: max(self._left - 2, 0)])  # without the CRLF, or the part of it that arrived
                self._left -= len(taken)
                start += len(taken)
                continue
            end = data.find(b"\r\n", start)
            if end < 0:
                break
            line = data[start:end]
            start = end + 2
            if self._trailers:
                self.ended = not line
            else:
                self._begin(line)
        self._buffer = data[start:]
        if len(self._buffer) > MAX_HEAD_BYTES:
            raise Unavailable("the engine's answer is not HTTP: no chunk size where one must be")
        return b"".join(pieces)

    def _begin(self, line: bytes) -> None:
        try:
            size = int(line.split(b";", 1)[0], 16)
        except ValueError:
            raise Unavailable(f"the engine's answer is not HTTP: {line[:40]!r} is no chunk size") from None
        if size:
            self._left = size + 2
        else:
            self._trailers = True

    def end(self) -> None:
        """The connection ended: before the last chunk, so something is missing."""
        raise cut_off()


def cut_off(cause: OSError | None = None, kind: type[Unavailable] = Unavailable) -> Unavailable:
    return kind(
        "the engine went away before it had answered",
        notes=[str(cause)] if cause else (),
        helps=[
            "containers go on without it, and the next command starts it again",
            "look at why it ended: orchestr8 engine logs",
        ],
    )
