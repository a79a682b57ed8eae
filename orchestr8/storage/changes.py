"""What differs between a container's own layer and what lies below it: what `docker diff` tells, and what a layer of an
image holds.

As Docker does (moby pkg/archive/changes.go), two trees are compared, not a layer told: what was copied up and is as it was
is no change, and a directory that was deleted and made anew is one that has lost and gained entries. Pure but for the reading
that `Place` stands for, and without recursion: a container may nest directories as deep as it likes.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Final, NamedTuple, Protocol

from orchestr8.model.changes import ChangeKind
from orchestr8.storage.layers import CAPABILITY, Entry

_SECOND_NS: Final = 1_000_000_000


class Change(NamedTuple):
    kind: ChangeKind
    path: str
    entry: Entry | None  # None: it is deleted
    attributes: dict[str, bytes]  # of a directory; of what else there is the caller reads them


class Place(Protocol):
    """`layers.Tree`, as far as it is used here."""

    def names(self) -> list[str]: ...
    def look(self, name: str) -> Entry | None: ...
    def whiteout(self, name: str) -> bool: ...
    def opaque(self, name: str) -> bool: ...
    def attribute(self, name: str, entry: Entry, attribute: str) -> bytes | None: ...
    def attributes(self, name: str, entry: Entry) -> dict[str, bytes]: ...
    def enter(self, name: str, entry: Entry) -> bool: ...
    def leave(self) -> None: ...
    def path(self, name: str = "") -> str: ...


class _Folder:
    """A directory on the way: what is left of its names, and its own change as long as it is not told."""

    __slots__ = ("based", "names", "opaque", "untold")

    def __init__(self, names: list[str], *, based: bool, opaque: bool, untold: Change | None) -> None:
        self.names = iter(names)
        self.based = based  # it exists below, too
        self.opaque = opaque
        self.untold = untold


class Comparison:
    """One walk through `upper`, the layer alone, along `base`, what lies below it.

    `own`: places on which the runtime itself mounts; whatever stands there in the layer is none of the container's.
    """

    def __init__(self, upper: Place, base: Place, own: Collection[str] = ()) -> None:
        self._upper = upper
        self._base = base
        self._own = frozenset(own)
        self._above_own = {path[:at] for path in own for at, letter in enumerate(path) if letter == "/" and at}
        self._folders: list[_Folder] = []
        self._untold: list[_Folder] = []

    def run(self) -> Iterator[Change]:
        """Each directory before what it holds, names in order. When one is given, `upper` stands in the directory that the
        path lies in, or for a directory perhaps further below.
        """
        self._folders = [_Folder(self._upper.names(), based=True, opaque=False, untold=None)]
        while self._folders:
            folder = self._folders[-1]
            name = next(folder.names, None)
            if name is None:
                self._leave()
            else:
                yield from self._compare(folder, name)

    def _compare(self, folder: _Folder, name: str) -> Iterator[Change]:
        new = self._upper.look(name)
        old = self._base.look(name) if folder.based else None
        path = self._upper.path(name)
        if path in self._own:
            return
        if new is None:
            # A name that is neither there nor hidden was deleted after it was listed: the container runs.
            if old is not None and (folder.opaque or self._upper.whiteout(name)):
                yield from self._tell(Change(ChangeKind.DELETED, path, None, {}))
        elif new.is_directory:
            yield from self._directory(name, path, new, old)
        elif old is None:
            yield from self._tell(Change(ChangeKind.ADDED, path, new, {}))
        elif differs(new, old, lambda: self._capability(name, new) != self._capability(name, old, below=True)):
            yield from self._tell(Change(ChangeKind.CHANGED, path, new, {}))

    def _directory(self, name: str, path: str, new: Entry, old: Entry | None) -> Iterator[Change]:
        opaque = self._upper.opaque(name)
        attributes = self._upper.attributes(name, new)
        if not self._upper.enter(name, new):
            return
        based = old is not None and old.is_directory and self._base.enter(name, old)
        change = Change(ChangeKind.ADDED if old is None else ChangeKind.CHANGED, path, new, attributes)
        # What is only on the way to a change is told with that; and what is only on the way to a mount of ours, not at all.
        waits = path in self._above_own if old is None else not differs(new, old)
        if not waits:
            yield from self._tell(change)
        names = self._upper.names()
        if opaque and based:
            names = sorted({*names, *self._base.names()}, key=_as_bytes)
        folder = _Folder(names, based=based, opaque=opaque, untold=change if waits else None)
        self._folders.append(folder)
        if waits:
            self._untold.append(folder)

    def _leave(self) -> None:
        folder = self._folders.pop()
        if folder.untold is not None:
            self._untold.pop()
        if self._folders:
            self._upper.leave()
            if folder.based:
                self._base.leave()

    def _tell(self, change: Change) -> Iterator[Change]:
        """With the directories on the way that were not told yet."""
        for folder in self._untold:
            assert folder.untold is not None
            yield folder.untold
            folder.untold = None
        self._untold.clear()
        yield change

    def _capability(self, name: str, entry: Entry, *, below: bool = False) -> bytes | None:
        return (self._base if below else self._upper).attribute(name, entry, CAPABILITY) if entry.is_file else None


def differs(new: Entry, old: Entry, otherwise: Callable[[], bool] = lambda: False) -> bool:
    """Whether a change shows in the status, as Docker judges it; size and time of directories say nothing.

    `otherwise` is asked when it does not.
    """
    if (new.mode, new.uid, new.gid, new.rdev) != (old.mode, old.uid, old.gid, old.rdev):
        return True
    if new.is_directory:
        return False
    return new.size != old.size or not _same_time(new.mtime_ns, old.mtime_ns) or otherwise()


def _same_time(new_ns: int, old_ns: int) -> bool:
    """A tree that was unpacked from an archive may know whole seconds alone; a cover (-1) knows no time."""
    if old_ns in (-1, new_ns):
        return True
    whole = not new_ns % _SECOND_NS or not old_ns % _SECOND_NS
    return whole and new_ns // _SECOND_NS == old_ns // _SECOND_NS


def _as_bytes(name: str) -> bytes:
    return name.encode(errors="surrogateescape")
