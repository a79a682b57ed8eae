"""Several containers' stored logs as one stream of frames, in the order of time. Blocking; called in a thread.

The source whose next record is the oldest gives out all that is not newer than the next record of any other, in one
frame where it can: sources that wrote in bursts, or one after the other, cost as little as one alone.
"""

import heapq
import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from orchestr8.runtime.logrecords import Found, Lost, time_text
from orchestr8.runtime.logs import BLOCK_BYTES, LogReader
from orchestr8.wire.frames import HEADER, encode

PIECE_BYTES: Final = 256 * 1024  # as much is collected from several sources before it is sent
ALL_BLOCKS_BYTES: Final = 16 * 1024 * 1024  # what the blocks of all sources together may take in memory
MIN_BLOCK_BYTES: Final = 64 * 1024

_stream_of = attrgetter("stream")


def block_bytes(sources: int) -> int:
    """The size of one source's block when `sources` are read at once."""
    return max(MIN_BLOCK_BYTES, min(BLOCK_BYTES, ALL_BLOCKS_BYTES // max(1, sources)))


def frames(source: int, found: Sequence[Found], *, timestamps: bool) -> bytes:
    """Batches of one source, of which neighbours of one stream share a frame; and lines that are lost, as announcements."""
    pieces: list[bytes] = []
    for stream, group in groupby(found, _stream_of):
        texts: list[bytes] = []
        for each in group:
            if isinstance(each, Lost):
                news = {"source": source, "lost": each.lines, "at": each.at.decode(errors="replace")}
                pieces.append(announcement(json.dumps(news).encode(), source))
            else:
                texts.append(each.with_times() if timestamps else each.data)
        if texts:
            pieces += (HEADER.pack(stream, source, sum(map(len, texts))), *texts)
    return b"".join(pieces)


class StoredMerge:
    """The stored parts of `readers` (by source number) as frames, piece by piece."""

    def __init__(self, readers: Mapping[int, LogReader], *, timestamps: bool, until: float | None = None) -> None:
        """`until`: Unix time of the last record that counts."""
        self._readers = readers
        self._until = None if until is None else time_text(until)
        self._timestamps = timestamps
        self._queue: list[tuple[bytes, int]] | None = None  # the next record's time, and its source

    def next_frames(self) -> bytes:
        """The next piece; b"" at the end of the stored parts."""
        queue = self._queue
        if queue is None:
            queue = self._queue = [
                (at, source) for source, reader in self._readers.items() if (at := reader.next_time()) is not None
            ]
            heapq.heapify(queue)
        pieces: list[bytes] = []
        size = 0
        while queue and size < PIECE_BYTES:
            source = queue[0][1]
            reader = self._readers[source]
            limits = [limit for limit in (_second(queue), self._until) if limit is not None]
            over = self._until is not None and queue[0][0] > self._until
            batches = [] if over else reader.read_stored(min(limits, default=None)) or []
            at = None if over else reader.next_time()
            if at is None:
                heapq.heappop(queue)
            else:
                heapq.heapreplace(queue, (at, source))
            if batches:
                pieces.append(frames(source, batches, timestamps=self._timestamps))
                size += len(pieces[-1])
        return b"".join(pieces)


def _second(queue: list[tuple[bytes, int]]) -> bytes | None:
    """The time of the heap's second entry."""
    if len(queue) < 3:
        return queue[1][0] if len(queue) == 2 else None
    return min(queue[1][0], queue[2][0])


def announcement(payload: bytes, source: int) -> bytes:
    """What is said about a source: JSON on the stream that is no output."""
    return encode(0, payload, source)
