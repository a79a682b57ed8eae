"""Stored and followed logs: exact bytes, any starting point, rotation at any moment."""

import os
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.runtime.logrecords import MAX_PENDING_BYTES, STDERR, STDOUT, Batch, Found, LogParser, Lost, time_text
from orchestr8.runtime.logs import LogReader

NAMES = {STDOUT: b"stdout", STDERR: b"stderr"}


def record(at: float, text: bytes, stream: int = STDOUT) -> bytes:
    """What the shim writes for one read: whole lines, and the tail as a part."""
    head, _, tail = text.rpartition(b"\n")
    prefix = time_text(at) + b" " + NAMES[stream] + b" "
    out = b"".join(prefix + b"F " + line + b"\n" for line in head.split(b"\n")) if b"\n" in text else b""
    return out + (prefix + b"P " + tail + b"\n" if tail else b"")


def records(at: float, text: bytes, stream: int = STDOUT) -> list[bytes]:
    return record(at, text, stream).splitlines()


def parse(data: bytes, *, coalesce: bool = False) -> list[Found]:
    return LogParser(coalesce=coalesce).take(data.split(b"\n")[:-1])


def read_all(reader: LogReader) -> list[Found]:
    out = []
    while (batches := reader.read_stored()) is not None:
        out += batches
    out += reader.finish()
    reader.close()
    return out


def text_of(batches: list[Found], stream: int | None = None) -> bytes:
    assert not any(isinstance(each, Lost) for each in batches)
    return b"".join(each.data for each in batches if isinstance(each, Batch) and stream in (None, each.stream))


@pytest.fixture
def log(tmp_path: Path) -> str:
    return str(tmp_path / "current.log")


def write(path: str, *records: bytes) -> None:
    with open(path, "ab") as file:
        file.write(b"".join(records))


def rotate(path: str) -> None:
    if os.path.exists(f"{path}.1"):
        os.replace(f"{path}.1", f"{path}.2")
    os.replace(path, f"{path}.1")
    write(path)


def test_a_time_is_printed_with_nanoseconds() -> None:
    assert time_text(1763874000.5) == b"2025-11-23T05:00:00.500000000Z"
    for microsecond in range(0, 1_000_000, 997):
        assert time_text(float(f"1795724378.{microsecond:06d}")) == b"2026-11-26T20:19:38.%06d000Z" % microsecond


def test_lines_of_one_read_are_one_batch() -> None:
    assert parse(record(1, b"a\nb\n") + record(2, b"c\n")) == [
        Batch(time_text(1), STDOUT, b"a\nb\n"),
        Batch(time_text(2), STDOUT, b"c\n"),
    ]


def test_coalescing_joins_the_neighbours_of_one_stream() -> None:
    data = record(1, b"a\n") + record(2, b"b\n") + record(3, b"c\n", STDERR) + record(4, b"d\n")
    assert parse(data, coalesce=True) == [
        Batch(time_text(1), STDOUT, b"a\nb\n"),
        Batch(time_text(3), STDERR, b"c\n"),
        Batch(time_text(4), STDOUT, b"d\n"),
    ]


def test_parts_are_joined_although_the_other_stream_writes_between_them() -> None:
    data = record(1, b"work") + record(2, b"careful\n", STDERR) + record(3, b"ing\ndone\n")
    assert parse(data) == [
        Batch(time_text(2), STDERR, b"careful\n"),
        Batch(time_text(1), STDOUT, b"working\ndone\n"),
    ]


def test_a_last_line_without_newline_is_given_out_at_the_end_only() -> None:
    parser = LogParser()
    assert parser.take(records(1, b"a\nprompt: ")) == [Batch(time_text(1), STDOUT, b"a\n")]
    assert parser.finish() == [Batch(time_text(1), STDOUT, b"prompt: ")]
    assert parser.finish() == []


def test_a_line_without_end_does_not_grow_in_memory() -> None:
    parser = LogParser()
    part = b"x" * 65536
    out = b""
    for _ in range(40):
        out += text_of(parser.take(records(1, part)))
        assert len(parser._pending[STDOUT]) <= MAX_PENDING_BYTES
    assert out + text_of(parser.finish()) == part * 40


def test_lines_that_the_shim_did_not_write_are_shown_as_they_are() -> None:
    data = record(1, b"a\n") + b"garbage\n\nx stdout F y\n" + record(2, b"b\n")
    assert text_of(parse(data)) == b"a\ngarbage\n\nx stdout F y\nb\n"
    assert text_of(parse(data, coalesce=True)) == b"a\ngarbage\n\nx stdout F y\nb\n"


def test_times_stand_before_each_line() -> None:
    stamp = time_text(1)
    assert Batch(stamp, STDOUT, b"a\n\nb\n").with_times() == b"%s a\n%s \n%s b\n" % (stamp, stamp, stamp)
    assert Batch(stamp, STDOUT, b"a").with_times() == b"%s a" % stamp


@given(
    st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(min_size=1, max_size=40)), max_size=30),
    st.integers(1, 200),
    st.booleans(),
)
def test_whatever_was_written_comes_back_whole(writes: list[tuple[int, bytes]], block: int, coalesce: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write(f"{folder}/log", *(record(at, text, stream) for at, (stream, text) in enumerate(writes)))
        reader = LogReader(f"{folder}/log", coalesce=coalesce, block_bytes=block)
        batches = []
        while (found := reader.read_stored()) is not None:
            batches += found
        assert all(batch.data.endswith(b"\n") for batch in batches)
        batches += reader.finish()
        reader.close()
    for stream in (STDOUT, STDERR):
        assert text_of(batches, stream) == b"".join(text for each, text in writes if each == stream)


def test_reading_up_to_a_time_leaves_the_rest(log: str) -> None:
    write(log, *(record(number, b"%d\n" % number) for number in range(6)))
    reader = LogReader(log, coalesce=True, block_bytes=100)
    assert reader.next_time() == time_text(0)
    assert text_of(reader.read_stored(time_text(0.5)) or []) == b"0\n"
    assert reader.next_time() == time_text(1)
    read = b""
    while reader.next_time() is not None and (reader.next_time() or b"") <= time_text(3):
        read += text_of(reader.read_stored(time_text(3)) or [])
    assert read == b"1\n2\n3\n"
    assert text_of(read_all(reader)) == b"4\n5\n"


def test_reading_up_to_a_time_gets_on_although_the_clock_was_set_back(log: str) -> None:
    write(log, record(9, b"a\n"), record(3, b"b\n"))
    reader = LogReader(log)
    assert text_of(reader.read_stored(time_text(5)) or []) != b""
    reader.close()


def test_rotated_files_are_read_oldest_first(log: str) -> None:
    for number in range(3):
        if number:
            rotate(log)
        write(log, record(number, b"line %d\n" % number))
    assert text_of(read_all(LogReader(log))) == b"line 0\nline 1\nline 2\n"


def test_a_log_that_does_not_exist_yet_is_empty_and_can_be_followed(log: str) -> None:
    reader = LogReader(log, tail=3, since=5)
    assert reader.read_stored() is None
    assert reader.read() is None
    write(log, record(1, b"hello\n"))
    assert reader.read() == [Batch(time_text(1), STDOUT, b"hello\n")]
    reader.close()


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (0, b""),
        (1, b"9\n"),
        (3, b"7\n8\n9\n"),
        (10, b"0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n"),
        (99, b"0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n"),
    ],
)
def test_the_tail_crosses_rotated_files(log: str, tail: int, expected: bytes) -> None:
    for number in range(10):
        if number in (4, 8):
            rotate(log)
        write(log, record(number, b"%d\n" % number))
    assert text_of(read_all(LogReader(log, tail=tail))) == expected


def test_the_tail_of_a_long_log_starts_near_its_end(log: str) -> None:
    write(log, *(record(number, b"line %06d\n" % number) for number in range(20_000)))
    reader = LogReader(log, tail=2)
    assert reader._stored_bytes < 200_000
    assert text_of(read_all(reader)) == b"line 019998\nline 019999\n"


def test_a_line_of_the_tail_has_its_beginning_although_the_other_stream_wrote_between(log: str) -> None:
    noise = [record(2 + number, b"noise %06d\n" % number, STDERR) for number in range(5_000)]
    write(log, record(0, b"first\n"), record(1, b"sp"), *noise, record(9_000, b"lit\n"))
    assert text_of(read_all(LogReader(log, tail=1))) == b"split\n"


def test_a_last_line_without_newline_counts_as_one_of_the_tail(log: str) -> None:
    write(log, record(1, b"a\nb\n"), record(2, b"c"), record(3, b"d"))
    assert text_of(read_all(LogReader(log, tail=1))) == b"cd"
    assert text_of(read_all(LogReader(log, tail=2))) == b"b\ncd"


@pytest.mark.parametrize(
    ("since", "expected"), [(0, b"0\n1\n2\n3\n4\n5\n"), (2, b"2\n3\n4\n5\n"), (4.5, b"5\n"), (6, b"")]
)
def test_since_finds_the_first_line_of_that_time(log: str, since: float, expected: bytes) -> None:
    for number in range(6):
        if number in (2, 4):
            rotate(log)
        write(log, record(number, b"%d\n" % number))
    assert text_of(read_all(LogReader(log, since=since))) == expected


def test_since_bisects_a_long_log(log: str) -> None:
    write(log, *(record(number, b"line %06d\n" % number) for number in range(20_000)))
    for since in (0, 1, 137, 9_999, 19_999):
        reader = LogReader(log, since=since)
        assert text_of(read_all(reader)).startswith(b"line %06d\n" % since)


def test_the_tail_counts_only_lines_that_since_leaves(log: str) -> None:
    write(log, *(record(number, b"%d\n" % number) for number in range(6)))
    assert text_of(read_all(LogReader(log, since=4, tail=3))) == b"4\n5\n"
    rotate(log)
    write(log, record(6, b"6\n"))
    assert text_of(read_all(LogReader(log, since=4, tail=2))) == b"5\n6\n"
    assert text_of(read_all(LogReader(log, since=4, tail=1))) == b"6\n"


def test_the_stored_part_ends_where_the_log_ended_when_it_was_opened(log: str) -> None:
    write(log, record(1, b"before\n"))
    reader = LogReader(log)
    write(log, record(2, b"after\n"))
    assert text_of(reader.read_stored() or []) == b"before\n"
    assert reader.read_stored() is None
    assert text_of(reader.read() or []) == b"after\n"
    reader.close()


def follow(reader: LogReader) -> bytes:
    out = b""
    while (batches := reader.read()) is not None:
        out += text_of(batches)
    return out


def test_following_goes_on_in_the_next_file_after_a_rotation(log: str) -> None:
    write(log, record(1, b"a\n"))
    reader = LogReader(log)
    assert follow(reader) == b"a\n"
    write(log, record(2, b"b\npart"))
    rotate(log)
    write(log, record(3, b"ial\nc\n"))
    assert follow(reader) == b"b\npartial\nc\n"
    reader.close()


def test_following_loses_nothing_when_the_file_was_rotated_away_while_it_was_held(log: str) -> None:
    write(log, record(1, b"a\n"))
    reader = LogReader(log)
    assert follow(reader) == b"a\n"
    write(log, record(2, b"b\n"))
    for number in range(3):
        rotate(log)
        write(log, record(3 + number, b"%d\n" % number))
    assert follow(reader) == b"b\n0\n1\n2\n"
    reader.close()


def test_between_the_two_steps_of_a_rotation_the_reader_waits(log: str) -> None:
    write(log, record(1, b"a\n"))
    reader = LogReader(log)
    os.replace(log, f"{log}.1")
    assert follow(reader) == b"a\n"
    write(log, record(2, b"b\n"))
    assert follow(reader) == b"b\n"
    reader.close()


def test_a_truncated_log_is_followed_from_its_new_beginning(log: str) -> None:
    write(log, record(1, b"a long line\n"))
    reader = LogReader(log)
    assert follow(reader) == b"a long line\n"
    os.truncate(log, 0)
    assert follow(reader) == b""
    write(log, record(2, b"b\n"))
    assert follow(reader) == b"b\n"
    reader.close()


def test_a_record_that_is_under_way_is_waited_for(log: str) -> None:
    whole = record(1, b"slow\n")
    write(log, whole[:20])
    reader = LogReader(log)
    assert follow(reader) == b""
    write(log, whole[20:])
    assert follow(reader) == b"slow\n"
    reader.close()


def _random_world(log: str, reader: LogReader, rng: random.Random) -> tuple[bytes, bytes]:
    written, read = b"", b""
    for step in range(300):
        action = rng.randrange(10)
        if action < 6:
            text = bytes(rng.choice(b"ab\n") for _ in range(rng.randrange(1, 20)))
            written += text
            write(log, record(step, text))
        elif action < 7:
            rotate(log)
            # Two rotations without a look in between may push an unread file out: that is the reader's only loss.
            read += follow(reader)
        else:
            read += follow(reader)
    read += follow(reader) + text_of(reader.finish())
    return written, read


@pytest.mark.parametrize("seed", range(20))
def test_a_followed_log_is_exact_whatever_the_order_of_writes_reads_and_rotations(log: str, seed: int) -> None:
    write(log)
    reader = LogReader(log, block_bytes=64)
    written, read = _random_world(log, reader, random.Random(seed))
    reader.close()
    assert read == written


def test_no_descriptor_is_left_open(log: str) -> None:
    write(log, record(1, b"a\n"))
    rotate(log)
    write(log, record(2, b"b\n"))
    before = len(os.listdir("/proc/self/fd"))
    for options in ({}, {"tail": 1}, {"since": 2.0}, {"since": 3.0, "tail": 1}):
        reader = LogReader(log, **options)
        reader.read_stored()
        rotate(log)
        follow(reader)
        reader.close()
    assert len(os.listdir("/proc/self/fd")) == before
