"""Headers as bytes, against Python's tarfile as the oracle."""

import contextlib
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.errors import InvalidInput, Unsupported
from orchestr8.storage import tarformat
from orchestr8.storage.tarformat import BLOCK, Entry
from orchestr8.storage.tarread import TarReader

NAMES = st.binary(min_size=1, max_size=300).filter(lambda name: b"\0" not in name and not name.endswith(b"/"))


def as_tarfile_reads(data: bytes) -> tarfile.TarInfo:
    with tarfile.open(fileobj=io.BytesIO(data + tarformat.END)) as archive:
        (member,) = archive.getmembers()
    return member


def as_read(data: bytes) -> Entry:
    pieces = [data, tarformat.END]
    (entry,) = TarReader(lambda: pieces.pop(0) if pieces else b"")
    return entry


def test_a_plain_file_is_one_block() -> None:
    header = tarformat.encode(Entry(b"etc/passwd", mode=0o640, uid=3, gid=4, mtime_ns=5_000_000_000))
    assert len(header) == BLOCK
    assert header[:12] == b"etc/passwd\0\0"
    assert header[100:156] == b"0000640\x000000003\x000000004\x0000000000000\x0000000000005\x00007742\0 "
    assert header[257:265] == b"ustar\x0000"


def test_a_record_counts_its_own_length() -> None:
    assert tarformat.record(b"path", b"x") == b"9 path=x\n"
    assert tarformat.record(b"p", b"x" * 93) == b"99 p=" + b"x" * 93 + b"\n"
    assert tarformat.record(b"p", b"x" * 94) == b"101 p=" + b"x" * 94 + b"\n"


@given(
    name=NAMES,
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 2**32 - 2),
    gid=st.integers(0, 2**32 - 2),
    mtime_ns=st.integers(-(2**63) * 10**9, 2**63 * 10**9 - 1),
    link=NAMES,
    attribute=st.binary(max_size=600),
)
def test_what_is_written_is_read_again(
    name: bytes, mode: int, uid: int, gid: int, mtime_ns: int, link: bytes, attribute: bytes
) -> None:
    entry = Entry(name, tarformat.SYMLINK, mode, uid, gid, 0, mtime_ns, link, xattrs={"user.a": attribute})
    assert as_read(tarformat.encode(entry)) == entry


@given(name=NAMES, uid=st.integers(0, 2**32 - 2), mtime_ns=st.integers(0, 2**60))
def test_tarfile_reads_what_is_written(name: bytes, uid: int, mtime_ns: int) -> None:
    read = as_tarfile_reads(tarformat.encode(Entry(name, uid=uid, mtime_ns=mtime_ns)))
    assert read.name.encode(errors="surrogateescape") == name
    assert read.uid == uid
    assert read.mtime == pytest.approx(mtime_ns / 1e9)


@pytest.mark.parametrize("size", [0, 511, 512, 0o77777777777, 0o77777777777 + 1, 1 << 50])
def test_sizes_from_eight_gib_on_have_a_record(size: int) -> None:
    encoded = tarformat.encode(Entry(b"huge", size=size))
    assert (len(encoded) > BLOCK) == (size > 0o77777777777)
    with tarfile.open(fileobj=io.BytesIO(encoded), mode="r:") as archive:
        member = archive.next()
    assert member is not None
    assert member.size == size


@pytest.mark.parametrize("how", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("name", ["short", "d" * 90 + "/" + "f" * 90, "ö/ä"])
def test_what_tarfile_writes_is_read(how: int, name: str) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, "l" * (200 if how != tarfile.USTAR_FORMAT else 90)
    member.uid, member.mtime, member.mode = 70000, 12, 0o4711
    entry = as_read(member.tobuf(how, "utf-8", "surrogateescape"))
    expected = (name.encode(), member.linkname.encode(), 70000, 12_000_000_000, 0o4711)
    assert (entry.name, entry.link, entry.uid, entry.mtime_ns, entry.mode) == expected


def test_gnu_numbers_in_binary_are_read() -> None:
    member = tarfile.TarInfo("far")
    member.uid, member.mtime = 0o10000000, -5
    entry = as_read(member.tobuf(tarfile.GNU_FORMAT))
    assert (entry.uid, entry.mtime_ns) == (0o10000000, -5_000_000_000)


def test_the_oldest_archives_say_a_directory_by_its_slash() -> None:
    header = bytearray(tarformat.encode(Entry(b"old/")))
    header[156:157] = b"\0"
    header[257:265] = bytes(8)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    decoded = tarformat.decode(bytes(header))
    assert decoded is not None
    assert (decoded.name, decoded.kind) == (b"old/", tarformat.DIRECTORY)


@pytest.mark.parametrize(
    ("place", "change"), [(0, b"x"), (148, b"9"), (124, b"-"), (124, b"\xff")], ids=["sum", "digit", "sign", "negative"]
)
def test_a_damaged_header_is_refused(place: int, change: bytes) -> None:
    header = bytearray(tarformat.encode(Entry(b"etc/passwd", size=0)))
    header[place : place + 1] = change
    if place == 124:
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(InvalidInput) as raised:
        as_read(bytes(header))
    assert raised.value.code == "O8-641"


@given(st.binary(max_size=2000))
def test_no_bytes_give_anything_but_entries_or_a_refusal(data: bytes) -> None:
    pieces = [data]
    with contextlib.suppress(InvalidInput, Unsupported):
        list(TarReader(lambda: pieces.pop(0) if pieces else b""))


@given(st.binary(min_size=1, max_size=400))
def test_no_records_give_anything_but_entries_or_a_refusal(text: bytes) -> None:
    data = tarformat.encode(Entry(b"x", tarformat.PAX, size=len(text))) + text + tarformat.padding(len(text))
    pieces = [data + tarformat.encode(Entry(b"x", tarformat.FIFO))]
    with contextlib.suppress(InvalidInput):
        list(TarReader(lambda: pieces.pop(0) if pieces else b""))


def test_a_long_name_that_is_cut_off_after_a_slash_is_no_directory() -> None:
    """As old archives had one: a file of kind NUL whose name ends so."""
    name = b"d/" * 50 + b"file"
    written = tarformat.encode(Entry(name, size=5))
    header = tarformat.decode(written[-BLOCK:])
    assert header is not None
    assert (header.kind, header.size, header.name[-1:]) == (tarformat.FILE, 5, b"/")
