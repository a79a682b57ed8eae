"""Records of a log to whole lines, in batches.

    2026-11-23T05:00:00.123456789Z stdout F a whole line, or the end of one
    2026-11-23T05:00:00.123456789Z stdout P a part that has no newline yet
    2026-11-23T05:00:00.123456789Z engine C 345678 345678 -

Each record's first 40 bytes are a fixed prefix, so a block is split once and its lines are cut by a slice: measured
0.11 s per million lines, and faster than finding equal prefixes and replacing them. The last kind is a mark (`logmarks`):
it counts the lines before it, and tells how many are missing where files are. Where records come from is `logs`' business.

Memory is bounded: per stream at most `MAX_PENDING_BYTES` of a line that has no end yet (a longer one is given out in
pieces without a newline).
"""

import itertools
import time
from operator import itemgetter
from typing import Final, NamedTuple

from orchestr8.runtime import logmarks
from orchestr8.runtime.logmarks import PREFIX_BYTES, Mark

LOSS: Final = 0  # the stream of a Lost
STDOUT: Final = 1
STDERR: Final = 2

TIME_BYTES: Final = 30  # "2026-11-23T05:00:00.123456789Z"
TAGS: Final = {
    b" stdout F ": (STDOUT, True),
    b" stderr F ": (STDERR, True),
    b" stdout P ": (STDOUT, False),
    b" stderr P ": (STDERR, False),
}
MAX_PENDING_BYTES: Final = 1024 * 1024
_STREAMS: Final = {b"stdout": STDOUT, b"stderr": STDERR}

_prefix_of = itemgetter(slice(0, PREFIX_BYTES))
_tag_of = itemgetter(slice(TIME_BYTES, PREFIX_BYTES))


class Batch(NamedTuple):
    """Neighbouring lines of one stream and one time. `data` ends with a newline unless the line's end is missing."""

    at: bytes  # RFC 3339 in UTC with nanoseconds: sorts as text
    stream: int
    data: bytes

    def with_times(self) -> bytes:
        """`data` with "<time> " before each line."""
        stamp = self.at + b" "
        return stamp + self.data[:-1].replace(b"\n", b"\n" + stamp) + self.data[-1:]


class Lost(NamedTuple):
    """At this place lines are missing, for their files are gone."""

    at: bytes
    lines: int  # -1: nobody has counted them
    stream: int = LOSS


Found = Batch | Lost


def time_text(at: float) -> bytes:
    """Unix time as the log has it, to the microsecond: of more digits a float of today's times makes others."""
    seconds, microseconds = divmod(round(at * 1e6), 1_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{microseconds:06d}000Z".encode()


def streams_within(mark: Mark) -> frozenset[int]:
    """Those that are within a line there."""
    return frozenset(_STREAMS[each] for each in mark.within if each in _STREAMS)


class LogParser:
    """Records to batches. `coalesce`: neighbours of one stream become one batch, with the time of the first."""

    def __init__(self, *, coalesce: bool = False) -> None:
        self._key = _tag_of if coalesce else _prefix_of
        self._pending: dict[int, bytearray] = {}  # per stream: parts of a line without its end
        self._pending_at: dict[int, bytes] = {}
        self._cut: set[int] = set()  # streams within a line whose beginning is lost: it ends with nothing but its end
        self._torn: frozenset[int] = frozenset()  # streams that begin within a line, and of which nothing has come yet
        self._is_counted = False  # are these two known?
        self._records = 0
        self._lines = 0
        self._misses = False  # something uncounted before what comes next
        self._last_at = time_text(0)

    def begin_at(self, mark: Mark | None) -> None:
        """What comes first stands there, as far as that is known."""
        self._is_counted = mark is not None
        self._records, self._lines = (mark.records, mark.lines) if mark else (0, 0)

    def begin_torn(self, streams: frozenset[int]) -> None:
        """These streams begin within a line: if its end comes first, that is left out. What goes on longer is shown."""
        self._torn = streams

    def miss(self) -> None:
        """What comes first is not what was to come first. Where nothing was counted, this is told."""
        self._misses = not self._is_counted

    @property
    def place(self) -> Mark | None:
        """Up to where records were taken. None: not known, or a line that has no end yet began before."""
        return Mark(self._records, self._lines) if self._is_counted and not self.is_within_line else None

    @property
    def is_within_line(self) -> bool:
        return bool(self._cut) or any(self._pending.values())

    def take(self, records: list[bytes]) -> list[Found]:
        """The batches that these records, without their newlines, complete."""
        out: list[Found] = []
        for key, group in itertools.groupby(records, self._key):
            lines = list(group)
            if key[-10:] in TAGS and len(lines[0]) >= PREFIX_BYTES:
                self._add(lines[0][:PREFIX_BYTES], [line[PREFIX_BYTES:] for line in lines], out)
            elif key[-10:] == logmarks.TAG:
                for line in lines:
                    self._pass(line, out)
            else:  # not one of our shim's lines: shown as it is rather than lost
                self._add(self._last_at + b" stdout F ", lines, out)
        return out

    def finish(self) -> list[Found]:
        """What has no newline at the log's end, as it is."""
        out: list[Found] = [
            Batch(self._pending_at[stream], stream, bytes(parts)) for stream, parts in self._pending.items() if parts
        ]
        self._pending.clear()
        return out

    def _pass(self, record: bytes, out: list[Found]) -> None:
        """A mark: does it say what was counted?"""
        mark = logmarks.read(record)
        if mark is None:  # torn when a container was killed: the next one says the same
            return
        if self._misses:
            self._lose(record[:TIME_BYTES], -1, out)
        elif self._is_counted and mark.records > self._records:
            self._lose(record[:TIME_BYTES], mark.lines - self._lines, out)
            self._cut = set(streams_within(mark))
            self.begin_at(mark)
        elif not self._is_counted or mark.records < self._records:  # less: somebody has cut a file off
            self.begin_at(mark)

    def _lose(self, at: bytes, lines: int, out: list[Found]) -> None:
        self._pending.clear()
        self._cut = set()
        self._misses = False
        if lines:
            out.append(Lost(at, lines))

    def _lose_end(self, at: bytes, out: list[Found]) -> None:
        """The end of a line whose beginning is lost: no line. It counts here, as whoever had its beginning counts it here."""
        self._lines += 1
        if out and isinstance(out[-1], Lost) and out[-1].lines >= 0:
            out[-1] = out[-1]._replace(lines=out[-1].lines + 1)
        else:
            out.append(Lost(at, 1))

    def _add(self, prefix: bytes, texts: list[bytes], out: list[Found]) -> None:
        """Records that share one prefix (or, to be coalesced, one tag), without it."""
        stream, whole = TAGS[prefix[TIME_BYTES:]]
        at = self._last_at = prefix[:TIME_BYTES]
        if self._misses:
            self._lose(at, -1, out)
        self._records += len(texts)
        if stream in self._torn:
            self._torn -= {stream}
            if whole:
                self._lines += 1
                del texts[0]
                if not texts:
                    return
        if stream in self._cut:
            if not whole:
                return
            self._cut.remove(stream)
            self._lose_end(at, out)
            del texts[0]
            if not texts:
                return
        pending = self._pending.get(stream)
        if whole:
            self._lines += len(texts)
            text = b"\n".join(texts) + b"\n"
            if pending:
                text = bytes(pending) + text
                at = self._pending_at[stream]
                pending.clear()
            out.append(Batch(at, stream, text))
            return
        if pending is None:
            pending = self._pending[stream] = bytearray()
        if not pending:
            self._pending_at[stream] = at
        pending += b"".join(texts)
        if len(pending) > MAX_PENDING_BYTES:
            out.append(Batch(self._pending_at[stream], stream, bytes(pending)))
            pending.clear()
