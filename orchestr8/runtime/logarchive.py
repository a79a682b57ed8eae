"""Reading what `logmembers` compressed, from any place, as if it were the plain file."""

import bisect
import os
import zlib
from typing import Final, NamedTuple

from orchestr8.runtime import logmembers
from orchestr8.runtime.logmembers import FIXED, HEAD, TAIL

_HEAD_BYTES: Final = 4096  # that a member's first few bytes are surely packed in


class _Member(NamedTuple):
    place: int  # in the file
    size: int
    text_size: int


class Archive:
    """The text of such a file. What comes after a damaged member is not there."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._members: list[_Member] = []
        self._starts: list[int] = []  # of their texts
        self._kept = -1, b""  # the member that was read last, and its text
        self.size = 0  # of the text
        place = 0
        while len(head := os.pread(fd, HEAD.size, place)) == HEAD.size:
            *fixed, size, text_size = HEAD.unpack(head)
            if tuple(fixed) != FIXED or size <= HEAD.size + TAIL.size or not 0 < text_size <= logmembers.MEMBER_BYTES:
                break
            self._members.append(_Member(place, size, text_size))
            self._starts.append(self.size)
            self.size += text_size
            place += size

    def pread(self, size: int, offset: int) -> bytes:
        """As os.pread of the text."""
        found = b""
        while len(found) < size and 0 <= offset < self.size:
            index = bisect.bisect_right(self._starts, offset) - 1
            begin = offset - self._starts[index]
            piece = self._text(index)[begin : begin + size - len(found)]
            if not piece:
                break
            found += piece
            offset += len(piece)
        return found

    def head(self, size: int) -> bytes:
        """What the text begins with, at no more cost than that."""
        if not self._members:
            return b""
        try:
            return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(os.pread(self._fd, _HEAD_BYTES, 0), size)
        except zlib.error:
            return b""

    def _text(self, index: int) -> bytes:
        if self._kept[0] != index:
            member = self._members[index]
            data = os.pread(self._fd, member.size, member.place)
            unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
            try:
                text = unpacker.decompress(data, logmembers.MEMBER_BYTES + 1)
            except zlib.error:
                text = b""
            if not unpacker.eof or len(text) != member.text_size:
                self._cut(index)
                text = b""
            self._kept = index, text
        return self._kept[1]

    def _cut(self, index: int) -> None:
        self.size = self._starts[index]
        del self._starts[index:], self._members[index:]
