"""Docker's stream frames: an 8-byte header, then the payload. Pure: bytes in, bytes out.

    byte 0      stream: 1 stdout, 2 stderr, 3 an error of the engine; ours alone: 0 an announcement (JSON)
    bytes 2-3   zero; ours alone, in merged logs: the number of the source, big-endian
    bytes 4-7   length of the payload, big-endian

Used where several streams share a connection; a terminal's stream is raw and has no frames.
"""

from __future__ import annotations

import struct
from collections import namedtuple

TYPE_CHECKING = False  # `typing` costs the CLI 4 ms at start
if TYPE_CHECKING:
    from typing import Final, NamedTuple

# Media types of a connection that was handed over: a terminal's bytes as they are, or frames.
RAW: Final = "application/vnd.docker.raw-stream"
MULTIPLEXED: Final = "application/vnd.docker.multiplexed-stream"
ANNOUNCEMENT: Final = 0
STDOUT: Final = 1
STDERR: Final = 2
ERROR: Final = 3

HEADER: Final = struct.Struct(">BxHI")


if TYPE_CHECKING:

    class Frame(NamedTuple):
        stream: int
        payload: bytes
        source: int = 0
else:
    Frame = namedtuple("Frame", ("stream", "payload", "source"), defaults=(0,))  # noqa: PYI024  see above


def head(stream: int, length: int, source: int = 0) -> bytes:
    """What stands before so many bytes."""
    return HEADER.pack(stream, source, length)


def encode(stream: int, payload: bytes, source: int = 0) -> bytes:
    return HEADER.pack(stream, source, len(payload)) + payload


class FrameReader:
    """Frames out of bytes that arrive in pieces of any size."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes."""
        self._buffer += data
        frames = []
        start = 0
        while len(self._buffer) - start >= HEADER.size:
            stream, source, length = HEADER.unpack_from(self._buffer, start)
            end = start + HEADER.size + length
            if len(self._buffer) < end:
                break
            frames.append(Frame(stream, bytes(self._buffer[start + HEADER.size : end]), source))
            start = end
        del self._buffer[:start]
        return frames

    @property
    def pending(self) -> int:
        """Bytes of a frame that has not ended: not zero at the end of a stream means that it was cut."""
        return len(self._buffer)
