"""Marks among a log's records: how many lines ended before this place, so that who missed some can say how many.

    2026-11-23T05:00:00.123456789Z engine C 345679 345678 stdout

Records, and lines that have ended: counted over all files that there ever were, so the difference of two marks is what lies
between them, whether or not it is still there. Then the streams that are within a line, "-" for none: the end of a line
whose beginning is gone is no line. Every file begins with a mark, and another one comes after `MARK_BYTES` at the latest, so that counting up to
any place is little work. A file that an older version began has none there, and nothing is known of it.

A line has ended with a record of its own, F; P records (parts) end none. What is no record of ours counts as a line, as
it is shown as one. Shims load this module, so it is light.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

PREFIX_BYTES: Final = 40
TAG_PLACE: Final = slice(30, PREFIX_BYTES)  # behind the time
TAG: Final = b" engine C "
MARK_BYTES: Final = 1024 * 1024
_BLOCK_BYTES: Final = 256 * 1024
_LONGEST: Final = 128  # of a mark
_PARTS: Final = {b" stdout P ": b"stdout", b" stderr P ": b"stderr"}
_ENDS: Final = {b" stdout F ": b"stdout", b" stderr F ": b"stderr"}

Pread = Callable[[int, int], bytes]  # size, offset


class Mark(NamedTuple):
    """What is known of a place in a log."""

    records: int  # before it, without marks
    lines: int  # that ended before it
    within: frozenset[bytes] = frozenset()  # streams, b"stdout" and b"stderr", that are within a line there

    def record(self, at: bytes) -> bytes:
        return b"%s%s%d %d %s\n" % (at, TAG, self.records, self.lines, b",".join(sorted(self.within)) or b"-")

    def after(self, records: Iterable[bytes]) -> "Mark":
        """Of the place after these records, which come without their newlines."""
        count, lines, within = self.records, self.lines, set(self.within)
        for record in records:
            tag = record[TAG_PLACE]
            if tag == TAG:
                continue
            count += 1
            if tag in _PARTS:
                within.add(_PARTS[tag])
            else:
                lines += 1
                within.discard(_ENDS.get(tag, b"stdout"))
        return Mark(count, lines, frozenset(within))


START: Final = Mark(0, 0)


def read(record: bytes) -> Mark | None:
    """The mark that stands in this record; None: it is damaged, or none."""
    words = record[PREFIX_BYTES:].split(b" ")
    if record[TAG_PLACE] != TAG or len(words) != 3 or not (words[0].isdigit() and words[1].isdigit()):
        return None
    return Mark(int(words[0]), int(words[1]), frozenset(words[2].split(b",")) - {b"-"})


def mark_at(pread: Pread, offset: int) -> Mark | None:
    """Of the place `offset` in a file, where a record begins or the file ends: by the last mark before it and what has come
    since. None: the file begins without a mark.
    """
    head = pread(_LONGEST, 0)
    if offset == 0 or head[TAG_PLACE] != TAG:
        return read(head.partition(b"\n")[0])
    begin = _last_mark(pread, offset)
    mark, torn = START, b""
    while begin < offset and (block := pread(min(_BLOCK_BYTES, offset - begin), begin)):
        begin += len(block)
        *records, torn = (torn + block).split(b"\n")
        if records and (found := read(records[0])) is not None:
            mark = found
        mark = mark.after(records)
    return mark.after([torn]) if torn else mark


def _last_mark(pread: Pread, offset: int) -> int:
    """Where the last mark before `offset` begins, in a file that begins with one."""
    end = offset
    while end > 0:
        begin = max(0, end - _BLOCK_BYTES)
        # Its line may begin before the block, and its tag be cut off at the block's end.
        start = max(0, begin - PREFIX_BYTES)
        block = pread(min(end + len(TAG), offset) - start, start)
        found = len(block)
        while (found := block.rfind(TAG, 0, found)) != -1:
            at = found - TAG_PLACE.start
            if at == 0 == start or (at > 0 and block[at - 1] == 0x0A):
                return start + at
        end = begin
    return 0
