"""Delete a tree that a container has shaped: any names, any depth, links to anywhere, millions of entries.

By directory descriptors; no link is followed, and no mount is entered: a bind mount that was left behind inside the
tree leads to a user's own files. What cannot be deleted stays, is named in the error, and does not stop the rest.
"""

import errno
import os
from typing import Final

from orchestr8.errors import OperationFailed
from orchestr8.kernel import inode_flags
from orchestr8.kernel.inode_flags import InodeFlag
from orchestr8.kernel.openat2 import Resolve, openat2

_BATCH: Final = 10_000  # entries looked at before some are deleted: bounds memory, not the directory
_NAMED_FAILURES: Final = 10  # of them in an error; the rest is counted
_DIRECTORY_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def remove_tree(path: str) -> None:
    """Delete the file or directory at `path`; nothing there is fine."""
    parent, name = os.path.split(path.rstrip("/"))
    try:
        parent_fd = os.open(parent or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        remove_tree_at(parent_fd, name)
    finally:
        os.close(parent_fd)


def remove_tree_at(dir_fd: int, name: str) -> None:
    """Delete `name`, one component, in the directory behind `dir_fd`."""
    failures: dict[str, str] = {}
    if not _remove_entry(dir_fd, name, "", failures):
        _Walk(dir_fd, name, failures).run()
    if failures:
        named = [f"{path}: {reason}" for path, reason in list(failures.items())[:_NAMED_FAILURES]]
        if len(failures) > len(named):
            named.append(f"and {len(failures) - len(named)} more")
        raise OperationFailed(f"cannot delete all of {name!r}", notes=named)


class _Level:
    """A directory on the way from the top to where the walk is; only the deepest one is held open."""

    __slots__ = ("blocked", "name", "pending")

    def __init__(self, name: str) -> None:
        self.name = name
        self.pending: list[str] = []  # sub-directories to go into
        self.blocked: set[str] = set()  # entries that cannot be deleted


class _Walk:
    """Depth first with two descriptors: down by name, up by "..", which nobody else moves while we delete."""

    def __init__(self, top_fd: int, name: str, failures: dict[str, str]) -> None:
        self._levels: list[_Level] = [_Level("")]
        self._levels[0].pending.append(name)
        self._fd = os.dup(top_fd)
        self._identities = [_identity(self._fd)]
        self._failures = failures

    def run(self) -> None:
        try:
            while True:
                level = self._levels[-1]
                if level.pending:
                    self._descend(level.pending.pop())
                elif len(self._levels) == 1:
                    return
                elif not self._clear(level):
                    self._ascend()
        finally:
            os.close(self._fd)

    def _path(self, name: str = "") -> str:
        return "/".join([*(level.name for level in self._levels[1:]), *([name] if name else [])])

    def _descend(self, name: str) -> None:
        try:
            child = openat2(self._fd, name, _DIRECTORY_FLAGS, 0, Resolve.BENEATH | Resolve.NO_XDEV)
        except OSError as error:
            if error.errno != errno.ENOENT:
                self._levels[-1].blocked.add(name)
                self._failures[self._path(name)] = (
                    "something is mounted on it" if error.errno == errno.EXDEV else os.strerror(error.errno or 0)
                )
            return
        os.close(self._fd)
        self._fd = child
        self._levels.append(_Level(name))
        self._identities.append(_identity(child))

    def _clear(self, level: _Level) -> bool:
        """Delete what needs no descent; True when there is more to do at this level."""
        batch: list[str] = []
        with os.scandir(self._fd) as entries:
            for entry in entries:
                if entry.name not in level.blocked:
                    batch.append(entry.name)
                    if len(batch) == _BATCH:
                        break
        for name in batch:
            before = len(self._failures)
            if not _remove_entry(self._fd, name, self._path(), self._failures):
                level.pending.append(name)
            elif len(self._failures) > before:
                level.blocked.add(name)
        return bool(batch)

    def _ascend(self) -> None:
        level = self._levels.pop()
        self._identities.pop()
        parent = os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._fd)
        os.close(self._fd)
        self._fd = parent
        if _identity(parent) != self._identities[-1]:
            raise OperationFailed(f"{self._path(level.name)} was moved while it was being deleted")
        if level.blocked or not _remove_entry(parent, level.name, self._path(), self._failures, emptied=True):
            self._levels[-1].blocked.add(level.name)


def _remove_entry(dir_fd: int, name: str, parent: str, failures: dict[str, str], *, emptied: bool = False) -> bool:
    """Delete a file, a link or an empty directory; True also when it failed for good; False: descend into it."""
    try:
        os.unlink(name, dir_fd=dir_fd)
        return True
    except FileNotFoundError:
        return True
    except IsADirectoryError:
        pass
    except OSError as error:
        failures[f"{parent}/{name}".lstrip("/")] = _reason(dir_fd, name, error)
        return True
    try:
        os.rmdir(name, dir_fd=dir_fd)
        return True
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST} and not emptied:
            return False
        failures[f"{parent}/{name}".lstrip("/")] = _reason(dir_fd, name, error)
        return not emptied


def _reason(dir_fd: int, name: str, error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return "something is mounted on it"
    if error.errno != errno.EPERM:
        return os.strerror(error.errno or 0)
    for place, flags in ((name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), (".", _DIRECTORY_FLAGS)):
        try:
            fd = os.open(place, flags | os.O_CLOEXEC, dir_fd=dir_fd)
        except OSError:
            continue  # a socket, a link: they have no flags of their own
        try:
            attributes = inode_flags.read(fd)
        except OSError:
            continue  # a filesystem without such flags
        finally:
            os.close(fd)
        if attributes & (InodeFlag.IMMUTABLE | InodeFlag.APPEND_ONLY):
            return "it, or its directory, is marked immutable or append-only (chattr -i -a)"
    return os.strerror(errno.EPERM)


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
