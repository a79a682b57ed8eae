"""Tar headers as bytes: POSIX pax as it is written here, and whatever else of tar is in use as it is read. Pure.

Written is ustar where that can say all, and pax records before it where it cannot: long names, sizes from 8 GiB on, times
with fractions of a second, extended attributes (SCHILY.xattr, as GNU tar and Docker have them) and the maps of sparse
files (GNU's format 1.0). Read are these, GNU's long names and binary numbers, and the old headers of 1979. Format: pax(1)
of POSIX.1-2001, GNU tar's manual, "Basic Tar Format".

Names are bytes, as the kernel has them. Which files go into an archive is `archive`'s business, what comes out `extract`'s.
"""

from __future__ import annotations

import struct
from typing import NamedTuple
from zlib import adler32

from orchestr8.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
FILE: Final = b"0"
HARD_LINK: Final = b"1"
SYMLINK: Final = b"2"
CHARACTER: Final = b"3"
DEVICE: Final = b"4"  # a block device
DIRECTORY: Final = b"5"
FIFO: Final = b"6"
PAX: Final = b"x"
PAX_GLOBAL: Final = b"g"
LONG_NAME: Final = b"L"  # GNU's, before the header that it is the name of
LONG_LINK: Final = b"K"
XATTR: Final = b"SCHILY.xattr."
SPARSE: Final = b"GNU.sparse."

PATH_BYTES_MAX: Final = 4095  # with its first "/" (PATH_MAX): nobody unpacks a longer one, or over 2,047 levels
MAP_BYTES_MAX: Final = 1 << 20  # of a sparse file's map: Go's archive/tar, and with it podman and docker, reads no more
XATTRS_BYTES_MAX: Final = 128 << 10  # of a file: the kernel takes 64 KiB of each (xattr(7)), and file systems less

_HEADER: Final = struct.Struct("100s8s8s8s12s12s8s1s100s8s32x32x8s8s155s12x")
_MAGIC: Final = b"ustar\00000"
_NAME_MAX: Final = 100
_ID_MAX: Final = 0o7777777
_SIZE_MAX: Final = 0o77777777777
_NANOSECONDS: Final = 1_000_000_000


class Entry(NamedTuple):
    """One header, with the records that belong to it."""

    name: bytes  # as it stands there, a directory's "/" at its end included
    kind: bytes = FILE
    mode: int = 0o644  # permissions and set-id bits
    uid: int = 0
    gid: int = 0
    size: int = 0  # of what follows in the archive; for a sparse file more than its data
    mtime_ns: int = 0
    link: bytes = b""  # what a symlink says; of a hard link the name of the entry that it is another name of
    major: int = 0
    minor: int = 0
    xattrs: Mapping[str, bytes] = {}  # of a tuple: nobody writes to it
    sparse_size: int = -1  # how large the file is; its map stands where its data begins. -1: it is not sparse


def encode(entry: Entry, shown_as: bytes = b"") -> bytes:
    """The header, pax records before it. `shown_as`: the name of a sparse file for those who know no such thing."""
    name, link, size, mtime_ns = entry.name, entry.link, entry.size, entry.mtime_ns
    uid, gid = entry.uid, entry.gid
    seconds, fraction = divmod(mtime_ns, _NANOSECONDS)
    extended = _extended(entry, seconds, fraction)
    header = _HEADER.pack(
        (shown_as or name)[:_NAME_MAX],
        b"%07o" % entry.mode,
        b"%07o" % (uid if uid <= _ID_MAX else 0),
        b"%07o" % (gid if gid <= _ID_MAX else 0),
        b"%011o" % (size if size <= _SIZE_MAX else 0),
        b"%011o" % (seconds if 0 <= seconds <= _SIZE_MAX else 0),
        b"        ",
        entry.kind,
        link[:_NAME_MAX],
        _MAGIC,
        b"%07o" % entry.major if entry.major else b"",
        b"%07o" % entry.minor if entry.minor else b"",
        b"",
    )
    return extended + _summed(header)


def _extended(entry: Entry, seconds: int, fraction: int) -> bytes:
    """The pax header of what the other one has no room for; b"" when there is nothing of that."""
    records = b""
    if fraction or not 0 <= seconds <= _SIZE_MAX:
        records = record(b"mtime", _time(entry.mtime_ns))
    name, link = entry.name, entry.link
    if len(name) > _NAME_MAX or len(link) > _NAME_MAX:
        long = [(key, text) for key, text in ((b"path", name), (b"linkpath", link)) if len(text) > _NAME_MAX]
        if not all(_is_utf8(text) for _, text in long):
            records += record(b"hdrcharset", b"BINARY")
        records += b"".join(record(key, text) for key, text in long)
    if entry.size > _SIZE_MAX:
        records += record(b"size", b"%d" % entry.size)
    if entry.uid > _ID_MAX or entry.gid > _ID_MAX:
        records += record(b"uid", b"%d" % entry.uid) + record(b"gid", b"%d" % entry.gid)
    for attribute, value in entry.xattrs.items():
        records += record(XATTR + attribute.encode(errors="surrogateescape"), value)
    if entry.sparse_size >= 0:
        for key, text in (
            (b"major", b"1"),
            (b"minor", b"0"),
            (b"name", name),
            (b"realsize", b"%d" % entry.sparse_size),
        ):
            records += record(SPARSE + key, text)
    return _pax_header(len(records)) + records + padding(len(records)) if records else b""


def record(key: bytes, value: bytes) -> bytes:
    """One pax record: its length, which counts its own digits, a key and a value."""
    bare = len(key) + len(value) + 3  # " ", "=" and "\n"
    length = bare + len(b"%d" % bare)
    if len(b"%d" % length) != len(b"%d" % bare):
        length += 1
    return b"%d %b=%b\n" % (length, key, value)


def _pax_header(size: int) -> bytes:
    header = _pax_headers.get(size)
    if header is None:
        fields = (
            b"././@PaxHeader",
            b"0000000",
            b"0000000",
            b"0000000",
            b"%011o" % size,
            b"%011o" % 0,
            b"        ",
            PAX,
        )
        header = _summed(_HEADER.pack(*fields, b"", _MAGIC, b"", b"", b""))
        if len(_pax_headers) < _PAX_HEADERS:
            _pax_headers[size] = header
    return header


_pax_headers: Final[dict[int, bytes]] = {}


def _time(time_ns: int) -> bytes:
    seconds, fraction = divmod(abs(time_ns), _NANOSECONDS)
    sign = b"-" if time_ns < 0 else b""
    return sign + (b"%d.%09d" % (seconds, fraction)).rstrip(b"0").rstrip(b".")


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def padding(size: int) -> bytes:
    """What fills the last block of something so large."""
    return bytes(-size % BLOCK)


def _sum(header: bytes) -> int:
    """Of all bytes. Half a header cannot reach Adler's modulus, so its first sum is exact: twenty times as fast as `sum`."""
    return (adler32(header[:256]) & 0xFFFF) + (adler32(header[256:]) & 0xFFFF) - 2


def _summed(header: bytes) -> bytes:
    return b"%b%06o\0 %b" % (header[:148], _sum(header), header[156:])


def sparse_map(extents: Iterable[tuple[int, int]]) -> bytes:
    """GNU's map of format 1.0: (offset, length) of what is no hole, in whole blocks."""
    pairs = list(extents)
    text = b"%d\n" % len(pairs) + b"".join(b"%d\n%d\n" % pair for pair in pairs)
    return text + padding(len(text))


def decode(header: bytes) -> Entry | None:
    """The entry of a header of 512 bytes without records; None for an empty one, which ends an archive.

    Raises InvalidInput for what is no header.
    """
    known = _pax_entries.get(header)
    if known is not None:
        return known
    said = header[148:156]
    if _sum(header) - (adler32(said) & 0xFFFF) + 1 + 8 * 32 != _number(said):
        if not header.strip(b"\0"):
            return None
        raise InvalidInput("this is no tar archive, or a damaged one: a header's checksum is wrong", code="O8-641")
    name = _text(header[:100])
    kind = header[156:157]
    if header[257:263] == b"ustar\0" and header[345]:  # a prefix; GNU's own headers have times there
        name = _text(header[345:500]) + b"/" + name
    if kind == b"\0" and name.endswith(b"/"):  # of the oldest archives; a long name may be cut off there
        kind = DIRECTORY
    elif kind in {b"\0", b"7"}:
        kind = FILE
    mode, uid, gid, size, seconds = _numbers(header)
    special = kind in {CHARACTER, DEVICE}
    entry = Entry(
        name,
        kind,
        mode & 0o7777,
        uid,
        gid,
        0 if kind in _WITHOUT_DATA else size,
        seconds * _NANOSECONDS,
        _text(header[157:257]),
        _number(header[329:337]) if special else 0,
        _number(header[337:345]) if special else 0,
    )
    if kind == PAX and len(_pax_entries) < _PAX_HEADERS:
        _pax_entries[header] = entry
    return entry


def _numbers(header: bytes) -> tuple[int, int, int, int, int]:
    """Mode, owner, group, size and time. Most programs write them as octal digits and a zero byte, which is quickly read."""
    if header[107] == header[115] == header[123] == header[135] == header[147] == 0:
        digits = header[100:107] + header[108:115] + header[116:123] + header[124:135] + header[136:147]
        if digits.isdigit():
            try:
                return (
                    int(digits[:7], 8), int(digits[7:14], 8), int(digits[14:21], 8), int(digits[21:32], 8),
                    int(digits[32:], 8),
                )  # fmt: skip
            except ValueError:  # an 8 or a 9
                pass
    return (
        _number(header[100:108]), _number(header[108:116]), _number(header[116:124]), _number(header[124:136]),
        _number(header[136:148]),
    )  # fmt: skip


_PAX_HEADERS: Final = 64  # as many are kept, both ways: most archives have one kind, of a time
_pax_entries: Final[dict[bytes, Entry]] = {}
_WITHOUT_DATA: Final = {HARD_LINK, SYMLINK, CHARACTER, DEVICE, DIRECTORY, FIFO}


def _text(field: bytes) -> bytes:
    end = field.find(b"\0")
    return field if end < 0 else field[:end]


def _number(field: bytes) -> int:
    """Octal digits, or GNU's binary with the first bit set, which may be negative."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big")
        return value - (1 << 8 * len(field)) if field[0] & 0x40 else value & ((1 << (8 * len(field) - 1)) - 1)
    text = field.strip(b" \0") or b"0"
    if not text.isdigit() or b"8" in text or b"9" in text:
        raise InvalidInput(f"this is no tar archive, or a damaged one: {field!r} is no number", code="O8-641")
    return int(text, 8)


def parse_records(text: bytes) -> dict[bytes, bytes]:
    """The records of a pax header. Raises InvalidInput for what is none."""
    found = {}
    at = 0
    while at < len(text):
        space = text.find(b" ", at, at + 20)
        digits = text[at:space]
        length = int(digits) if space > 0 and digits.isdigit() else 0
        line = text[space + 1 : at + length]
        key, equals, value = line.partition(b"=")
        if not equals or not line.endswith(b"\n") or at + length > len(text):
            raise InvalidInput("this is no tar archive, or a damaged one: a pax record is cut", code="O8-641")
        found[key] = value[:-1]
        at += length
    return found


def apply_records(entry: Entry, records: Mapping[bytes, bytes]) -> Entry:
    """The entry with what its pax records say. Raises InvalidInput for numbers that are none."""
    changes: dict[str, object] = {}
    xattrs: dict[str, bytes] = {}
    try:
        if len(records) == 1 and b"mtime" in records:  # as nearly all have it
            return entry._replace(mtime_ns=_nanoseconds(records[b"mtime"] or b"0"))
        for key, value in records.items():
            if key in _AS_TEXT:
                changes[_AS_TEXT[key]] = value
            elif key in _AS_NUMBER and value:
                changes[_AS_NUMBER[key]] = _whole(value)
            elif key == b"mtime" and value:
                changes["mtime_ns"] = _nanoseconds(value)
            elif key.startswith(XATTR):
                xattrs[key[len(XATTR) :].decode(errors="surrogateescape")] = value
        if b"GNU.sparse.name" in records:
            changes["name"] = records[b"GNU.sparse.name"]
    except ValueError:
        raise InvalidInput("this is no tar archive, or a damaged one: a pax number is none", code="O8-641") from None
    if xattrs:
        changes["xattrs"] = xattrs
    return entry._replace(**changes)  # type: ignore[arg-type]


_AS_TEXT: Final = {b"path": "name", b"linkpath": "link"}
_AS_NUMBER: Final = {b"size": "size", b"uid": "uid", b"gid": "gid", b"GNU.sparse.realsize": "sparse_size"}


def _whole(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise ValueError
    return int(text)


def _nanoseconds(text: bytes) -> int:
    """Of decimal seconds; digits beyond the ninth do not count."""
    whole, _, fraction = text.removeprefix(b"-").partition(b".")
    value = _whole(whole or b"0") * _NANOSECONDS + _whole(fraction[:9].ljust(9, b"0"))
    return -value if text.startswith(b"-") else value
