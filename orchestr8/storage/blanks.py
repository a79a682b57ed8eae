"""Folders of containers that are not there yet, made when no start waits: a creation takes one by a rename.

    <root>/blanks/<number>      as <root>/containers/<id> will be: its directories, and its files, empty

Why: of a creation's time a third went by in making ten inodes. What is in the folder, and what it is filled with, is the
business of those whose folder it becomes. Without a blank everything is made as it is needed.
"""

import collections
import os
import threading
from collections.abc import Mapping
from typing import Final

from orchestr8.storage.tops import make_top
from orchestr8.storage.trash import Trash

READY: Final = 32  # at most, of some 30 KB each: more are taken in a row by few stacks alone
FEW: Final = 4  # that there should be at any time, even if somebody has to wait for it
_UNFINISHED: Final = ".new"


class Blanks:
    """Those of one engine. Blocking: called in threads, several at once."""

    def __init__(self, root: str, *, folders: Mapping[str, int], files: Mapping[str, int]) -> None:
        """What is in the folder: path → mode, before the umask."""
        self._path: Final = f"{root}/blanks"
        self._trash: Final = Trash(root)
        self._folders: Final = folders
        self._files: Final = files
        self._ready: Final[collections.deque[str]] = collections.deque()
        self._numbers = 0
        self._trouble = 0  # the last error number that was told
        self._filling: Final = threading.Lock()

    @property
    def ready(self) -> int:
        """How many there are."""
        return len(self._ready)

    @property
    def wanting(self) -> bool:
        return len(self._ready) < READY

    @property
    def scarce(self) -> bool:
        return len(self._ready) < FEW

    def take(self, folder: str) -> bool:
        """Make a blank the directory `folder`. False: there is none, or `folder` is there already."""
        try:
            blank = self._ready.popleft()
        except IndexError:
            return False
        try:
            os.rename(blank, folder)
        except OSError:  # an interrupted creation has left something there, and goes on with that
            if os.path.isdir(blank):
                self._ready.append(blank)
            return False
        return True

    def fill(self, count: int = READY) -> bool:
        """Make those that are missing of `count`. False: that cannot be, for another is at it, or for a reason that has been
        told. Raises OSError where it cannot be, as on a disk that is full: once for each reason.
        """
        if not self._filling.acquire(blocking=False):
            return False
        try:
            while len(self._ready) < count:
                self._numbers += 1
                self._make(f"{self._path}/{self._numbers}")
            self._trouble = 0
        except OSError as error:
            if error.errno != self._trouble:
                self._trouble = error.errno or 0
                raise
            return False
        finally:
            self._filling.release()
        return True

    def _make(self, blank: str) -> None:
        make_top(self._path)
        unfinished = f"{blank}{_UNFINISHED}"
        try:
            os.mkdir(unfinished)
            for name, mode in self._folders.items():
                os.mkdir(f"{unfinished}/{name}", mode)
            for name, mode in self._files.items():
                os.close(os.open(f"{unfinished}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode))
            os.rename(unfinished, blank)
        except BaseException:
            self._trash.discard(unfinished)
            raise
        self._ready.append(blank)

    def clear(self) -> None:
        """Put all away, those of an engine before this one too."""
        self._ready.clear()
        if os.path.lexists(self._path):
            self._trash.discard(self._path)
