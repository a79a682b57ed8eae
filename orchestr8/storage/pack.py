"""Layered trees as tar archives: a whole tree, or what a container has changed of one, as a layer of an image.

The format of a layer is OCI's (image-spec, layer.md): what is deleted is an empty file `.wh.NAME` beside it. Names whose own
beginning is `.wh.` would say something else than they are there, so they are left out of a layer, and told.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from orchestr8.storage import tarformat
from orchestr8.storage.archive import CARRIED, ArchiveWriter, check_path
from orchestr8.storage.changes import Change, Comparison
from orchestr8.storage.layers import Entry, Tree

WHITEOUT: Final = b".wh."
_LEFT: Final = "user.overlay."
_KINDS: Final = {
    stat.S_IFLNK: tarformat.SYMLINK,
    stat.S_IFCHR: tarformat.CHARACTER,
    stat.S_IFBLK: tarformat.DEVICE,
    stat.S_IFIFO: tarformat.FIFO,
}


class Named(NamedTuple):
    """Something in a tree that now stands in its directory."""

    name: str
    path: str
    entry: Entry


def walk(tree: Tree) -> Iterator[Named]:
    """All below the tree's place, each directory before what is in it, names in order; without recursion."""
    todo = [iter(tree.names())]
    while todo:
        name = next(todo[-1], None)
        if name is None:
            todo.pop()
            if todo:
                tree.leave()
            continue
        entry = tree.look(name)
        if entry is None:
            continue
        yield Named(name, tree.path(name), entry)
        if entry.is_directory and tree.enter(name, entry):
            todo.append(iter(tree.names()))


def write_tree(tree: Tree, writer: ArchiveWriter) -> None:
    """Everything, as a container on it would see it."""
    for found in walk(tree):
        _put(tree, found.name, found.path, found.entry, writer)


def write_changes(comparison: Comparison, upper: Tree, writer: ArchiveWriter, told: Callable[[str], object]) -> None:
    """What differs, as a layer. `told`: what a layer cannot say, a sentence each."""
    for change in comparison.run():
        folder, _, name = change.path.rpartition("/")
        if os.fsencode(name).startswith(WHITEOUT):
            told(
                f"{change.path[:200]!r} is not in the image: in a layer, its name would mean that another file is deleted"
            )
        elif change.entry is None:
            marker = os.fsencode(folder.lstrip("/")) + (b"/" if folder else b"") + WHITEOUT + os.fsencode(name)
            writer.add_entry(tarformat.Entry(marker, tarformat.FILE, 0, 0, 0))
        else:
            _put_change(change, change.entry, name, upper, writer)


def _put_change(change: Change, entry: Entry, name: str, upper: Tree, writer: ArchiveWriter) -> None:
    if entry.is_directory:  # from further below it is told late, so what there is to be known of it comes along
        put_directory(change.path, entry, change.attributes, writer)
    else:
        _put(upper, name, change.path, entry, writer)


def put_directory(path: str, entry: Entry, attributes: dict[str, bytes], writer: ArchiveWriter) -> None:
    name = _name(path) + b"/"
    writer.add_entry(_header(name, tarformat.DIRECTORY, entry)._replace(xattrs=_carried(attributes)))


def _put(tree: Tree, name: str, path: str, entry: Entry, writer: ArchiveWriter) -> None:
    """One of what stands in the tree's place. What is gone meanwhile, and a socket, is not there."""
    kind = stat.S_IFMT(entry.mode)
    if entry.is_directory:
        put_directory(path, entry, tree.attributes(name, entry), writer)
    elif entry.is_file and not entry.parts:
        writer.add_entry(_header(_name(path), tarformat.FILE, entry))
    elif entry.is_file:
        fd = tree.open(name, entry)
        if fd is not None:
            try:
                writer.add_file(fd, _name(path))
            finally:
                os.close(fd)
    elif kind == stat.S_IFLNK:
        link = tree.link(name, entry)
        if link is not None:
            writer.add_entry(_header(_name(path), tarformat.SYMLINK, entry)._replace(link=os.fsencode(link)))
    elif kind in _KINDS:
        major, minor = os.major(entry.rdev), os.minor(entry.rdev)
        writer.add_entry(_header(_name(path), _KINDS[kind], entry)._replace(major=major, minor=minor))


def _header(name: bytes, kind: bytes, entry: Entry) -> tarformat.Entry:
    return tarformat.Entry(name, kind, entry.mode & 0o7777, entry.uid, entry.gid, 0, max(entry.mtime_ns, 0))


def _name(path: str) -> bytes:
    return os.fsencode(path.lstrip("/")) or b"."


def _carried(attributes: dict[str, bytes]) -> dict[str, bytes]:
    return {
        name: value for name, value in attributes.items() if name.startswith(CARRIED) and not name.startswith(_LEFT)
    }


def check_paths(tree: Tree) -> None:
    """Raises OperationFailed for what an archive of the tree could not hold, before one is begun."""
    for each in walk(tree):
        check_path(os.fsencode(each.path))


def fingerprint(tree: Tree) -> str:
    """Of what the status of every file says: a tree that was changed by ordinary means has another one.

    Raises OperationFailed as `check_paths` does.
    """
    found = hashlib.sha256()
    for each in walk(tree):
        check_path(os.fsencode(each.path))
        found.update(f"{each.path}\0{each.entry[:-1]}\n".encode(errors="surrogateescape"))
    return found.hexdigest()
