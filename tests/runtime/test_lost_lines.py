"""How many lines a reader has missed: said by marks, over rotation, compression, crashes and full disks."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.runtime import logmarks, logwriter
from orchestr8.runtime.logmarks import Mark, mark_at
from orchestr8.runtime.logrecords import Batch, Lost
from orchestr8.runtime.logs import LogReader, Place
from orchestr8.runtime.logwriter import LogWriter, open_log
from orchestr8.runtime.poller import Poller
from tests.runtime.test_logpacker import until_packed

AT = b"2026-11-23T05:00:00.123456789Z"
NAMES = {1: b"stdout", 2: b"stderr"}


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "current.log")


def told(reader: LogReader) -> tuple[list[bytes], list[int]]:
    """Lines, and numbers of those that are lost, up to now."""
    lines: list[bytes] = []
    lost: list[int] = []
    while (found := reader.read()) is not None:
        for each in found:
            if isinstance(each, Batch):
                lines += each.data.splitlines(keepends=True)
            else:
                lost.append(each.lines)
    return lines, lost


def numbered(writer: LogWriter, first: int, last: int) -> None:
    for number in range(first, last):
        writer.write(b"stdout", b"%04d\n" % number)


def small(path: str, **options: Any) -> LogWriter:
    """Two files, each of a mark and three lines."""
    return LogWriter(path, **{"max_bytes": 200, "max_files": 2, **options})


def test_a_mark_reads_as_it_was_written() -> None:
    for mark in (Mark(0, 0), Mark(12, 10, frozenset({b"stdout"})), Mark(9, 1, frozenset({b"stdout", b"stderr"}))):
        assert logmarks.read(mark.record(AT).removesuffix(b"\n")) == mark
    for text in (b"", AT, AT + b" engine C ", AT + b" engine C 1", AT + b" engine C 1 x -", AT + b" stdout F 1 1 -"):
        assert logmarks.read(text) is None


def test_who_is_too_slow_is_told_how_many_lines_he_has_missed(path: str) -> None:
    writer = small(path)
    numbered(writer, 0, 2)
    reader = LogReader(path)
    assert told(reader) == ([b"0000\n", b"0001\n"], [])
    numbered(writer, 2, 20)
    writer.close()
    lines, lost = told(reader)
    reader.close()
    assert (lines[0], lines[-1], lost) == (b"0002\n", b"0019\n", [20 - 2 - len(lines)]), "its own file is still read"
    assert lost[0] > 10


def test_who_comes_back_to_a_file_that_is_gone_is_told_too(path: str) -> None:
    writer = small(path)
    numbered(writer, 0, 2)
    reader = LogReader(path)
    told(reader)
    place = reader.place
    reader.close()
    assert place is not None
    assert place.mark == Mark(2, 2)
    numbered(writer, 2, 20)
    again = LogReader(path, place=place)
    lines, lost = told(again)
    assert (lines[-1], lost) == (b"0019\n", [20 - 2 - len(lines)])
    assert told(again) == ([], [])
    numbered(writer, 20, 21)
    assert told(again) == ([b"0020\n"], []), "once"
    again.close()
    writer.close()


def test_who_followed_before_the_first_line_is_told_of_the_first(path: str) -> None:
    reader = LogReader(path)
    place = reader.place
    writer = small(path)
    numbered(writer, 0, 20)
    for each in (reader, LogReader(path, place=place)):
        lines, lost = told(each)
        assert lost == [20 - len(lines)]
        each.close()
    writer.close()


def test_who_asks_for_what_there_is_is_told_of_nothing(path: str) -> None:
    writer = small(path)
    numbered(writer, 0, 20)
    for options in ({}, {"tail": 1}, {"tail": 99}, {"since": 5.0}, {"since": 5.0, "tail": 2}, {"tail": 0}):
        reader = LogReader(path, **options)
        lines, lost = told(reader)
        assert lost == []
        place = reader.place
        assert place is not None
        assert place.mark == Mark(20, 20), "which is known wherever it began"
        reader.close()
        assert (
            lines
            == [b"%04d\n" % number for number in range(20)][-min(5, options.get("tail", 5)) :][: options.get("tail")]
        )
    writer.close()


@pytest.mark.parametrize("whole", [b"", b"\n"])
def test_a_line_that_has_lost_its_beginning_is_lost(path: str, whole: bytes) -> None:
    """Its end is not shown as a line of its own."""
    writer = small(path)
    writer.write(b"stdout", b"one\nbeg")
    reader = LogReader(path)
    told(reader)
    for part in (b"in" * 30, b"ni" * 30, b"ng" * 30):
        writer.write(b"stdout", part)
    writer.write(b"stderr", b"err\n" + b"another" * 10)
    writer.write(b"stdout", b"end" + whole + b"\nnext\n")
    lines, lost = told(reader)
    written = 1 + 1 + (1 if whole else 0) + 1 + 1
    writer.write(b"stderr", b"\nlast\n")
    more, _ = told(reader)
    assert lines[-1] == b"next\n"
    assert more[-1] == b"last\n"
    assert not {b"end\n", b"\n"} & {*lines} or whole
    assert 1 + len(lines) + len(more) + sum(lost) == written + 2
    reader.close()
    writer.close()


def test_what_a_full_disk_tears_leaves_the_count_right(path: str, narrow: list[int]) -> None:
    for count in range(150):
        Path(path).unlink(missing_ok=True)
        writer = LogWriter(path)
        narrow += [count, 0] if count else [0]
        writer.write(b"stdout", b"one\ntwo\nthr")
        narrow.clear()
        writer.write(b"stdout", b"ee\nfour\n")
        writer.close()
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            assert mark_at(lambda size, offset, fd=file.fileno(): os.pread(fd, size, offset), size) == writer._mark


@pytest.mark.parametrize("step", range(6))
def test_a_shim_that_is_killed_while_it_rotates_leaves_the_count(
    path: str, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """What comes after it does not happen."""

    writer = small(path, max_files=3)
    numbered(writer, 0, 6)
    reader = LogReader(path)
    assert len(told(reader)[0]) == 6
    place = reader.place
    reader.close()
    left = [step]
    opened: set[int] = set()  # the kernel closes what the dead had open

    def dying(real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            result = real(*arguments, **options)
            if real is opening:
                opened.add(result)
            return result

        return call

    opening = os.open
    with monkeypatch.context() as patch:
        for name in ("open", "write", "rename", "unlink"):
            patch.setattr(logwriter.os, name, dying(getattr(os, name)))
        with pytest.raises(Killed):
            numbered(writer, 6, 7)
    for fd in {writer._fd, *opened}:
        os.close(fd)
    writer = small(path, max_files=3)
    numbered(writer, 6, 20)
    again = LogReader(path, place=place)
    lines, lost = told(again)
    assert (lines[-1], lost) == (b"0019\n", [20 - 6 - len(lines)])
    again.close()
    writer.close()
    assert not os.path.exists(path + ".next")


def test_a_record_that_a_killed_shim_left_torn_counts_as_the_line_that_it_is_shown_as(path: str) -> None:
    writer = small(path)
    numbered(writer, 0, 2)
    writer.close()
    os.truncate(path, os.path.getsize(path) - 3)
    reader = LogReader(path)
    writer = small(path)
    numbered(writer, 2, 3)
    lines, lost = told(reader)
    assert (lines, lost) == ([b"0000\n", b"00\n", b"0002\n"], [])
    assert reader.place is not None
    assert reader.place.mark == Mark(3, 3)
    numbered(writer, 3, 20)
    lines, lost = told(reader)
    assert lost == [20 - 3 - len(lines)]
    reader.close()
    writer.close()


def test_marks_come_again_within_a_long_file(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logwriter, "MARK_BYTES", 1000)
    writer = LogWriter(path, max_bytes=0)
    numbered(writer, 0, 500)
    writer.close()
    marks = [mark for line in Path(path).read_bytes().splitlines() if (mark := logmarks.read(line)) is not None]
    assert len(marks) > 20
    reader = LogReader(path, tail=1)
    assert told(reader) == ([b"0499\n"], [])
    assert reader.place is not None
    assert reader.place.mark == Mark(500, 500)
    reader.close()


def test_archives_keep_the_count(path: str) -> None:
    poller = Poller()
    writer = open_log(path, {"max_bytes": 200, "max_files": 3}, poller)
    assert isinstance(writer, LogWriter)
    numbered(writer, 0, 2)
    reader = LogReader(path)
    told(reader)
    place = reader.place
    reader.close()
    numbered(writer, 2, 30)
    until_packed(poller, path, "log", "log.1.gz", "log.2.gz")
    again = LogReader(path, place=place)
    lines, lost = told(again)
    assert (lines[-1], lost) == (b"0029\n", [30 - 2 - len(lines)])
    again.close()
    writer.close()
    poller.close()


def old_file(path: str, first: int, last: int) -> None:
    """As it was before there were marks."""
    records = [b"2026-11-23T05:00:00.%09dZ stdout F %04d\n" % (number, number) for number in range(first, last)]
    Path(path).write_bytes(b"".join(records))


def test_a_file_without_marks_is_read_and_gone_on_with(path: str) -> None:
    old_file(path, 0, 3)
    reader = LogReader(path)
    lines, lost = told(reader)
    place = reader.place
    assert (len(lines), lost) == (3, [])
    assert place is not None
    assert place.mark is None
    writer = LogWriter(path)
    numbered(writer, 3, 5)
    assert told(reader) == ([b"0003\n", b"0004\n"], [])
    reader.close()
    again = LogReader(path, place=place)
    assert told(again) == ([b"0003\n", b"0004\n"], [])
    assert again.place is not None
    assert again.place.mark == Mark(2, 2), "since the first mark"
    again.close()
    writer.close()


def test_of_what_was_not_counted_it_is_said_that_something_is_missing(path: str) -> None:
    old_file(path, 0, 3)
    reader = LogReader(path)
    told(reader)
    place = reader.place
    reader.close()
    old_file(path, 5, 7)
    again = LogReader(path, place=place)
    assert told(again) == ([b"0005\n", b"0006\n"], [-1])
    again.close()
    os.unlink(path)
    writer = LogWriter(path)
    numbered(writer, 7, 8)
    writer.close()
    again = LogReader(path, place=place)
    assert told(again) == ([b"0007\n"], [-1])
    again.close()


def test_lines_that_were_not_wanted_are_not_missed(path: str) -> None:
    """The first of those that come next are left out, and these are the first that were lost."""
    writer = small(path)
    numbered(writer, 0, 20)
    writer.close()
    first = LogReader(path)
    kept = len(told(first)[0])
    first.close()
    for skipped in (0, 3, 20 - kept, 20 - kept + 2):
        reader = LogReader(path, place=Place("2020-01-01T00:00:00.000000000Z", 99, skipped, Mark(0, 0)))
        lines, lost = told(reader)
        assert sum(lost) == max(0, 20 - kept - skipped)
        assert len(lines) == 20 - skipped - sum(lost)
        reader.close()


def in_the_middle_of_a_line(path: str) -> LogWriter:
    """The log begins within a line of stdout; its beginning is gone."""
    writer = small(path, max_bytes=300, max_files=1)
    writer.write(b"stdout", b"gone\nbeginning " + b"." * 200)
    writer.write(b"stderr", b"e0\n")
    writer.write(b"stdout", b"end\none\n")
    assert b"beginning" not in Path(path).read_bytes()
    return writer


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [b"e0\n", b"one\n", b"two\n"]),
        ({"since": 5.0}, [b"e0\n", b"one\n", b"two\n"]),
        ({"tail": 9}, [b"e0\n", b"one\n", b"two\n"]),
        ({"tail": 4}, [b"e0\n", b"one\n", b"two\n"]),
        ({"tail": 3}, [b"e0\n", b"one\n", b"two\n"]),
        ({"tail": 2}, [b"one\n", b"two\n"]),
        ({"tail": 1}, [b"two\n"]),
        ({"tail": 0}, []),
    ],
)
@pytest.mark.parametrize("coalesce", [False, True])
def test_the_end_of_a_line_is_not_shown_as_one(
    path: str, options: dict[str, Any], expected: list[bytes], coalesce: bool
) -> None:
    """Nobody asked for what is gone, so nothing of it is told."""
    writer = in_the_middle_of_a_line(path)
    writer.write(b"stdout", b"two\n")
    reader = LogReader(path, coalesce=coalesce, **options)
    assert told(reader) == (expected, [])
    assert reader.place is not None
    assert reader.place.mark == writer._mark
    writer.write(b"stdout", b"three\n")
    assert told(reader) == ([b"three\n"], [])
    reader.close()
    writer.close()


def test_as_many_lines_as_are_wanted_are_shown_though_the_end_of_another_is_among_them(path: str) -> None:
    writer = small(path, max_bytes=300, max_files=1)
    writer.write(b"stdout", b"gone\nbeginning " + b"." * 200)
    writer.write(b"stderr", b"e0\ne1\n")
    writer.write(b"stdout", b"end\none\n")
    writer.close()
    for wanted, expected in ((2, [b"e1\n", b"one\n"]), (3, [b"e0\n", b"e1\n", b"one\n"])):
        reader = LogReader(path, tail=wanted)
        assert told(reader) == (expected, [])
        reader.close()


def test_of_a_line_that_goes_on_and_on_there_is_what_is_left(path: str) -> None:
    writer = small(path)
    for number in range(10):
        writer.write(b"stdout", b"%d" % number * 100)
    writer.write(b"stdout", b"end\n")
    writer.close()
    for options in ({}, {"tail": 1}, {"tail": 5}):
        reader = LogReader(path, **options)
        assert told(reader) == ([b"9" * 100 + b"end\n"], [])
        reader.close()


@given(
    st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(min_size=1, max_size=30)), max_size=30),
    st.integers(1, 300),
    st.integers(20, 400),
)
def test_what_is_known_of_any_place_is_what_a_count_from_the_beginning_says(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[int, bytes]], every: int, block: int
) -> None:
    path = str(tmp_path_factory.mktemp("marks") / "log")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logwriter, "MARK_BYTES", every)
        patch.setattr(logmarks, "_BLOCK_BYTES", block)
        writer = LogWriter(path)
        for stream, chunk in writes:
            writer.write(NAMES[stream], chunk)
        writer.close()
        data = Path(path).read_bytes()
        here, offset = Mark(0, 0), 0
        for record in re.findall(rb"[^\n]*\n", data):
            assert mark_at(lambda size, begin: data[begin : begin + size], offset) == here
            here, offset = here.after([record]), offset + len(record)
        assert here == writer._mark


def test_a_loss_is_told_where_it_is(path: str) -> None:
    writer = small(path)
    numbered(writer, 0, 1)
    reader = LogReader(path)
    numbered(writer, 1, 20)
    writer.close()
    found = [each for batches in iter(reader.read, None) for each in batches]
    reader.close()
    (place,) = (index for index, each in enumerate(found) if isinstance(each, Lost))
    before, after = found[:place], found[place + 1 :]
    assert before
    assert all(isinstance(each, Batch) and each.at < found[place].at <= after[0].at for each in before)
