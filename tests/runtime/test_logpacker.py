"""Rotated logs are compressed beside the writer, and the reader sees one log all the while."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestr8.runtime import logpacker
from orchestr8.runtime.logpacker import Packer
from orchestr8.runtime.logrecords import Batch
from orchestr8.runtime.logs import LogReader
from orchestr8.runtime.logwriter import LogWriter, open_log
from orchestr8.runtime.poller import Poller

DEADLINE_S = 20.0


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "current.log")


@pytest.fixture
def poller() -> Iterator[Poller]:
    made = Poller()
    yield made
    made.close()


def until_packed(poller: Poller, path: str, *wanted: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while names(path) != sorted(wanted):
        assert time.monotonic() < deadline, names(path)
        poller.wait(0.05)


def names(path: str) -> list[str]:
    return sorted(each.removeprefix("current.") for each in os.listdir(os.path.dirname(path)))


def rest(reader: LogReader) -> bytes:
    return b"".join(each.data for found in iter(reader.read, None) for each in found if isinstance(each, Batch))


def writer_of(path: str, poller: Poller, **order: Any) -> LogWriter:
    writer = open_log(path, {"max_bytes": 1100, "max_files": 4, **order}, poller)
    assert isinstance(writer, LogWriter)
    return writer


def fill(writer: LogWriter, first: int, last: int) -> bytes:
    """Lines of 250 bytes on disk: four of them, and the mark before them, fill a file."""
    text = b""
    for number in range(first, last):
        line = b"%05d" % number + b"." * 204 + b"\n"
        writer.write(b"stdout", line)
        text += line
    return text


def test_rotated_files_are_compressed_and_read_as_if_they_were_not(path: str, poller: Poller) -> None:
    writer = writer_of(path, poller)
    text = fill(writer, 0, 14)
    until_packed(poller, path, "log", "log.1.gz", "log.2.gz", "log.3.gz")
    reader = LogReader(path)
    assert rest(reader) == text
    reader.close()
    reader = LogReader(path, tail=7)
    assert rest(reader) == text[-7 * 210 :]
    reader.close()
    text += fill(writer, 14, 18)
    until_packed(poller, path, "log", "log.1.gz", "log.2.gz", "log.3.gz")
    reader = LogReader(path)
    assert rest(reader) == text[4 * 210 :]
    reader.close()
    writer.close()


def test_since_a_time_within_an_archive(path: str, poller: Poller) -> None:
    writer = writer_of(path, poller)
    text = fill(writer, 0, 6)
    middle = time.time()
    text = fill(writer, 6, 14)
    until_packed(poller, path, "log", "log.1.gz", "log.2.gz", "log.3.gz")
    reader = LogReader(path, since=middle)
    assert rest(reader) == text
    reader.close()
    writer.close()


def test_a_follower_goes_on_wherever_its_file_went(path: str, poller: Poller) -> None:
    """It has read a part of a file that is rotated, compressed and removed before it looks again."""
    writer = writer_of(path, poller)
    text = fill(writer, 0, 2)
    reader = LogReader(path)
    found = rest(reader)
    text += fill(writer, 2, 10)
    until_packed(poller, path, "log", "log.1.gz", "log.2.gz")
    found += rest(reader)
    assert found == text
    text += fill(writer, 10, 13)
    assert found + rest(reader) == text
    reader.close()
    writer.close()


def test_a_reader_that_began_in_an_archive_follows_too(path: str, poller: Poller) -> None:
    writer = writer_of(path, poller)
    text = fill(writer, 0, 10)
    until_packed(poller, path, "log", "log.1.gz", "log.2.gz")
    reader = LogReader(path, block_bytes=100)
    first = reader.read()
    assert first is not None
    text += fill(writer, 10, 14)
    until_packed(poller, path, "log", "log.1.gz", "log.2.gz", "log.3.gz")
    assert b"".join(each.data for each in first if isinstance(each, Batch)) + rest(reader) == text
    reader.close()
    writer.close()


def test_what_a_killed_shim_left_is_tidied_up_and_done(path: str, poller: Poller) -> None:
    writer = writer_of(path, poller, compress=False)
    text = fill(writer, 0, 10)
    writer.close()
    Path(f"{path}.packing").write_bytes(b"half of an archive")
    Path(f"{path}.2.gz").write_bytes(b"not on the disk yet when the power went")
    writer = writer_of(path, poller)
    until_packed(poller, path, "log", "log.1.gz", "log.2.gz")
    reader = LogReader(path)
    assert rest(reader) == text
    reader.close()
    writer.close()


def test_between_two_steps_both_are_there_and_count_once(path: str, poller: Poller) -> None:
    writer = writer_of(path, poller)
    text = fill(writer, 0, 6)
    plain = Path(f"{path}.1").read_bytes()
    until_packed(poller, path, "log", "log.1.gz")
    Path(f"{path}.1").write_bytes(plain)
    reader = LogReader(path)
    assert rest(reader) == text
    reader.close()
    writer.close()


def test_without_room_the_file_stays_as_it_is(path: str, poller: Poller, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: int, target: int) -> None:
        os.write(target, b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logpacker, "compress", refuse)
    writer = writer_of(path, poller)
    fill(writer, 0, 5)
    until_packed(poller, path, "log", "log.1")
    monkeypatch.undo()
    fill(writer, 5, 9)
    until_packed(poller, path, "log", "log.1.gz", "log.2.gz")
    writer.close()


def test_when_no_child_can_be_made_the_log_goes_on(path: str, poller: Poller, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(logpacker.os, "fork", refuse)
    writer = writer_of(path, poller)
    text = fill(writer, 0, 5)
    assert names(path) == ["log", "log.1"]
    reader = LogReader(path)
    assert rest(reader) == text
    reader.close()
    writer.close()


def test_closing_gives_up_what_is_under_way(path: str, poller: Poller, monkeypatch: pytest.MonkeyPatch) -> None:
    wait, never = os.pipe()
    monkeypatch.setattr(logpacker.os, "closerange", lambda *_: None)
    monkeypatch.setattr(logpacker, "compress", lambda *_: os.read(wait, 1))
    writer = writer_of(path, poller)
    fill(writer, 0, 5)
    assert names(path) == ["log", "log.1", "log.packing"]
    writer.close()
    assert names(path) == ["log", "log.1"]
    os.close(wait)
    os.close(never)


def test_what_is_rotated_away_meanwhile_is_forgotten(
    path: str, poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait, go = os.pipe()
    monkeypatch.setattr(logpacker.os, "closerange", lambda *_: None)
    real = logpacker.compress

    def wait_first(source: int, target: int) -> None:
        os.read(wait, 1)
        real(source, target)

    monkeypatch.setattr(logpacker, "compress", wait_first)
    writer = writer_of(path, poller, max_files=2)
    text = fill(writer, 0, 9)
    os.write(go, b"gg")
    until_packed(poller, path, "log", "log.1.gz")
    reader = LogReader(path)
    assert rest(reader) == text[4 * 210 :]
    reader.close()
    writer.close()
    os.close(wait)
    os.close(go)


def test_nothing_is_looked_for_where_there_is_one_file(path: str, poller: Poller) -> None:
    packer = Packer(poller, path, 1)
    packer.look()
    packer.close()
    assert names(path) == []


def test_a_place_outlives_rotation_and_compression(path: str, poller: Poller) -> None:
    writer = writer_of(path, poller)
    reader = LogReader(path)
    begin = reader.place
    assert begin is not None
    text = fill(writer, 0, 6)
    assert rest(reader) == text
    place = reader.place
    assert place is not None
    writer.write(b"stdout", b"no end")
    assert reader.read() == []
    assert reader.place is None, "within a line"
    writer.write(b"stdout", b"\n")
    reader.close()
    text += b"no end\n" + fill(writer, 7, 12)
    until_packed(poller, path, "log", "log.1.gz", "log.2.gz")
    for seen, rest_of in ((begin, text), (place, text[6 * 210 :])):
        reader = LogReader(path, place=seen)
        assert rest(reader) == rest_of
        reader.close()
    fill(writer, 12, 30)
    reader = LogReader(path, place=place)
    assert rest(reader).startswith(b"000"), "its file is gone: what there is from the oldest on"
    reader.close()
    writer.close()
