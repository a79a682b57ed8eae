"""Copy a directory tree with everything that makes a file what it is: the copy-up of an image into a volume.

The source is hostile: every step is by descriptor, no link is followed, fifos and devices are made anew and never opened.
The target is private to the caller while it is copied into.
"""

import errno
import os
import stat
from collections.abc import Mapping
from typing import Final

from orchestr8.errors import OperationFailed
from orchestr8.storage.covers import Cover, CoverKind
from orchestr8.storage.metadata import copy_metadata

Identity = tuple[int, int]  # device and inode

_DEPTH_MAX: Final = 400  # two descriptors a level; PATH_MAX allows 2048, real images stay below 30
_CHUNK_BYTES: Final = 1 << 30
_OPEN_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_REPLACED: Final = {errno.ELOOP, errno.ENOTDIR, errno.ENXIO}  # what is opened has become a link, a file, a socket
_NO_COPY_RANGE: Final = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


def identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


class TreeCopy:
    """One copy from the directory behind `source_fd` into the empty one behind `target_fd`.

    `hidden` maps entries of the source that must not be copied to what stands in their place.
    """

    def __init__(self, source_fd: int, target_fd: int, hidden: Mapping[Identity, Cover]) -> None:
        self._source_fd = source_fd
        self._target_fd = target_fd
        self._hidden = hidden
        self._linked: dict[Identity, str] = {}  # source file with several names -> its copy's path below the target

    def run(self) -> None:
        """Copy all entries, and the directory's own owner, mode and times."""
        self._directory(self._source_fd, self._target_fd, "")

    def _directory(self, source: int, target: int, path: str) -> None:
        if path.count("/") > _DEPTH_MAX:
            raise OperationFailed(f"the image nests directories deeper than {_DEPTH_MAX}: {path[:80]}…")
        for name in os.listdir(source):
            self._entry(source, target, name, f"{path}/{name}")
        copy_metadata(source, target)

    def _entry(self, source: int, target: int, name: str, path: str) -> None:
        try:
            status = os.stat(name, dir_fd=source, follow_symlinks=False)
        except FileNotFoundError:  # `rootfs:` images are live: it was deleted after it was listed
            return
        try:
            self._copy(source, target, name, path, status)
        except OSError as error:
            if error.errno in _REPLACED:
                raise _replaced(path) from error
            raise

    def _copy(self, source: int, target: int, name: str, path: str, status: os.stat_result) -> None:
        cover = self._hidden.get(identity(status))
        if cover is not None:
            _make_cover(target, name, cover)
        elif stat.S_ISDIR(status.st_mode):
            self._sub_directory(source, target, name, path, status)
        elif status.st_nlink > 1 and identity(status) in self._linked:
            first = self._linked[identity(status)]
            os.link(first, name, src_dir_fd=self._target_fd, dst_dir_fd=target, follow_symlinks=False)
        else:
            if status.st_nlink > 1:
                self._linked[identity(status)] = path.lstrip("/")
            if stat.S_ISREG(status.st_mode):
                _copy_file(source, target, name, status)
            else:
                _copy_special(source, target, name, status)

    def _sub_directory(self, source: int, target: int, name: str, path: str, status: os.stat_result) -> None:
        os.mkdir(name, 0o700, dir_fd=target)
        from_fd = os.open(name, _OPEN_DIRECTORY, dir_fd=source)
        try:
            if identity(os.fstat(from_fd)) != identity(status):  # perhaps one that is to be hidden
                raise _replaced(path)
            to_fd = os.open(name, _OPEN_DIRECTORY, dir_fd=target)
            try:
                self._directory(from_fd, to_fd, path)
            finally:
                os.close(to_fd)
        finally:
            os.close(from_fd)


def _make_cover(target: int, name: str, cover: Cover) -> None:
    if cover.kind is CoverKind.FILE:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, cover.mode, dir_fd=target))
    else:
        os.mkdir(name, dir_fd=target)
    os.chmod(name, cover.mode, dir_fd=target)  # mkdir and open obey the umask


def _replaced(path: str) -> OperationFailed:
    return OperationFailed(f"{path.lstrip('/')} was replaced while it was being copied")


def _copy_file(source: int, target: int, name: str, status: os.stat_result) -> None:
    try:
        from_fd = os.open(name, _OPEN_FILE, dir_fd=source)
    except FileNotFoundError:
        return
    try:
        if identity(os.fstat(from_fd)) != identity(status):
            raise _replaced(name)
        to_fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
        try:
            _copy_contents(from_fd, to_fd)
            copy_metadata(from_fd, to_fd)
        finally:
            os.close(to_fd)
    finally:
        os.close(from_fd)


def _copy_contents(from_fd: int, to_fd: int) -> None:
    """The data without its holes; shared blocks where the filesystem can."""
    size = os.fstat(from_fd).st_size
    os.ftruncate(to_fd, size)
    end = 0
    while end < size:
        try:
            start = os.lseek(from_fd, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            raise
        end = os.lseek(from_fd, start, os.SEEK_HOLE)
        _copy_range(from_fd, to_fd, start, end)


def _copy_range(from_fd: int, to_fd: int, start: int, end: int) -> None:
    while start < end:
        count = min(end - start, _CHUNK_BYTES)
        try:
            copied = os.copy_file_range(from_fd, to_fd, count, start, start)
        except OSError as error:
            if error.errno not in _NO_COPY_RANGE:
                raise
            os.lseek(to_fd, start, os.SEEK_SET)
            copied = os.sendfile(to_fd, from_fd, start, count)
        if copied == 0:  # the source became shorter
            return
        start += copied


def _copy_special(source: int, target: int, name: str, status: os.stat_result) -> None:
    """A symlink, fifo, socket or device node."""
    if stat.S_ISLNK(status.st_mode):
        try:
            link = os.readlink(name, dir_fd=source)
        except OSError as error:
            if error.errno == errno.EINVAL:  # no link any more
                raise _replaced(name) from error
            raise
        os.symlink(link, name, dir_fd=target)
    else:
        os.mknod(name, status.st_mode, status.st_rdev, dir_fd=target)
    os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(name, status.st_mode & 0o7777, dir_fd=target)
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False)
