"""Archives that tests make of trees and unpack again."""

import io
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestr8.errors import Orchestr8Error
from orchestr8.storage import tarformat
from orchestr8.storage.archive import ArchiveWriter
from orchestr8.storage.extract import Extractor
from orchestr8.storage.tarformat import Entry


def source_of(data: bytes, step: int = 700) -> Callable[[], bytes]:
    stream = io.BytesIO(data)
    return lambda: stream.read(step)


def packed(path: Path, arc_name: bytes = b"tree", owner: tuple[int, int] | None = None) -> bytes:
    pieces: list[bytes] = []
    writer = ArchiveWriter(pieces.append, owner=owner)
    folder = os.open(path.parent, os.O_PATH)
    writer.add(folder, path.name, arc_name)
    writer.finish()
    os.close(folder)
    return b"".join(pieces)


def unpack(data: bytes, path: Path, *, own: bool = False, step: int = 700, **how: object) -> list[str]:
    path.mkdir(exist_ok=True)
    told: list[str] = []
    root = os.open(path, os.O_PATH | os.O_DIRECTORY)
    try:
        Extractor(root, own=own, told=told.append, **how).run(source_of(data, step))  # type: ignore[arg-type]
    finally:
        os.close(root)
    return told


def made(*entries: tuple[Entry, bytes]) -> bytes:
    pieces = [
        tarformat.encode(entry._replace(size=len(data))) + data + tarformat.padding(len(data))
        for entry, data in entries
    ]
    return b"".join(pieces) + tarformat.END


def refused(data: bytes, path: Path, **how: object) -> Orchestr8Error:
    with pytest.raises(Orchestr8Error) as raised:
        unpack(data, path, **how)  # type: ignore[arg-type]
    return raised.value


def looks(path: Path) -> dict[str, tuple[object, ...]]:
    """Everything that a copy must have, by path."""
    found: dict[str, tuple[object, ...]] = {}
    for each in sorted([path, *path.rglob("*")]):
        status = each.lstat()
        kind = stat.S_IFMT(status.st_mode)
        what: object = ""
        if kind == stat.S_IFREG:
            what = each.read_bytes()
        elif kind == stat.S_IFLNK:
            what = os.readlink(each)
        found[str(each.relative_to(path))] = (kind, stat.S_IMODE(status.st_mode), status.st_mtime_ns, what)
    return found


def nested(path: Path, name: str, levels: int) -> None:
    path.mkdir()
    at = os.open(path, os.O_PATH)
    for _ in range(levels):
        os.mkdir(name, dir_fd=at)
        below = os.open(name, os.O_PATH, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
