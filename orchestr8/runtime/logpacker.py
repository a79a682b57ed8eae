"""Compresses a container's rotated logs, in a child of the shim, so that the container never waits for it.

One file at a time, the newest first, at the lowest priority. The child knows no names, only two descriptors: names are
given by the shim alone, which rotates too, so neither has to look out for the other. When the child has ended well,
the shim finds by its inode, which it holds open so long, which number the file has by now, and puts the archive in its place:

    current.log.packing  ──rename──▶  current.log.2.gz,  then current.log.2 is removed

Both hold the same, and a reader takes the plain one; so dying between any two of these steps loses nothing, and the next
`Packer` removes what is left over. The archive is on the disk before the plain file goes.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import Final, NoReturn

from orchestr8.kernel import prctl
from orchestr8.runtime.logmembers import SUFFIX, compress
from orchestr8.runtime.poller import ENDED, Poller
from orchestr8.runtime.successors import kill

_PACKING: Final = ".packing"
_NICE: Final = 19


class Packer:
    def __init__(self, poller: Poller, path: str, max_files: int) -> None:
        """Of the log `path`, of which `path.1` to `path.<max_files - 1>` are the older files."""
        self._poller = poller
        self._path = path
        self._max_files = max_files
        self._pidfd = -1
        self._source = -1  # the file that is being compressed: while it is open, no other can have its inode
        self._tidy()
        self.look()

    def _older(self) -> Iterator[str]:
        """What the older files have for names, plain or compressed, up to a number that is free."""
        for number in range(1, self._max_files):
            name = f"{self._path}.{number}"
            if not (os.path.lexists(name) or os.path.lexists(name + SUFFIX)):
                return
            yield name

    def look(self) -> None:
        """Begin with what is to be compressed, if anything is, and nothing is under way."""
        if self._pidfd >= 0:
            return
        for name in self._older():
            try:
                source = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except OSError:  # there is none of this number, or it is compressed already
                continue
            try:
                self._begin(source)
            except OSError:  # no room, no processes: the next rotation tries again
                os.close(source)
                self._forget_target()
            return

    def _begin(self, source: int) -> None:
        """It keeps `source` when it returns."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        target = os.open(self._path + _PACKING, flags, 0o640)
        try:
            parent = os.getpid()
            child = os.fork()
            if child == 0:
                _pack(source, target, parent)
            self._pidfd = os.pidfd_open(child)
        finally:
            os.close(target)
        self._source = source
        self._poller.watch(self._pidfd, ENDED, self._ended)

    def _ended(self, _events: int) -> None:
        ended = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
        if ended is None:
            return
        if (ended.si_code, ended.si_status) != (os.CLD_EXITED, 0):
            self._forget_target()
            self._let_go()
            return
        swapped = self._swap()
        self._let_go()
        if swapped:
            self.look()

    def _swap(self) -> bool:
        """Put the archive in the place of the file that it was made from; False: something is in the way."""
        inode = os.fstat(self._source).st_ino
        for name in self._older():
            try:
                if os.lstat(name).st_ino == inode:
                    os.rename(self._path + _PACKING, name + SUFFIX)
                    os.unlink(name)
                    return True
            except FileNotFoundError:
                continue
            except OSError:
                break
        else:  # rotated away meanwhile
            self._forget_target()
            return True
        self._forget_target()
        return False

    def _tidy(self) -> None:
        """Of a shim that was killed: half an archive, or a whole one beside its file, which is still the better one."""
        self._forget_target()
        for name in self._older():
            if os.path.lexists(name):
                with contextlib.suppress(OSError):
                    os.unlink(name + SUFFIX)

    def _forget_target(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._path + _PACKING)

    def _let_go(self) -> None:
        self._poller.forget(self._pidfd)
        os.close(self._pidfd)
        os.close(self._source)
        self._pidfd = self._source = -1

    def close(self) -> None:
        """Give up what is under way: the file stays as it is until the container runs again."""
        if self._pidfd >= 0:
            kill(self._pidfd)
            os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
            self._let_go()
            self._forget_target()


def _pack(source: int, target: int, parent: int) -> NoReturn:
    """The child. It holds nothing of the container's open, and ends with its shim."""
    code = 1
    try:
        prctl.set_parent_death_signal(signal.SIGKILL)
        if os.getppid() == parent:
            held = sorted((source, target))
            os.closerange(3, held[0])
            os.closerange(held[0] + 1, held[1])
            os.closerange(held[1] + 1, os.sysconf("SC_OPEN_MAX"))
            os.nice(_NICE)
            compress(source, target)
            code = 0
    except OSError:  # a full disk, most likely: the file stays as it is, which is no loss
        pass
    except BaseException:  # noqa: BLE001 - told, and no further: the shim's own code must not go on here
        sys.__excepthook__(*sys.exc_info())
    finally:
        os._exit(code)
