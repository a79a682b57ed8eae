"""The files of a container's log: which there are, compressed or not, and places in them by time and by lines from the end."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from orchestr8.runtime import logmarks
from orchestr8.runtime.logarchive import Archive
from orchestr8.runtime.logmarks import PREFIX_BYTES, Mark
from orchestr8.runtime.logmembers import SUFFIX
from orchestr8.runtime.logrecords import STDOUT, TAGS, TIME_BYTES

LOOK_BACK_BYTES: Final = 1024 * 1024  # how far before the last N lines the beginning of a split line is looked for
BACKWARD_BYTES: Final = 64 * 1024
_ATTEMPTS: Final = 100


@dataclass(slots=True)
class File:
    """One of them, held open."""

    fd: int
    inode: int
    size: int  # of its text, when it was opened
    archive: Archive | None = None

    @classmethod
    def of(cls, opened: "_Opened") -> "File":
        status = os.fstat(opened.fd)
        if not opened.packed:
            return cls(opened.fd, status.st_ino, status.st_size)
        archive = Archive(opened.fd)
        return cls(opened.fd, status.st_ino, archive.size, archive)

    def pread(self, size: int, offset: int) -> bytes:
        return os.pread(self.fd, size, offset) if self.archive is None else self.archive.pread(size, offset)

    def mark_at(self, offset: int) -> Mark | None:
        """What is known of this place, where a record begins."""
        archive = self.archive
        if archive is not None and offset == 0:
            return logmarks.mark_at(lambda size, _begin: archive.head(size), 0)
        return logmarks.mark_at(self.pread, offset)

    def is_shorter_than(self, offset: int) -> bool:
        return self.archive is None and os.fstat(self.fd).st_size < offset

    def holds_the_same_as(self, other: "File") -> bool:
        """Is it the same file, perhaps one of the two compressed? Then their first records' times, to the nanosecond,
        tell: numbers of inodes are given away again, though not while a file is held open.
        """
        if (self.archive is None) == (other.archive is None):
            return self.inode == other.inode
        first = self._first_time()
        return len(first) == TIME_BYTES and first == other._first_time()

    def _first_time(self) -> bytes:
        return self.pread(TIME_BYTES, 0) if self.archive is None else self.archive.head(TIME_BYTES)


class _Opened(NamedTuple):
    number: int  # that it had: 0 is the current one
    fd: int
    packed: bool


def open_all(path: str) -> list[File]:
    """The log's files, oldest first.

    Newest first is the order of opening: a rotation meanwhile moves a file into a place that is still to be looked at,
    where it is recognised. A second one may bring a file there that is newer than those before; then it is all done
    again. Who is overtaken every time gets the newest one alone: what is between it and what he has can be counted.
    """
    opened = _open_each(path)
    for _ in range(_ATTEMPTS):
        if len(opened) < 2 or _is_where_it_was(path, opened[0]):
            break
        _close(opened)
        opened = _open_each(path)
    else:
        _close(opened[1:])
        del opened[1:]
    files: list[File] = []
    for each in opened:
        file = File.of(each)
        if any(file.holds_the_same_as(other) for other in files):
            os.close(file.fd)
        else:
            files.append(file)
    return files[::-1]


def _open_each(path: str) -> list[_Opened]:
    """Each number's file, the newest first. While this looks, two rotations may have begun: so far go the numbers."""
    opened: list[_Opened] = []
    try:
        _open(path, 0, opened)
        for number in range(1, _highest(path) + 3):
            _open(f"{path}.{number}", number, opened)
    except BaseException:  # no more descriptors, most likely
        _close(opened)
        raise
    return opened


def _open(name: str, number: int, opened: list[_Opened]) -> None:
    """The file, or what it was compressed to: at any time there is one of the two, or none has this number just now."""
    for suffix in ("", SUFFIX):
        with contextlib.suppress(FileNotFoundError):
            opened.append(_Opened(number, os.open(name + suffix, os.O_RDONLY | os.O_CLOEXEC), bool(suffix)))
            return


def _close(opened: list[_Opened]) -> None:
    for each in opened:
        os.close(each.fd)


def _is_where_it_was(path: str, first: _Opened) -> bool:
    """Has this file its number still, or the next one? Then it had one of the two all the time, and what was found
    behind it is older.
    """
    inode = os.fstat(first.fd).st_ino
    for number in (first.number, first.number + 1):
        name = f"{path}.{number}" if number else path
        with contextlib.suppress(FileNotFoundError):
            if os.stat(name + SUFFIX if first.packed else name).st_ino == inode:
                return True
    return False


def _highest(path: str) -> int:
    """The highest number that an older file of this log has; 0: there is none."""
    folder, name = os.path.split(path)
    try:
        found = os.listdir(folder)
    except FileNotFoundError:
        return 0
    numbers = (each.removeprefix(f"{name}.").removesuffix(SUFFIX) for each in found if each.startswith(f"{name}."))
    return max((int(each) for each in numbers if each.isdecimal()), default=0)


def _line_start(file: File, offset: int) -> int:
    """Where the first line at or after `offset` begins; the file's size when none does."""
    if offset == 0:
        return 0
    offset -= 1
    while block := file.pread(4096, offset):
        newline = block.find(b"\n")
        if newline != -1:
            return offset + newline + 1
        offset += len(block)
    return file.size


def seek_time(files: list[File], at: bytes) -> tuple[int, int]:
    """(file, offset) of the first line that is not older than `at`: bisection, as times only grow."""
    for index, file in enumerate(files):
        low, high = 0, file.size  # lines that begin before `low` are older, the line at `high` is not
        while low < high:
            middle = (low + high) // 2
            start = _line_start(file, middle)
            if start >= high or file.pread(TIME_BYTES, start) >= at:
                high = middle
            else:
                low = start + 1
        start = _line_start(file, low)
        if start < file.size:
            return index, start
    return _end(files)


def _end(files: list[File]) -> tuple[int, int]:
    """(file, offset) of the end, or of a record that is under way there."""
    if not files:
        return 0, 0
    file = files[-1]
    begin = file.size
    while begin:
        end, begin = begin, max(0, begin - BACKWARD_BYTES)
        newline = file.pread(end - begin, begin).rfind(b"\n")
        if newline != -1:
            return len(files) - 1, begin + newline + 1
    return len(files) - 1, 0


def _lines_backward(files: list[File], first_offset: int) -> Iterator[tuple[int, int, list[bytes]]]:
    """Blocks of whole lines from the end to `first_offset` of the oldest file: (file, offset of the first, lines)."""
    for index in range(len(files) - 1, -1, -1):
        file, end = files[index], files[index].size
        stop = first_offset if index == 0 else 0
        tail = b""  # the rest of a line that begins before what was read
        while end > stop:
            begin = max(stop, end - BACKWARD_BYTES)
            data = file.pread(end - begin, begin) + tail
            end = begin
            newline = -1 if begin == stop else data.find(b"\n")
            if begin != stop and newline == -1:
                tail = data
                continue
            tail = data[: newline + 1]
            lines = data[newline + 1 :].split(b"\n")
            lines.pop()  # what follows the last newline: nothing, or a record under way
            if lines:
                yield index, begin + newline + 1, lines


def seek_tail(
    files: list[File], first_offset: int, wanted: int, torn: frozenset[int] = frozenset()
) -> tuple[tuple[int, int], int]:
    """Where to begin reading for the last `wanted` lines, and how many lines that come first are to be left out.

    Reading begins early enough that the parts of a split line are all there, the other stream's records between them
    or not: before the first wanted line there is an ended line of each stream that has one after it, or
    `LOOK_BACK_BYTES` were searched for it. `torn`: the streams that are within a line where the first file begins, whose
    end is no line.
    """
    place = _end(files)
    if wanted == 0:
        return place, 0
    ends: list[int] = []  # the streams of the lines that end in what was looked at, last line first
    seen: set[int] = set()
    first_is_end: dict[int, bool] = {}  # of each stream, of what was looked at
    searched = 0
    for index, offset, lines in _lines_backward(files, first_offset):
        for line in reversed(lines):
            tag = line[TIME_BYTES:PREFIX_BYTES]
            if tag == logmarks.TAG:
                continue
            stream, whole = TAGS.get(tag, (STDOUT, True))
            if whole:
                ends.append(stream)
            elif stream not in seen:
                wanted -= 1  # the log ends with a line that has no newline
            seen.add(stream)
            first_is_end[stream] = whole
        place = (index, offset)
        if len(ends) >= wanted:
            if searched > LOOK_BACK_BYTES or seen.issubset(ends[max(0, wanted) :]):
                break
            searched += BACKWARD_BYTES
    no_lines = sum(first_is_end.get(stream, False) for stream in torn) if place == (0, 0) else 0
    return place, max(0, len(ends) - no_lines - max(0, wanted))
