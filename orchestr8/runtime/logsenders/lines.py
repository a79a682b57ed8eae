"""Reads of a pipe to lines, as Docker's drivers get them: long ones in parts of 16 KiB.

moby, daemon/logger/copier.go. Of each stream there is one `Splitter`.
"""

import os
from typing import Final, NamedTuple

PART_BYTES: Final = 16 * 1024
_ID_BYTES: Final = 32


class Line(NamedTuple):
    text: bytes  # without its newline
    at: int  # ns since the epoch: when it was read
    part_of: str = ""  # an id that the parts of one line share; "": it is whole
    ordinal: int = 0  # of a part, from 1
    last: bool = False  # of a part: the line's newline follows


class Splitter:
    def __init__(self) -> None:
        self._rest = b""
        self._at = 0
        self._part_of = ""
        self._ordinal = 0

    def take(self, chunk: bytes, at: int) -> list[Line]:
        """The lines, and the parts of lines, that are complete with `chunk`."""
        *texts, rest = (self._rest + chunk).split(b"\n")
        out: list[Line] = []
        for text in texts:
            if len(text) >= PART_BYTES:
                text = self._take_parts(text, at, out)  # noqa: PLW2901 - what is left of it
            if self._part_of:
                out.append(self._part(text, at, last=True))
                self._part_of = ""
            else:
                out.append(Line(text, at))
        self._rest = self._take_parts(rest, at, out)
        self._at = at
        return out

    def take_whole(self, chunk: bytes, at: int) -> bytes:
        """The lines that are complete with `chunk`, in one, if none of them is long or empty; else b"", and nothing is taken."""
        body, newline, rest = (self._rest + chunk).rpartition(b"\n")
        if self._part_of or not newline or len(rest) >= PART_BYTES:
            return b""
        texts = body.split(b"\n")
        if not all(texts) or max(map(len, texts)) >= PART_BYTES:
            return b""
        self._rest, self._at = rest, at
        return body + newline

    def finish(self) -> list[Line]:
        """What has no newline, and will have none any more."""
        out = [self._part(self._rest, self._at, last=False)] if self._rest else []
        self.drop()
        return out

    def drop(self) -> None:
        """Forget the line that has no end yet: the rest of it is lost."""
        self._rest, self._part_of = b"", ""

    def _take_parts(self, text: bytes, at: int, out: list[Line]) -> bytes:
        while len(text) >= PART_BYTES:
            out.append(self._part(text[:PART_BYTES], at, last=False))
            text = text[PART_BYTES:]
        return text

    def _part(self, text: bytes, at: int, *, last: bool) -> Line:
        if not self._part_of:
            self._part_of, self._ordinal = os.urandom(_ID_BYTES).hex(), 0
        self._ordinal += 1
        return Line(text, at, self._part_of, self._ordinal, last)
