"""The container's log as CRI lines: `<RFC3339Nano> stdout|stderr F|P text`, rotated by size.

Written in the batches in which the pipe was read: one timestamp a read, the prefix put in by one `bytes.replace`, whose result
is written from where it is. Every copy of it beyond that was a tenth of the time, and counting lines another third: how
many there are is known by how much longer the result is. A read that ends within a line leaves a P (partial) record; the reader (`runtime.logs`) joins it with what follows.
Format: Kubernetes CRI, kubelet's `logs.go`; among them are marks, which say how many lines there were before (`logmarks`).
"""

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from orchestr8.runtime import logmarks
from orchestr8.runtime.logmarks import MARK_BYTES, PREFIX_BYTES, Mark
from orchestr8.runtime.logmembers import SUFFIX
from orchestr8.runtime.logpacker import Packer
from orchestr8.runtime.logsenders.forwarder import Forwarder
from orchestr8.runtime.places import LOG_MODE
from orchestr8.runtime.poller import Poller
from orchestr8.runtime.template import Template

MAX_BYTES: Final = 10 * 1024 * 1024
MAX_FILES: Final = 3
RECORD_BYTES: Final = 16 * 1024  # of text in a record at most, as Docker and the kubelet have it
# What was read at once is distributed to files of no less than that, times the number of files where a rotation renames
# many: nothing else is done meanwhile.
_SPLIT_BYTES: Final = 1024
_FEW_FILES: Final = 4
_NEXT: Final = ".next"  # the file that a rotation is about to begin
_OPEN: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


_LOST: Final = b"%s stderr F orchestr8: %d bytes of this log are lost: %s\n"


class NoLog:
    """The log of a container of which nothing is to be kept."""

    lost_bytes = 0
    on_trouble: Callable[[str], None]

    def write(self, stream: bytes, chunk: bytes) -> None:
        """Drop it."""

    def end_run(self) -> None:
        """There is nothing to end."""

    def linger(self) -> None:
        """There is nothing to wait for."""

    def close(self) -> None:
        """There is nothing to close."""


class LogWriter:
    """Owns the descriptor of `path`; `path.1` is the file before, `path.2` the one before that, or what the packer made
    of it, `path.2.gz`.
    """

    def __init__(
        self, path: str, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES, packer: Packer | None = None
    ) -> None:
        """`max_bytes`: of a file, before it is rotated; 0: no limit. `max_files`: with the one that is written to.
        `packer`: compresses what was rotated.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._split_bytes = max(max_bytes, _SPLIT_BYTES * max(_FEW_FILES, max_files))
        self._packer = packer
        self._second = -1
        self._second_text = b""
        self._complete_rotation()
        self._fd = os.open(path, _OPEN, LOG_MODE)
        self._size = os.fstat(self._fd).st_size
        mark, torn = _end_of(path, self._size) if self._size else (logmarks.START, False)
        self._records, self._lines, self._within = mark.records, mark.lines, set(mark.within)
        self._unmarked = MARK_BYTES  # bytes since the last mark: the first write begins with one
        self._rest = b"\n" if torn else b""  # of a record that is on the disk in part; it is counted as whole
        self._untold = 0  # of `lost_bytes`: the log itself does not tell of them yet
        self._reason = ""  # why the last write failed
        self.lost_bytes = 0  # of records that a full disk did not take
        self.on_trouble: Callable[[str], None] = lambda _reason: None  # why bytes are lost from now on; "": no more are

    def write(self, stream: bytes, chunk: bytes) -> None:
        """Append `chunk` of `stream` (b"stdout" or b"stderr"). A full disk loses the chunk, never the container; once
        there is room again, a line of ours says how much is missing at this place.
        """
        while cut := _end_of_long_record(chunk):
            self._write(stream, chunk[:cut])
            chunk = chunk[cut:]
        self._write(stream, chunk)

    def _write(self, stream: bytes, chunk: bytes) -> None:
        """Of whose lines none is too long for a record."""
        at = self._timestamp()
        head = at + b" " + stream
        prefix = head + b" F "
        prefixed = chunk.replace(b"\n", b"\n" + prefix)
        ends = (len(prefixed) - len(chunk)) // PREFIX_BYTES
        rest = len(chunk) - 1 - chunk.rfind(b"\n")  # bytes after the last newline
        size = 0
        records: list[bytes | memoryview] = []
        if ends:  # the last prefix is before `rest`, which is no line
            size = len(prefixed) - rest
            records = [prefix, memoryview(prefixed)[: size - PREFIX_BYTES]]
        if rest:
            size += PREFIX_BYTES + rest + 1
            records += [head + b" P ", chunk[-rest:], b"\n"]
        if self._max_bytes and self._size + size > self._max_bytes:
            if size > self._split_bytes and (half := _half(chunk)):
                self._write(stream, chunk[:half])
                self._write(stream, chunk[half:])
                return
            if self._size:
                self._rotate(at)
        if self._untold:
            notice = _LOST % (at, self._untold, self._reason.encode())
            if self._append(at, [notice], len(notice), b"stderr", 1):
                self._lose(size)
                return
            self._untold = 0
            self.on_trouble("")
        left = self._append(at, records, size, stream, ends, within=bool(rest))
        if left:
            self._lose(left)

    def _lose(self, count: int) -> None:
        is_first = not self._untold
        self._untold += count
        self.lost_bytes += count
        if is_first:
            self.on_trouble(self._reason)

    def _append(
        self, at: bytes, records: list[bytes | memoryview], size: int, stream: bytes, ends: int, *, within: bool = False
    ) -> int:
        """Append records of one stream: `ends` of them end a line, and where that is then `within` another line, one more
        does not. Returns how many bytes are lost. Of a record that the disk took in part the rest is kept for later.
        """
        if self._rest and not self._complete_record():
            return size
        if self._unmarked >= MARK_BYTES or not self._size:
            mark = self._mark.record(at)
            written = self._put([mark, *records], len(mark) + size)
            self._unmarked = written or self._unmarked
        else:
            mark = b""
            written = self._put(records, size)
            self._unmarked += written
        if written == len(mark) + size:
            self._count(stream, ends, within=within)
            return 0
        data, end = mark + b"".join(records), written
        if written and not data.endswith(b"\n", 0, written):
            end = data.index(b"\n", written) + 1
            self._rest = data[written:end]
        whole = data.count(b"\n", len(mark), end)
        self._count(stream, min(whole, ends), within=whole > ends)
        return len(data) - max(end, len(mark))

    def _count(self, stream: bytes, ends: int, *, within: bool) -> None:
        self._records += ends + within
        self._lines += ends
        if within:
            self._within.add(stream)
        elif ends and self._within:
            self._within.discard(stream)

    @property
    def _mark(self) -> Mark:
        return Mark(self._records, self._lines, frozenset(self._within))

    def _complete_record(self) -> bool:
        """Write what is missing of a record that the disk took in part. False: there is no room for it."""
        if self._rest:
            self._rest = self._rest[self._put([self._rest], len(self._rest)) :]
        return not self._rest

    def _put(self, pieces: list[bytes | memoryview], size: int) -> int:
        """Returns how many of these `size` bytes the disk took."""
        written = 0
        try:
            while written < size:
                written += os.writev(self._fd, [memoryview(b"".join(pieces))[written:]] if written else pieces)
        except OSError as error:  # ENOSPC, EDQUOT, EIO
            self._reason = error.strerror or str(error)
        self._size += written
        return written

    def _timestamp(self) -> bytes:
        now = time.time_ns()
        second, nanosecond = divmod(now, 1_000_000_000)
        if second != self._second:
            if os.fstat(self._fd).st_nlink == 0:
                self._begin_where_it_was()
            self._second = second
            self._second_text = b"%04d-%02d-%02dT%02d:%02d:%02d" % time.gmtime(second)[:6]
        return b"%s.%09dZ" % (self._second_text, nanosecond)

    def _rotate(self, at: bytes) -> None:
        """Shift the older files by one and begin anew. Readers follow by inode.

        The new file has its mark before it has its name: whoever goes on after a shim that was killed meanwhile knows where
        in the log he is.
        """
        self._complete_record()
        try:
            fresh = self._begin_next(at)
        except OSError:  # no room for a new name: go on with the file there is
            return
        try:
            self._shift()
            os.rename(self._path + _NEXT, self._path)
        except OSError:
            os.close(fresh)
            return
        os.close(self._fd)
        self._fd = fresh
        self._size = self._unmarked = os.fstat(fresh).st_size
        if self._rest:
            self._lose(len(self._rest))
            self._rest = b""
        if self._packer is not None:
            self._packer.look()

    def _begin_next(self, at: bytes) -> int:
        """A file that will be the current one, with its mark; on a full disk without, which the first write then brings."""
        name = self._path + _NEXT
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        fd = os.open(name, _OPEN | os.O_EXCL, LOG_MODE)
        mark = self._mark.record(at)
        try:
            is_whole = os.write(fd, mark) == len(mark)
        except OSError:
            is_whole = False
        if not is_whole:
            os.ftruncate(fd, 0)
        return fd

    def _begin_where_it_was(self) -> None:
        """Somebody has removed the file, or its directory: what is written to it nobody can read, and it takes room."""
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(os.path.dirname(self._path), 0o755)
            fresh = os.open(self._path, _OPEN | os.O_EXCL, 0o640)
        except OSError:  # tried again in a second
            return
        os.close(self._fd)
        self._fd = fresh
        self._size, self._rest = 0, b""

    def _shift(self) -> None:
        """Give each file the number after its own, up to one that is free; where none is, the last one goes. The only one
        there may be gives its place to the next.
        """
        last = self._max_files - 1
        free = next((number for number in range(1, last) if not self._has(number)), last)
        for number in range(free, 0, -1):
            for suffix in ("", SUFFIX):
                target = self._name(number) + suffix
                if number == last and os.path.lexists(target):
                    os.unlink(target)
                source = self._name(number - 1) + suffix
                if os.path.lexists(source):
                    os.rename(source, target)

    def _complete_rotation(self) -> None:
        """Of a shim that was killed: the new file gets its place where the one before has left it."""
        name = self._path + _NEXT
        if not os.path.lexists(name):
            return
        if os.path.lexists(self._path):
            os.unlink(name)
        else:
            os.rename(name, self._path)

    def _has(self, number: int) -> bool:
        return any(os.path.lexists(self._name(number) + suffix) for suffix in ("", SUFFIX))

    def _name(self, number: int) -> str:
        return f"{self._path}.{number}" if number else self._path

    def end_run(self) -> None:
        """The program has ended. What it has not finished stays a part, which its reader knows."""

    def close(self) -> None:
        os.close(self._fd)
        if self._packer is not None:
            self._packer.close()

    def linger(self) -> None:
        """Everything is written already."""


def _end_of_long_record(chunk: bytes) -> int:
    """Where a record is to end within a line that is too long for one; 0: there is no such line."""
    start, size = 0, len(chunk)
    while size - start > RECORD_BYTES:
        newline = chunk.rfind(b"\n", start, start + RECORD_BYTES + 1)
        if newline == -1:
            return start + RECORD_BYTES
        start = newline + 1
    return 0


def _half(chunk: bytes) -> int:
    """Where a line begins about in the middle; 0: it is one line."""
    middle = len(chunk) // 2
    return chunk.rfind(b"\n", 0, middle) + 1 or (chunk.find(b"\n", middle, len(chunk) - 1) + 1)


def _end_of(path: str, size: int) -> tuple[Mark, bool]:
    """What is known of the end of a log's file, and whether it ends within a record."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        mark = logmarks.mark_at(lambda count, offset: os.pread(fd, count, offset), size)
        return mark or logmarks.START, os.pread(fd, 1, size - 1) != b"\n"
    finally:
        os.close(fd)


def open_log(
    path: str, order: Mapping[str, Any], poller: Poller, template: Template | None = None
) -> LogWriter | NoLog | Forwarder:
    """`order`: what `logorder` made of a `model.specs.LogSpec`, as it stands in a Spawn."""
    copy = _open_files(path, order, poller)
    return Forwarder(copy, poller, order["receiver"], template) if order.get("receiver") else copy


def _open_files(path: str, order: Mapping[str, Any], poller: Poller) -> LogWriter | NoLog:
    if order.get("driver") == "none" or not order.get("kept", True):
        return NoLog()
    max_files = order.get("max_files", MAX_FILES)
    packer = Packer(poller, path, max_files) if order.get("compress", True) else None
    return LogWriter(path, order.get("max_bytes", MAX_BYTES), max_files, packer)
