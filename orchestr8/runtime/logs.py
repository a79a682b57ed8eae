"""Reading a container's log: whole lines in batches, from any point, through rotation; and how many are missing.

Nothing here waits: `LogReader.read` returns what there is, and whoever follows calls it again when inotify says so. File I/O
blocks: call it in a thread. Memory is bounded: one block, and what `logrecords` keeps. Who writes and rotates these
files is the shim.
"""

import bisect
import contextlib
import os
from typing import Final, NamedTuple

from orchestr8.runtime import logmarks
from orchestr8.runtime.logfiles import File, open_all, seek_tail, seek_time
from orchestr8.runtime.logmarks import Mark
from orchestr8.runtime.logrecords import (
    MAX_PENDING_BYTES,
    TIME_BYTES,
    Batch,
    Found,
    LogParser,
    Lost,
    streams_within,
    time_text,
)

BLOCK_BYTES: Final = 1024 * 1024


class Place(NamedTuple):
    """A place in a log that outlives rotation, compression and engines."""

    head: str  # the time of the file's first record, which no other file begins with
    offset: int  # in that file's text
    skip_lines: int = 0  # as many that come next are not of what was asked for
    mark: Mark | None = None  # how much there was before, where that is known


class LogReader:
    """One container's log from a chosen point to what was its end when it was opened, and on from there.

    `since`: Unix time; `tail`: the last so many lines; `place`: what another reader had as its `place`. Reading goes on
    in the newer file after a rotation, and the files that are to be read are held open, so that none is lost to a
    rotation meanwhile.
    """

    def __init__(
        self,
        path: str,
        *,
        since: float | None = None,
        tail: int | None = None,
        place: Place | None = None,
        coalesce: bool = False,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self._path = path
        self._block_bytes = block_bytes
        self._parser = LogParser(coalesce=coalesce)
        self._skip_lines = 0
        self._offset = 0
        self._torn = b""  # a record whose end has not been read
        self._records: list[bytes] = []  # read, and from `_place` on not yet given out
        self._place = 0
        self._files = open_all(path)
        self._stored_bytes = sum(file.size for file in self._files)
        oldest = self._files[0] if self._files else None
        if oldest is not None:
            self._parser.begin_at(oldest.mark_at(0))
        if not self._stored_bytes:  # it has not begun yet
            self._parser.begin_at(logmarks.START)
        if place is not None:
            self._go_on_at(place)
        if since is not None:
            self._begin_at(seek_time(self._files, time_text(since)))
        if tail is not None:
            found, self._skip_lines = seek_tail(self._files, self._offset, tail, self._torn_streams(oldest))
            self._begin_at(found)
        if place is None:
            self._parser.begin_torn(self._torn_streams(oldest))

    @property
    def place(self) -> Place | None:
        """Up to where everything was given out; None where that is not so, as within a line that has no end yet."""
        if self._parser.is_within_line or self._place != len(self._records):
            return None
        head = self._files[0].pread(TIME_BYTES, 0) if self._files else b""
        if not head:
            return Place("", 0, mark=self._parser.place)
        return Place(
            head.decode(errors="replace"), self._offset - len(self._torn), self._skip_lines, self._parser.place
        )

    def next_time(self) -> bytes | None:
        """The time of the stored part's next record; None at its end."""
        while self._place == len(self._records):
            if self._stored_bytes <= 0 or not self._load(self._stored_bytes):
                return None
        return self._records[self._place][:TIME_BYTES]

    def read_stored(self, until: bytes | None = None) -> list[Found] | None:
        """The next batches of the stored part, none of them later than `until`; None at its end."""
        if self._place == len(self._records) and self.next_time() is None:
            return None
        begin, end = self._place, len(self._records)
        if until is not None:  # at least one, whatever its time: clocks are set back now and then
            end = max(begin + 1, bisect.bisect_right(self._records, until + b"\xff", begin))
        self._place = end
        batches = self._parser.take(self._records[begin:end])
        return self._skipped(batches) if self._skip_lines else batches

    def read(self, until: bytes | None = None) -> list[Found] | None:
        """The next block's batches, stored or newer, none of them later than `until`; None when there is nothing more for now."""
        if self._place == len(self._records) and not self._load(self._block_bytes):
            return None
        begin, end = self._place, len(self._records)
        if until is not None and begin < end:
            end = bisect.bisect_right(self._records, until + b"\xff", begin)
            if begin == end:
                return None
        self._place = end
        return self._skipped(self._parser.take(self._records[begin:end]))

    def finish(self) -> list[Found]:
        """A last line that has no newline, once the container's run is over or nobody follows."""
        return self._parser.finish()

    def close(self) -> None:
        for file in self._files:
            os.close(file.fd)
        self._files.clear()

    def _load(self, limit: int) -> bool:
        """Replace `_records` by the next block's, which may be none; False when there is no next block."""
        block = self._next_block(min(limit, self._block_bytes))
        if not block:
            return False
        self._stored_bytes -= len(block)
        self._records = (self._torn + block).split(b"\n")
        self._place = 0
        self._torn = self._records.pop()
        if len(self._torn) > MAX_PENDING_BYTES:  # not one of our shim's records, which are short
            self._records.append(self._torn)
            self._torn = b""
        return True

    def _next_block(self, size: int) -> bytes:
        while True:
            if not self._files and not self._open_successor(None):
                return b""
            file = self._files[0]
            data = file.pread(size, self._offset)
            if not data and len(self._files) == 1:
                if self._open_successor(file):
                    # Written between the read above and the rotation that was just seen.
                    data = file.pread(size, self._offset)
                elif file.is_shorter_than(self._offset):  # truncated by somebody
                    self._offset = 0
                    self._torn = b""
                    continue
                else:
                    return b""
            if data:
                self._offset += len(data)
                return data
            os.close(self._files.pop(0).fd)
            self._offset = 0
            self._torn = b""

    def _open_successor(self, last: File | None) -> bool:
        """Open the files that are newer than `last`; the oldest there is when that one is gone."""
        with contextlib.suppress(FileNotFoundError):  # between the two steps of a rotation there is no current file
            if last is not None and last.archive is None and os.stat(self._path).st_ino == last.inode:
                return False
        found = open_all(self._path)
        same = (place for place, file in enumerate(found) if last is not None and file.holds_the_same_as(last))
        known = next(same, -1)
        for file in found[: known + 1]:
            os.close(file.fd)
        self._files += found[known + 1 :]
        return len(found) > known + 1

    def _begin_at(self, place: tuple[int, int]) -> None:
        """Let reading begin at (file, offset)."""
        index, offset = place
        for file in self._files[:index]:
            os.close(file.fd)
        del self._files[:index]
        if self._files:
            self._parser.begin_at(self._files[0].mark_at(offset))
        self._offset = offset
        self._stored_bytes = sum(file.size for file in self._files) - offset

    def _torn_streams(self, oldest: File | None) -> frozenset[int]:
        """The streams whose first line has no beginning: where reading begins at the beginning of what there is."""
        if oldest is None or self._offset or self._files[0] is not oldest:
            return frozenset()
        mark = oldest.mark_at(0)
        return frozenset() if mark is None else streams_within(mark)

    def _go_on_at(self, place: Place) -> None:
        """There, or, where its file is gone, at the beginning of what there is."""
        head = place.head.encode()
        index = next((index for index, file in enumerate(self._files) if file.pread(TIME_BYTES, 0) == head), -1)
        if index >= 0:
            self._begin_at((index, place.offset))
        if place.mark is not None:
            self._parser.begin_at(place.mark)
        if index >= 0 or place.mark is not None:
            self._skip_lines = place.skip_lines
        elif place.head:
            self._parser.begin_at(None)
            self._parser.miss()

    def _skipped(self, found: list[Found]) -> list[Found]:
        """Without the lines before the last N, which had to be read for the parts of the line that follows them."""
        while self._skip_lines and found:
            first = found[0]
            count = first.lines if isinstance(first, Lost) else first.data.count(b"\n")
            if count < 0:
                self._skip_lines = 0
            elif count > self._skip_lines:
                found[0] = _without(first, self._skip_lines)
                self._skip_lines = 0
            else:
                del found[0]
                self._skip_lines -= count
        return found


def _without(found: Found, lines: int) -> Found:
    """Without so many of its first lines, of which it has more."""
    if isinstance(found, Lost):
        return Lost(found.at, found.lines - lines)
    start = 0
    for _ in range(lines):
        start = found.data.index(b"\n", start) + 1
    return Batch(found.at, found.stream, found.data[start:])
