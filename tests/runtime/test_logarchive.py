"""Archives of logs: gzip to everybody, and to us a text that can be read from any place."""

import gzip
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestr8.runtime import logmembers
from orchestr8.runtime.logarchive import Archive
from orchestr8.runtime.logmembers import compress


@pytest.fixture
def small_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logmembers, "MEMBER_BYTES", 16)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[list[int]]:
    fds: list[int] = []
    yield fds
    for fd in fds:
        os.close(fd)


def archive_of(text: bytes, path: Path) -> bytes:
    path.write_bytes(text)
    source = os.open(path, os.O_RDONLY)
    target = os.open(f"{path}.gz", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        compress(source, target)
    finally:
        os.close(source)
        os.close(target)
    return Path(f"{path}.gz").read_bytes()


def reopened(path: Path, fds: list[int]) -> Archive:
    fds.append(os.open(f"{path}.gz", os.O_RDONLY))
    return Archive(fds[-1])


@given(st.binary(max_size=100), st.integers(0, 110), st.integers(0, 110))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_slice_of_any_text_comes_back(
    small_members: None, tmp_path: Path, opened: list[int], text: bytes, size: int, offset: int
) -> None:
    packed = archive_of(text, tmp_path / "log")
    assert gzip.decompress(packed) == text, "any gunzip reads it"
    archive = reopened(tmp_path / "log", opened)
    assert archive.size == len(text)
    assert archive.pread(size, offset) == text[offset : offset + size]
    os.close(opened.pop())


@given(st.binary(max_size=40) | st.integers(0, 3).map(lambda seed: random.Random(seed).randbytes(100_000)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_the_beginning_is_read_without_the_rest(tmp_path: Path, opened: list[int], text: bytes) -> None:
    archive_of(text, tmp_path / "log")
    archive = reopened(tmp_path / "log", opened)
    assert archive.head(30) == text[:30]
    assert archive._kept == (-1, b"")
    os.close(opened.pop())


def test_many_members_make_a_large_text(tmp_path: Path, opened: list[int]) -> None:
    text = b"".join(b"%09d a line of a log\n" % number for number in range(200_000))
    assert len(archive_of(text, tmp_path / "log")) < len(text) / 5
    archive = reopened(tmp_path / "log", opened)
    assert archive.size == len(text)
    assert archive.pread(60, 3_999_990) == text[3_999_990:4_000_050]
    assert archive.pread(len(text) + 1, 0) == text


@pytest.mark.parametrize("cut", [1, 10, 24, 40])
def test_a_torn_archive_ends_where_it_is_whole(
    small_members: None, tmp_path: Path, opened: list[int], cut: int
) -> None:
    packed = archive_of(b"0123456789abcdef" * 4, tmp_path / "log")
    Path(tmp_path / "log.gz").write_bytes(packed[:-cut])
    archive = reopened(tmp_path / "log", opened)
    assert archive.pread(100, 0) == b"0123456789abcdef" * 3
    assert archive.size == 48
    assert archive.pread(5, 48) == b""


def test_a_damaged_member_is_an_end(small_members: None, tmp_path: Path, opened: list[int]) -> None:
    packed = bytearray(archive_of(b"0123456789abcdef" * 3, tmp_path / "log"))
    packed[len(packed) // 3 + 30] ^= 0xFF
    Path(tmp_path / "log.gz").write_bytes(packed)
    assert reopened(tmp_path / "log", opened).pread(100, 0) == b"0123456789abcdef"


@pytest.mark.parametrize(
    "data",
    [b"", b"no gzip at all, and longer than a header", gzip.compress(b"of somebody else", mtime=0)],
    ids=["empty", "not gzip", "of somebody else"],
)
def test_what_is_no_archive_of_ours_is_empty(tmp_path: Path, opened: list[int], data: bytes) -> None:
    (tmp_path / "log.gz").write_bytes(data)
    archive = reopened(tmp_path / "log", opened)
    assert (archive.size, archive.pread(10, 0)) == (0, b"")
