"""A tar stream, entry by entry: what is read is taken out of whatever gives bytes. Pure.

Compressed archives are told by their first bytes and inflated here, in this process: no program is looked for
(CVE-2026-41567). Headers are `tarformat`'s, what comes of an entry is `extract`'s.
"""

from __future__ import annotations

from orchestr8.errors import InvalidInput, Unsupported
from orchestr8.model.shown import shown
from orchestr8.storage import tarformat
from orchestr8.storage.tarformat import BLOCK, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Final

    Source = Callable[[], bytes]

PIECE_BYTES: Final = 1 << 20
RECORDS_BYTES_MAX: Final = 16 << 20  # of one pax header: names and attributes are small, hostile ones need not be
_GLOBALS_BYTES_MAX: Final = 1 << 20  # of all global ones together, which stay to the end
_NAME_BYTES_MAX: Final = 64 << 10  # several times what a path may have (PATH_MAX)
_MAP_PAIRS_MAX: Final = 1 << 20
_ID_MAX: Final = 2**32 - 2  # the number above says "leave it as it is"
_TIME_END_NS: Final = 2**63 * 1_000_000_000  # of time_t: a file on a tmpfs may have any of them
_SIZE_END: Final = 2**63  # off_t
_CUT: Final = "the archive ends in the middle"


class TarReader:
    """`source` gives the next bytes, b"" at the end. Iterate, and take an entry's data by `data` or `extents` before the next.

    Raises InvalidInput for what is no tar archive.
    """

    def __init__(self, source: Source) -> None:
        self._source = inflated(source)
        self._buffer = b""
        self._at = 0
        self._left = 0  # of the data of the entry at hand, its padding not included
        self._padding = 0
        self._globals: dict[bytes, bytes] = {}

    def __iter__(self) -> Iterator[Entry]:
        records: dict[bytes, bytes] = {}
        long: dict[str, bytes] = {}
        while True:
            self._skip()
            header = self._block()
            entry = tarformat.decode(header) if header else None
            if entry is None:
                if not header and (records or long):
                    raise InvalidInput(_CUT, code="O8-641")
                self._drain()
                return
            self._begin(entry)
            if entry.kind in {tarformat.PAX, tarformat.PAX_GLOBAL}:
                said = tarformat.parse_records(self._whole(entry))
                if entry.kind == tarformat.PAX_GLOBAL:
                    self._globals.update(said)
                    if sum(len(key) + len(value) for key, value in self._globals.items()) > _GLOBALS_BYTES_MAX:
                        raise InvalidInput("the records for all of the archive are too large", code="O8-641")
                else:
                    records = said
                continue
            if entry.kind in {tarformat.LONG_NAME, tarformat.LONG_LINK}:
                text = self._whole(entry).rstrip(b"\0")
                long["name" if entry.kind == tarformat.LONG_NAME else "link"] = text
                continue
            entry = entry._replace(**long)  # type: ignore[arg-type]
            if records or self._globals:
                entry = tarformat.apply_records(entry, {**self._globals, **records} if self._globals else records)
                if entry.size != self._left:
                    self._begin(entry)
                if len(records) > 1:
                    _check_sparse(entry, records)
            _check(entry)
            records, long = {}, {}
            yield entry

    def _begin(self, entry: Entry) -> None:
        if entry.size < 0:
            raise InvalidInput("this is no tar archive, or a damaged one: a size is negative", code="O8-641")
        self._left = entry.size
        self._padding = -entry.size % BLOCK

    def data(self) -> Iterator[bytes]:
        """What follows the entry, in pieces."""
        while self._left:
            yield self._take(min(self._left, PIECE_BYTES))

    def small(self, size: int) -> bytes:
        """All of it at once, when it is `size` bytes and not many."""
        end = self._at + size
        if size == self._left and end <= len(self._buffer):
            data = self._buffer[self._at : end]
            self._at = end
            self._left = 0
            return data
        return b"".join(self.data())

    def extents(self, entry: Entry) -> Iterator[tuple[int, bytes]]:
        """(offset, data) in a sparse file. Raises InvalidInput for a map that leads out of it."""
        pairs = self._map()
        for start, length in pairs:
            offset, end = start, start + length
            if end > entry.sparse_size:
                raise InvalidInput("a sparse file's map leads out of it", code="O8-641")
            while offset < end:
                if not self._left:
                    raise InvalidInput(_CUT, code="O8-641")
                data = self._take(min(end - offset, self._left, PIECE_BYTES))
                yield offset, data
                offset += len(data)

    def _map(self) -> list[tuple[int, int]]:
        """GNU's, of format 1.0: decimal numbers, a line each, up to the end of a block."""
        lines: list[bytes] = []
        rest = b""
        wanted = 1
        while len(lines) < wanted:
            block = self._take(BLOCK) if self._left >= BLOCK else b""
            *complete, rest = (rest + block).split(b"\n")
            if not block or not all(line.isdigit() and len(line) < 20 for line in complete[: wanted - len(lines)]):
                raise InvalidInput("a sparse file has no map of its data", code="O8-641")
            if not lines and complete:
                wanted += 2 * int(complete[0])
                if wanted > 2 * _MAP_PAIRS_MAX:
                    raise InvalidInput("a sparse file has a map that is too large", code="O8-641")
            lines += complete
        numbers = [int(line) for line in lines[1:wanted]]
        return list(zip(numbers[::2], numbers[1::2], strict=True))

    def _whole(self, entry: Entry) -> bytes:
        if entry.size > RECORDS_BYTES_MAX:
            raise InvalidInput(f"a name or its records have {entry.size:,} bytes", code="O8-641")
        return b"".join(self.data())

    def _take(self, size: int) -> bytes:
        """Between one and `size` bytes of the entry's data."""
        if self._at >= len(self._buffer):
            self._fill()
        data = self._buffer[self._at : self._at + size]
        self._at += len(data)
        self._left -= len(data)
        return data if len(data) == size or size > BLOCK else data + self._rest_of(size - len(data))

    def _rest_of(self, size: int) -> bytes:
        """Of a block that came in parts."""
        data = b""
        while len(data) < size:
            if self._at >= len(self._buffer):
                self._fill()
            piece = self._buffer[self._at : self._at + size - len(data)]
            self._at += len(piece)
            self._left -= len(piece)
            data += piece
        return data

    def _fill(self) -> None:
        self._buffer = self._source()
        self._at = 0
        if not self._buffer:
            raise InvalidInput(_CUT, code="O8-641")

    def _skip(self) -> None:
        left = self._left + self._padding
        self._left = self._padding = 0
        if left and self._at + left <= len(self._buffer):
            self._at += left
            return
        while left:
            if self._at >= len(self._buffer):
                self._fill()
            step = min(left, len(self._buffer) - self._at)
            self._at += step
            left -= step

    def _block(self) -> bytes:
        """The next 512 bytes; b"" where the stream ends instead."""
        end = self._at + BLOCK
        while end > len(self._buffer):
            more = self._source()
            if not more:
                if self._at < len(self._buffer):
                    raise InvalidInput(_CUT, code="O8-641")
                return b""
            self._buffer = self._buffer[self._at :] + more
            self._at, end = 0, BLOCK
        header = self._buffer[self._at : end]
        self._at = end
        return header

    def _drain(self) -> None:
        """What comes after the end mark belongs to nothing, but whoever sends it wants it to be taken."""
        self._buffer, self._at = b"", 0
        while self._source():
            pass


def _check(entry: Entry) -> None:
    if b"\0" in entry.name or b"\0" in entry.link or any("\0" in name for name in entry.xattrs):
        raise InvalidInput(f"{shown(entry.name)} in the archive has a name that no file can have", code="O8-641")
    if max(len(entry.name), len(entry.link)) > _NAME_BYTES_MAX:
        raise InvalidInput(f"{shown(entry.name)} in the archive has too long a name", code="O8-641")
    if sum(len(name) + len(value) for name, value in entry.xattrs.items()) > tarformat.XATTRS_BYTES_MAX:
        raise InvalidInput(f"{shown(entry.name)} in the archive has attributes that are too large", code="O8-641")
    if max(entry.size, entry.sparse_size) >= _SIZE_END:
        raise InvalidInput(f"{shown(entry.name)} in the archive has a size that cannot be", code="O8-641")
    if not (0 <= entry.uid <= _ID_MAX and 0 <= entry.gid <= _ID_MAX and -_TIME_END_NS <= entry.mtime_ns < _TIME_END_NS):
        raise InvalidInput(f"{shown(entry.name)} in the archive has an owner or a time that cannot be", code="O8-641")


def _check_sparse(entry: Entry, records: dict[bytes, bytes]) -> None:
    """Of GNU's three ways to write a sparse file into a pax archive the last one is read."""
    sparse = {key for key in records if key.startswith(tarformat.SPARSE)}
    if sparse and records.get(tarformat.SPARSE + b"major") != b"1":
        raise Unsupported(
            f"{entry.name.decode(errors='replace')} is a sparse file in an old format",
            helps=["make the archive with: tar --format=posix --sparse-version=1.0"],
        )


def inflated(source: Source) -> Source:
    """`source` itself, or what it holds when that is compressed by gzip, bzip2 or xz."""
    first = source()
    while first and len(first) < 6:  # so many bytes tell an xz
        more = source()
        if not more:
            break
        first += more
    pieces = [first]

    def start() -> bytes:
        return pieces.pop() if pieces else source()

    if first.startswith(b"\x28\xb5\x2f\xfd"):
        raise Unsupported("archives compressed by zstd are not read", helps=["decompress it: zstd -dc FILE"])
    for magic, make in _INFLATORS.items():
        if first.startswith(magic):
            return _Inflated(start, make).read
    return start


class _Inflated:
    """Several compressed streams in a row are one, as their programs have it."""

    def __init__(self, source: Source, make: Callable[[], Any]) -> None:
        self._source = source
        self._make = make
        self._inflator = make()
        self._begun = False
        self._input = b""

    def read(self) -> bytes:
        while True:
            if not self._input and (not self._begun or getattr(self._inflator, "needs_input", True)):
                self._input = self._source()
                if not self._input:
                    if self._begun:
                        raise InvalidInput(_CUT, code="O8-641")
                    return b""
            try:
                data = self._step()
            except Exception as error:  # zlib.error, lzma.LZMAError, OSError of bz2: none has a common class
                raise InvalidInput(f"the archive cannot be decompressed: {error}", code="O8-641") from error
            if data:
                return data

    def _step(self) -> bytes:
        if not self._begun and not self._input.strip(b"\0"):
            self._input = b""  # what fills the last block of a tape
            return b""
        self._begun = True
        data: bytes = self._inflator.decompress(self._input, PIECE_BYTES)
        self._input = self._inflator.unconsumed_tail if hasattr(self._inflator, "unconsumed_tail") else b""
        if self._inflator.eof:
            self._input = self._inflator.unused_data
            self._inflator = self._make()
            self._begun = False
        return data


def _gzip() -> Any:
    import zlib

    return zlib.decompressobj(31)


def _bzip2() -> Any:
    import bz2

    return bz2.BZ2Decompressor()


def _xz() -> Any:
    import lzma

    return lzma.LZMADecompressor(memlimit=256 << 20)


_INFLATORS: Final[dict[bytes, Callable[[], Any]]] = {b"\x1f\x8b": _gzip, b"BZh": _bzip2, b"\xfd7zXZ\0": _xz}
