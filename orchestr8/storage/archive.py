"""A tree of files as a tar stream: from directory descriptors into whatever takes bytes.

The tree is hostile and may change meanwhile: each step is by descriptor, no symlink is followed, and what is opened to be
read is a regular file. That a device's node, swapped in at the last moment, is not opened either is the caller's part,
who gives trees that are mounted `nodev`; a fifo is opened without waiting, seen, and not read. A file that shrinks while
it is read is filled up with zeros, one that grows is cut: the archive stays one.

The format is `tarformat`'s; the way back is `extract`'s. Used by the engine for containers, and by `cp` for the caller's
own files.
"""

from __future__ import annotations

import errno
import os
import stat
from itertools import islice

from orchestr8.errors import OperationFailed
from orchestr8.kernel.mount import filesystem_type
from orchestr8.model.shown import shown
from orchestr8.storage import tarformat
from orchestr8.storage.tarformat import BLOCK, Entry, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    Sink = Callable[[bytes], object]

PIECE_BYTES: Final = 1 << 20  # what is handed on at once
SPARSE_BYTES: Final = 1 << 16  # from this size on a file is looked at for holes
CARRIED: Final = ("user.", "security.capability")  # extended attributes; others belong to the place a file is at
_LEFT: Final = "user.overlay."  # of rootless layers: how a file lies, not what it is
_FILLED_MAX: Final = 16  # times what a file has on the disk, if its holes are too many to be told
LINKED_BYTES_MAX: Final = 256 << 20  # of memory, for files with several names: somewhat less than a million
_LINK_BYTES: Final = 250  # of one beside its name
DEPTH_MAX: Final = 400  # a descriptor a level; PATH_MAX allows 2048, real trees stay below 30
_TRIES: Final = 8  # of one name whose kind changes between the look and the opening
_OPEN_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_OPEN_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_REPLACED: Final = {errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EISDIR, errno.ENODEV}
_SET_ID: Final = stat.S_ISUID | stat.S_ISGID
_KINDS: Final = {
    stat.S_IFLNK: tarformat.SYMLINK, stat.S_IFCHR: tarformat.CHARACTER, stat.S_IFBLK: tarformat.DEVICE,
    stat.S_IFIFO: tarformat.FIFO,
}  # fmt: skip
# Views of the kernel, not files: a walk that comes to one shows its empty place. Numbers: <linux/magic.h>.
KERNEL_OWNED: Final = {
    0x9FA0,  # proc
    0x62656572,  # sysfs
    0x27E0EB,  # cgroup
    0x63677270,  # cgroup2
    0x1CD1,  # devpts
    0x19800202,  # mqueue
    0x64626720,  # debugfs
    0x74726163,  # tracefs
    0x73636673,  # securityfs
    0xCAFE4A11,  # bpf
    0xF97CFF8C,  # selinuxfs
    0x6165676C,  # pstore
    0xDE5E81E4,  # efivarfs
    0x62656570,  # configfs
    0x65735543,  # fusectl
    0x42494E4D,  # binfmt_misc
}


class ArchiveWriter:
    """One archive, written to `sink` in pieces of a MiB or so; `finish` ends it.

    `owner`: whose everything is in the archive, instead of who has it; rights that belong to an owner (set-id bits, file
    capabilities) of another one are left out then. `told`: what no archive can say, a sentence each; without it, that is
    refused.
    """

    def __init__(
        self, sink: Sink, *, owner: tuple[int, int] | None = None, told: Callable[[str], object] | None = None
    ) -> None:
        self._sink = sink
        self._told = told
        self._owner = owner
        self._pieces: list[bytes] = []
        self._waiting = 0
        # Files with several names → their first one in here, and how many are still to come.
        self._linked: dict[tuple[int, int], tuple[bytes, int]] = {}
        self._linked_bytes = 0

    def finish(self) -> None:
        """The end mark, and all that has not been handed on."""
        self._put(tarformat.END)
        self._flush()

    def add(self, dir_fd: int, name: str, arc_name: bytes) -> None:
        """What `name` in the directory is, and all below it, as `arc_name`. Raises FileNotFoundError when nothing is there."""
        fd = self._one(dir_fd, name, arc_name)
        if fd >= 0:
            self._below(fd, arc_name)

    def add_directory(self, fd: int, arc_name: bytes) -> None:
        """The directory behind a descriptor that can be read, and all below it. An `arc_name` of b"." is no part of names."""
        fd = os.dup(fd)
        try:
            self._put_directory(fd, os.fstat(fd), arc_name)
        except BaseException:
            os.close(fd)
            raise
        self._below(fd, arc_name)

    def add_opened(self, path_fd: int, arc_name: bytes) -> None:
        """What an O_PATH descriptor stands for, and all below it."""
        status = os.fstat(path_fd)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFDIR:
            fd = os.open(".", _OPEN_DIRECTORY, dir_fd=path_fd)
            try:
                self.add_directory(fd, arc_name)
            finally:
                os.close(fd)
        elif kind == stat.S_IFREG:
            fd = os.open(f"/proc/self/fd/{path_fd}", _OPEN_FILE & ~os.O_NOFOLLOW)
            try:
                self.add_file(fd, arc_name)
            finally:
                os.close(fd)
        elif not self._special(path_fd, "", arc_name, status, kind):
            raise OperationFailed(f"{shown(arc_name)} cannot be read", code="O8-640")

    def add_entry(self, entry: Entry, data: bytes = b"") -> None:
        """One that is no file of a tree; `data`: as long as the entry says."""
        self._put_header(entry)
        self._put(data + tarformat.padding(len(data)))

    def _below(self, fd: int, arc_name: bytes) -> None:
        """What is in the directory behind `fd`, which is closed, and below it. Not by recursion: Python's stack is small."""
        levels = [(fd, b"" if arc_name == b"." else arc_name.rstrip(b"/") + b"/", iter(_listed(fd)))]
        try:
            while levels:
                fd, prefix, names = levels[-1]
                for name, file in names:
                    arc_name = prefix + name.encode(errors="surrogateescape")
                    try:
                        if file and self._file(fd, name, arc_name):
                            continue
                        below = self._one(fd, name, arc_name)
                    except FileNotFoundError:  # it was deleted after it was listed
                        continue
                    if below >= 0:
                        levels.append((below, arc_name + b"/", iter(())))
                        if len(levels) > DEPTH_MAX:
                            where = shown(arc_name[:80])
                            raise OperationFailed(f"directories nest deeper than {DEPTH_MAX}: {where}…", code="O8-640")
                        if not self._is_kernels(below, fd):
                            levels[-1] = (below, arc_name + b"/", iter(_listed(below)))
                        break
                else:
                    levels.pop()
                    os.close(fd)
        finally:
            for fd, _, _ in levels:
                os.close(fd)

    @staticmethod
    def _is_kernels(fd: int, above: int) -> bool:
        return os.fstat(fd).st_dev != os.fstat(above).st_dev and filesystem_type(fd) in KERNEL_OWNED

    def _one(self, dir_fd: int, name: str, arc_name: bytes) -> int:
        """The entry alone; of a directory a descriptor of it, else -1."""
        for _ in range(_TRIES):
            status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
            kind = stat.S_IFMT(status.st_mode)
            if kind == stat.S_IFDIR:
                fd = self._sub_directory(dir_fd, name, arc_name)
                if fd >= 0:
                    return fd
            elif kind == stat.S_IFREG:
                if self._file(dir_fd, name, arc_name):
                    return -1
            elif self._special(dir_fd, name, arc_name, status, kind):
                return -1
        raise OperationFailed(f"{shown(arc_name)} changes its kind all the time: it cannot be copied", code="O8-640")

    def _sub_directory(self, dir_fd: int, name: str, arc_name: bytes) -> int:
        """-1: it is none any more."""
        try:
            fd = os.open(name, _OPEN_DIRECTORY, dir_fd=dir_fd)
        except OSError as error:
            if error.errno in _REPLACED:
                return -1
            raise
        try:
            self._put_directory(fd, os.fstat(fd), arc_name)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _put_directory(self, fd: int, status: os.stat_result, arc_name: bytes) -> None:
        name = arc_name if arc_name.endswith(b"/") else arc_name + b"/"
        self._put_header(self._entry(name, tarformat.DIRECTORY, status, xattrs=self._xattrs(fd, status)))

    def _special(self, dir_fd: int, name: str, arc_name: bytes, status: os.stat_result, kind: int) -> bool:
        """A symlink, fifo or device. A socket is nothing outside of its process."""
        if kind == stat.S_IFSOCK:
            return True
        link = b""
        if kind == stat.S_IFLNK:
            try:
                link = os.readlink(name, dir_fd=dir_fd).encode(errors="surrogateescape")
            except OSError as error:
                if error.errno == errno.EINVAL:  # no link any more
                    return False
                raise
        if status.st_nlink > 1 and self._put_link(arc_name, status):
            return True
        entry = self._entry(arc_name, _KINDS[kind], status)
        if link:
            entry = entry._replace(link=link)
        elif kind != stat.S_IFIFO:
            entry = entry._replace(major=os.major(status.st_rdev), minor=os.minor(status.st_rdev))
        self._put_header(entry)
        return True

    def _put_link(self, arc_name: bytes, status: os.stat_result) -> bool:
        """Whether it is one more name of what is in the archive already. What all names are known of is forgotten."""
        identity = (status.st_dev, status.st_ino)
        known = self._linked.get(identity)
        if known is None:
            self._linked_bytes += _LINK_BYTES + len(arc_name)
            if self._linked_bytes > LINKED_BYTES_MAX:
                raise OperationFailed(
                    f"{shown(arc_name)} cannot be in an archive: {len(self._linked):,} files before it have several names,"
                    " of which not all have come yet",
                    code="O8-651",
                    helps=["have the names of such a file nearer to each other, or keep them in a volume of their own"],
                )
            self._linked[identity] = (arc_name, status.st_nlink - 1)
            return False
        first, left = known
        if left > 1:
            self._linked[identity] = (first, left - 1)
        else:
            del self._linked[identity]
            self._linked_bytes -= _LINK_BYTES + len(first)
        self._put_header(self._entry(arc_name, tarformat.HARD_LINK, status)._replace(link=first))
        return True

    def _file(self, dir_fd: int, name: str, arc_name: bytes) -> bool:
        """A regular file; False when it is none (any more)."""
        try:
            fd = os.open(name, _OPEN_FILE, dir_fd=dir_fd)
        except OSError as error:
            if error.errno in _REPLACED or (error.errno == errno.EACCES and not _is_file(dir_fd, name)):
                return False  # EACCES: a device's node on a mount that has none
            raise
        try:
            return self.add_file(fd, arc_name)
        finally:
            os.close(fd)

    def add_file(self, fd: int, arc_name: bytes) -> bool:
        """The file behind a descriptor that can be read; False when it is no regular one."""
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return False
        if status.st_nlink > 1 and self._put_link(arc_name, status):
            return True
        size = status.st_size
        if size >= SPARSE_BYTES and status.st_blocks * BLOCK < size:
            found = _map(fd, arc_name, status)
            if found is not None:
                return self._sparse(fd, arc_name, status, *found)
        self._put_header(self._entry(arc_name, tarformat.FILE, status, size, self._xattrs(fd, status)))
        if size:
            self._data(fd, size)
            self._put(bytes(-size % BLOCK))
        return True

    def _data(self, fd: int, size: int) -> None:
        """`size` bytes from where the descriptor is, with zeros for what is missing."""
        while size:
            data = os.read(fd, min(size, PIECE_BYTES))
            if not data:
                while size:
                    self._put(bytes(min(size, PIECE_BYTES)))
                    size -= min(size, PIECE_BYTES)
                return
            self._put(data)
            size -= len(data)

    def _sparse(
        self, fd: int, arc_name: bytes, status: os.stat_result, extents: list[tuple[int, int]], head: bytes
    ) -> bool:
        size = len(head) + sum(length for _, length in extents)
        base = b"GNUSparseFile.0/" + arc_name.rpartition(b"/")[2]
        entry = self._entry(arc_name, tarformat.FILE, status, size, self._xattrs(fd, status))
        self._put_header(entry._replace(sparse_size=status.st_size), shown_as=base)
        self._put(head)
        for offset, length in extents:
            os.lseek(fd, offset, os.SEEK_SET)
            self._data(fd, length)
        self._put(tarformat.padding(size))
        return True

    def _entry(
        self, name: bytes, kind: bytes, status: os.stat_result, size: int = 0, xattrs: dict[str, bytes] | None = None
    ) -> Entry:
        mode, uid, gid = status.st_mode & 0o7777, status.st_uid, status.st_gid
        if self._owner is not None:
            if (uid, gid) != self._owner and kind != tarformat.DIRECTORY:
                mode &= ~_SET_ID
            uid, gid = self._owner
        return Entry(name, kind, mode, uid, gid, size, status.st_mtime_ns, xattrs=xattrs or _NONE)

    def _xattrs(self, fd: int, status: os.stat_result) -> dict[str, bytes] | None:
        try:
            names = os.listxattr(fd)
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:  # a file system without any
                return None
            raise
        if not names:
            return None
        given_away = self._owner is not None and self._owner != (status.st_uid, status.st_gid)
        found = {}
        for name in names:
            if name.startswith(CARRIED) and not name.startswith(_LEFT) and not (given_away and name[0] == "s"):
                try:
                    found[name] = os.getxattr(fd, name)
                except OSError as error:
                    if error.errno != errno.ENODATA:  # removed meanwhile
                        raise
        return found

    def _put_header(self, entry: Entry, shown_as: bytes = b"") -> None:
        """Raises OperationFailed for what could be written, but not be unpacked by anybody."""
        if len(entry.name) >= tarformat.PATH_BYTES_MAX:
            check_path(entry.name)
        if entry.xattrs:
            if any("=" in name for name in entry.xattrs):
                entry = entry._replace(xattrs=self._sayable(entry))
            _check_xattrs(entry)
        self._put(encode(entry, shown_as))

    def _sayable(self, entry: Entry) -> dict[str, bytes]:
        """Its attributes but for those whose name would end at its first "=" (pax(1))."""
        left_out = [name for name in entry.xattrs if "=" in name]
        for name in left_out:
            what = shown(name.encode(errors="surrogateescape"))
            if self._told is None:
                why = f'its extended attribute {what} has a "=" in its name'
                raise _refused(entry.name, why, "take it away: setfattr -x NAME FILE")
            self._told(f'{shown(entry.name)}: the extended attribute {what} is left out: it has a "=" in its name')
        return {name: value for name, value in entry.xattrs.items() if name not in left_out}

    def _put(self, data: bytes) -> None:
        self._pieces.append(data)
        self._waiting += len(data)
        if self._waiting >= PIECE_BYTES:
            self._flush()

    def _flush(self) -> None:
        whole = b"".join(self._pieces)
        self._pieces.clear()
        self._waiting = 0
        if whole:
            self._sink(whole)


_NONE: Final[dict[str, bytes]] = {}


def _listed(fd: int) -> list[tuple[str, bool]]:
    """Names in a directory, in order, and which of them are said to be regular files."""
    with os.scandir(fd) as listing:
        return sorted((each.name, each.is_file(follow_symlinks=False)) for each in listing)


def check_path(name: bytes) -> None:
    """Raises OperationFailed for one that is too long to be unpacked."""
    length = len(name.strip(b"/")) + 1
    if length > tarformat.PATH_BYTES_MAX:
        raise _too_large(name, "path has", length, tarformat.PATH_BYTES_MAX, "move it further up, or delete it")


def _check_xattrs(entry: Entry) -> None:
    size = sum(len(name) + len(value) for name, value in entry.xattrs.items())
    if size > tarformat.XATTRS_BYTES_MAX:
        remedy = "take some of them away: setfattr -x NAME FILE"
        raise _too_large(entry.name, "extended attributes have", size, tarformat.XATTRS_BYTES_MAX, remedy)


def _too_large(name: bytes, what: str, size: int, most: int, remedy: str) -> OperationFailed:
    return _refused(name, f"its {what} {size:,} bytes, {most:,} are the most that can be unpacked", remedy)


def _refused(name: bytes, why: str, remedy: str) -> OperationFailed:
    return OperationFailed(f"{shown(name)} cannot be in an archive: {why}", code="O8-651", helps=[remedy])


def _map(fd: int, arc_name: bytes, status: os.stat_result) -> tuple[list[tuple[int, int]], bytes] | None:
    """Where the file has data, and that as text; None: it is to be written with its holes, which are too many to be told."""
    size = status.st_size
    extents = list(islice(_extents(fd, size), tarformat.MAP_BYTES_MAX // 4))  # a pair has two digits and line ends
    if not extents or sum(extents[-1]) < size:
        extents.append((size, 0))  # GNU's mark of where a file ends that ends with a hole
    head = tarformat.sparse_map(extents)
    if len(head) <= tarformat.MAP_BYTES_MAX:
        return extents, head
    if size > _FILLED_MAX * status.st_blocks * BLOCK:
        why = f"it has more holes than an archive can tell, and is {size:,} bytes with them"
        raise _refused(arc_name, why, "delete it, or have it in a volume, which is in no image")
    os.lseek(fd, 0, os.SEEK_SET)
    return None


def _extents(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """(offset, length) of what is no hole (lseek(2), SEEK_DATA)."""
    end = 0
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
            end = os.lseek(fd, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole from there on
                return
            raise
        if start < size:
            yield start, min(end, size) - start


def _is_file(dir_fd: int, name: str) -> bool:
    return stat.S_ISREG(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode)
