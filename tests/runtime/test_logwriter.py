"""The log's writer, against its reader: any bytes in any chunks come back, through rotation and full disks."""

import errno
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestr8.runtime import logmarks, logwriter
from orchestr8.runtime.logrecords import Batch
from orchestr8.runtime.logs import LogReader
from orchestr8.runtime.logwriter import LogWriter, open_log
from orchestr8.runtime.poller import Poller

NAMES = {1: b"stdout", 2: b"stderr"}
LINE = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) (stdout|stderr) ([FP]) (.*)")
PIECES = st.lists(
    st.tuples(
        st.sampled_from([1, 2]),
        st.one_of(
            st.binary(max_size=50),
            st.lists(st.sampled_from([b"\n", b"a", b"\r", b"\0", b" F "]), max_size=12).map(b"".join),
        ),
    ),
    max_size=20,
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "current.log")


def read_back(path: str) -> dict[int, bytes]:
    reader = LogReader(path)
    found = {1: b"", 2: b""}
    while (batches := reader.read()) is not None:
        for batch in batches:
            found[batch.stream] += batch.data
    for batch in reader.finish():
        found[batch.stream] += batch.data
    reader.close()
    return found


def records(path: str) -> list[tuple[bytes, bytes, bytes]]:
    found = []
    for line in Path(path).read_bytes().split(b"\n")[:-1]:
        if logmarks.read(line) is not None:
            continue
        match = LINE.fullmatch(line)
        assert match, line
        found.append((match[2], match[3], match[4]))
    return found


@given(PIECES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_reader_gives_back_exactly_what_was_written(tmp_path: Path, pieces: list[tuple[int, bytes]]) -> None:
    path = str(tmp_path / "round-trip.log")
    Path(path).unlink(missing_ok=True)
    writer = LogWriter(path)
    for stream, chunk in pieces:
        if chunk:
            writer.write(NAMES[stream], chunk)
    writer.close()
    assert read_back(path) == {stream: b"".join(chunk for each, chunk in pieces if each == stream) for stream in NAMES}


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_rotation_keeps_is_the_end_of_what_was_written(tmp_path: Path, chunks: list[bytes]) -> None:
    path = str(tmp_path / "rotation.log")
    for name in (path, f"{path}.1", f"{path}.2"):
        Path(name).unlink(missing_ok=True)
    writer = LogWriter(path, max_bytes=1000, max_files=3)
    for chunk in chunks:
        writer.write(b"stdout", chunk)
    writer.close()
    written = b"".join(chunks)
    assert written.endswith(read_back(path)[1])
    assert not os.path.exists(f"{path}.3")


def test_lines_are_records_and_a_tail_is_a_part(path: str) -> None:
    writer = LogWriter(path)
    for chunk in (b"one\ntwo\nthr", b"ee", b"\n", b"\n\n"):
        writer.write(b"stdout", chunk)
    writer.write(b"stderr", b"x\n")
    assert records(path) == [
        (b"stdout", b"F", b"one"),
        (b"stdout", b"F", b"two"),
        (b"stdout", b"P", b"thr"),
        (b"stdout", b"P", b"ee"),
        (b"stdout", b"F", b""),
        (b"stdout", b"F", b""),
        (b"stdout", b"F", b""),
        (b"stderr", b"F", b"x"),
    ]
    writer.close()


def test_times_are_utc_with_nanoseconds(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0, 999_999_999, 1_000_000_000, 1_700_000_000_000_000_001, 1_700_000_000_500_000_000])
    monkeypatch.setattr(logwriter.time, "time_ns", lambda: next(moments))
    writer = LogWriter(path)
    for _ in range(5):
        writer.write(b"stdout", b"x\n")
    writer.close()
    assert [line.split(b" ")[0].decode() for line in Path(path).read_bytes().splitlines()[1:]] == [
        "1970-01-01T00:00:00.000000000Z",
        "1970-01-01T00:00:00.999999999Z",
        "1970-01-01T00:00:01.000000000Z",
        "2023-11-14T22:13:20.000000001Z",
        "2023-11-14T22:13:20.500000000Z",
    ]


def test_a_later_writer_goes_on_where_the_file_ends_and_counts_what_is_there(path: str) -> None:
    """A line and the mark before it have 93 bytes, and each writer begins with a mark."""
    for number in range(3):
        writer = LogWriter(path, max_bytes=200, max_files=2)
        writer.write(b"stdout", b"line %d\n" % number)
        writer.close()
    assert [text for _, _, text in records(f"{path}.1")] == [b"line 0", b"line 1"]
    assert [text for _, _, text in records(path)] == [b"line 2"]


def test_a_chunk_larger_than_a_file_is_written_whole(path: str) -> None:
    writer = LogWriter(path, max_bytes=100, max_files=3)
    writer.write(b"stdout", b"y" * 500 + b"\n")
    writer.write(b"stdout", b"z\n")
    writer.close()
    assert read_back(path)[1] == b"y" * 500 + b"\nz\n"


def test_a_file_takes_no_more_than_it_may_though_more_than_that_was_read_at_once(path: str) -> None:
    writer = LogWriter(path, max_bytes=10_000, max_files=4)
    text = b"".join(b"%d\n" % number for number in range(12_000))
    for start in range(0, len(text), 65_536):
        writer.write(b"stdout", text[start : start + 65_536])
    writer.close()
    sizes = [os.path.getsize(f"{path}{suffix}") for suffix in ("", ".1", ".2", ".3")]
    assert max(sizes) <= 10_000
    assert sum(sizes) > 20_000
    assert text.endswith(b"\n" + read_back(path)[1])


def test_a_rotation_looks_only_at_the_files_that_there_are(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there may be."""
    looks = []
    real = os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda name: looks.append(name) or real(name))
    poller = Poller()
    writer = open_log(path, {"max_bytes": 100, "max_files": 1_000_000}, poller)
    for number in range(6):
        writer.write(b"stdout", b"%d\n" % number)
    writer.close()
    poller.close()
    assert {os.path.basename(each).removesuffix(".gz") for each in looks} <= {
        "current.log", "current.log.next", *(f"current.log.{number}" for number in range(1, 7)),
    }  # fmt: skip
    assert read_back(path)[1] == b"0\n1\n2\n3\n4\n5\n"


def test_a_number_that_somebody_made_free_is_taken_first(path: str) -> None:
    writer = LogWriter(path, max_bytes=100, max_files=5)
    for number in range(5):
        writer.write(b"stdout", b"%d\n" % number)
    os.unlink(f"{path}.2")
    for number, expected in ((5, b"01345"), (6, b"13456")):
        writer.write(b"stdout", b"%d\n" % number)
        names = [*(f"{path}.{older}" for older in range(4, 0, -1)), path]
        assert b"".join(text for name in names for _, _, text in records(name)) == expected
    writer.close()


@pytest.mark.parametrize("before", [b"", b"short\n", b"x" * logwriter.RECORD_BYTES + b"\n"])
@pytest.mark.parametrize("size", [-1, 0, 1, 20_000, 40_000])
def test_no_record_is_longer_than_16_kib(path: str, before: bytes, size: int) -> None:
    text = before + b"y" * (logwriter.RECORD_BYTES + size) + b"\nshort\n" + b"z" * 33_000
    writer = LogWriter(path)
    writer.write(b"stdout", text)
    writer.write(b"stdout", b"\n")
    writer.close()
    assert read_back(path)[1] == text + b"\n"
    assert max(len(each) for _, _, each in records(path)) <= 16_384
    whole = [each for _, kind, each in records(path) if kind == b"F"]
    assert len(whole) == text.count(b"\n") + 1
    assert (b"y" * (logwriter.RECORD_BYTES + size) in whole) == (size <= 0), "no line is split that need not be"


@pytest.mark.parametrize("gone", ["file", "directory"])
def test_who_removes_the_log_finds_a_new_one_in_its_place(
    tmp_path: Path, gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the latest a second later; what is written to the removed file until then goes with it."""
    moments = iter(range(0, 5_000_000_000, 1_000_000_000))
    monkeypatch.setattr(logwriter.time, "time_ns", lambda: next(moments))
    (tmp_path / "log").mkdir()
    path = str(tmp_path / "log/current.log")
    writer = LogWriter(path)
    writer.write(b"stdout", b"one\ntwo\nthr")
    reader = LogReader(path)
    assert [each.data for each in reader.read() or [] if isinstance(each, Batch)] == [b"one\ntwo\n"]
    if gone == "directory":
        shutil.rmtree(tmp_path / "log")
    else:
        os.unlink(path)
    writer.write(b"stdout", b"ee\nfour\n")
    assert [each.data for each in reader.read() or [] if isinstance(each, Batch)] == [b"three\nfour\n"]
    reader.close()
    writer.close()
    assert records(path)[-1] == (b"stdout", b"F", b"four")


def test_a_log_whose_container_is_gone_is_not_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(range(0, 5_000_000_000, 1_000_000_000))
    monkeypatch.setattr(logwriter.time, "time_ns", lambda: next(moments))
    (tmp_path / "box/log").mkdir(parents=True)
    writer = LogWriter(str(tmp_path / "box/log/current.log"))
    shutil.rmtree(tmp_path / "box")
    for _ in range(3):
        writer.write(b"stdout", b"x\n")
    writer.close()
    assert os.listdir(tmp_path) == []


def test_the_log_is_not_readable_for_everybody(path: str) -> None:
    LogWriter(path).close()
    assert os.stat(path).st_mode & 0o777 == 0o640


def test_a_symlink_in_the_logs_place_is_not_followed(path: str, tmp_path: Path) -> None:
    os.symlink(tmp_path / "elsewhere", path)
    with pytest.raises(OSError, match="symbolic links"):
        LogWriter(path)


def test_a_full_disk_loses_bytes_and_counts_them() -> None:
    writer = LogWriter("/dev/full")
    writer.write(b"stdout", b"some text\n")
    assert writer.lost_bytes == 50
    writer.close()


def test_a_short_write_is_continued(path: str, narrow: list[int]) -> None:
    writer = LogWriter(path)
    narrow += [7, 3]
    writer.write(b"stdout", b"a line\n")
    writer.close()
    assert read_back(path)[1] == b"a line\n"
    assert writer.lost_bytes == 0


def test_a_record_that_the_disk_took_in_part_is_completed_once_there_is_room(path: str, narrow: list[int]) -> None:
    writer = LogWriter(path)
    writer.write(b"stdout", b"first\n")
    told: list[tuple[str, int]] = []
    writer.on_trouble = lambda reason: told.append((reason, writer.lost_bytes))
    narrow += [45, 0]
    writer.write(b"stdout", b"in two parts\nlost\n")
    assert told == [("No space left on device", 45)]
    narrow += [0]
    writer.write(b"stdout", b"lost too\n")
    assert told[1:] == []
    writer.write(b"stdout", b"whole\n")
    writer.write(b"stdout", b"again\n")
    writer.close()
    assert writer.lost_bytes == 45 + 49
    notice = b"orchestr8: 94 bytes of this log are lost: No space left on device"
    assert [(stream, text) for stream, _, text in records(path)] == [
        (b"stdout", b"first"), (b"stdout", b"in two parts"), (b"stderr", notice), (b"stdout", b"whole"),
        (b"stdout", b"again"),
    ]  # fmt: skip
    assert told[1:] == [("", 94)]


def test_each_loss_is_told_at_its_place(path: str, narrow: list[int]) -> None:
    writer = LogWriter(path)
    for number in range(2):
        narrow += [0]
        writer.write(b"stdout", b"lost\n")
        writer.write(b"stdout", b"%d\n" % number)
    writer.close()
    notice = b"orchestr8: 45 bytes of this log are lost: No space left on device"
    assert [text for _, _, text in records(path)] == [notice, b"0", notice, b"1"]


def test_when_no_new_file_can_be_made_the_log_goes_on_in_the_old_one(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LogWriter(path, max_bytes=60, max_files=2)
    writer.write(b"stdout", b"one\n")

    def refuse(*_arguments: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(logwriter.os, "open", refuse)
    writer.write(b"stdout", b"two\n")
    monkeypatch.undo()
    writer.write(b"stdout", b"three\n")
    writer.close()
    text = b"".join(Path(name).read_bytes() for name in (f"{path}.1", path) if os.path.exists(name))
    assert [line.split(b" ")[3] for line in text.splitlines()][-1] == b"three"
    assert writer.lost_bytes == 0


def test_a_log_of_one_file_begins_anew_when_it_is_full(path: str) -> None:
    writer = open_log(path, {"max_bytes": 150, "max_files": 1}, Poller())
    for number in range(10):
        writer.write(b"stdout", b"%d\n" % number)
    writer.close()
    assert os.listdir(os.path.dirname(path)) == ["current.log"]
    assert [text for _, _, text in records(path)] == [b"8", b"9"]


def test_a_log_without_a_limit_is_one_file(path: str) -> None:
    writer = open_log(path, {"max_bytes": 0}, Poller())
    for _ in range(50):
        writer.write(b"stdout", b"x" * (1 << 18) + b"\n")
    writer.close()
    assert os.listdir(os.path.dirname(path)) == ["current.log"]
    assert os.path.getsize(path) > 50 << 18


def test_no_log_has_no_file(path: str) -> None:
    writer = open_log(path, {"driver": "none"}, Poller())
    writer.write(b"stdout", b"x\n")
    assert writer.lost_bytes == 0
    writer.close()
    assert os.listdir(os.path.dirname(path)) == []
