"""A tree as overlayfs shows it, read from its layers without mounting it: whiteouts, opaque directories, covers.

A mount of a layer that is in use as another container's root, or of one that lies inside another as with `rootfs:/`, the
kernel refuses or leaves undefined; and what of a container came from where is to be known (`changes`). So the merge is
done here, as the kernel does it (fs/overlayfs/namei.c, readdir.c), with layers from top to bottom.

The upper layer is hostile and may change while it is read. It is read by descriptor, a name at a time; no link is followed,
fifos and devices are never opened, and what is gone again is not there. There is no way out of a layer: each is a detached
mount of its own. Few levels are kept open, however deep a tree is; the way back from below is `..`, and is looked at.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, Self

from orchestr8.errors import OperationFailed
from orchestr8.kernel.mount import MountAttr, open_tree, set_attributes
from orchestr8.kernel.openat2 import open_in_root
from orchestr8.storage.copy import Identity, identity
from orchestr8.storage.covers import Cover, CoverKind

_OPAQUE: Final = "trusted.overlay.opaque"
_WHITEOUT: Final = "trusted.overlay.whiteout"
_REDIRECT: Final = "trusted.overlay.redirect"
_METACOPY: Final = "trusted.overlay.metacopy"
CAPABILITY: Final = "security.capability"
_NONE: Final = {errno.ENODATA, errno.ENOTSUP, errno.ENOENT}  # no such attribute, none at all there, the file is gone
_GONE: Final = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}  # since it was looked at; or another thing now
READ_ALONE: Final = MountAttr.RDONLY | MountAttr.NODEV | MountAttr.NOATIME
_MERGED: Final = -1
_LINKS: Final = 40  # the kernel's own limit
_KEPT_OPEN: Final = 64  # levels, from the root down: whatever is deeper is rare
# Names have to be held to be put in order, those of a directory and of all above it: what they take of memory at most, a
# million or so. An engine that reads a container's layer holds them.
_NAMES_BYTES_MAX: Final = 128 << 20
_NAME_BYTES: Final = 64  # of one beside its text
_PATH_BYTES: Final = 16 << 10  # four times what a path may have for the kernel
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC  # opens nothing


class Entry(NamedTuple):
    """What a name stands for in the merged tree."""

    mode: int  # with the type, as in `st_mode`
    uid: int
    gid: int
    rdev: int
    size: int
    mtime_ns: int  # -1: of a cover, which has none to tell
    ctime_ns: int
    links: int
    identity: Identity
    parts: tuple[int, ...]  # layers that have it; the first counts, and of a directory the others are merged with that

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)


class _Level:
    """A directory of the merged tree: the descriptors of those layers that have it."""

    __slots__ = ("entry", "fds", "held", "identities", "name", "veiled")

    def __init__(self, name: str, entry: Entry, fds: dict[int, int], veiled: "_Covers") -> None:
        self.name = name
        self.entry = entry
        self.fds = fds
        self.identities = {layer: identity(os.fstat(fd)) for layer, fd in fds.items()}
        self.veiled = veiled
        self.held = 0  # bytes of names that were given out

    def close(self, layers: Sequence[int] | None = None) -> None:
        for layer in list(self.fds) if layers is None else layers:
            if layer in self.fds:
                os.close(self.fds.pop(layer))


class _Covers(dict[str, "Cover | _Covers"]):
    """Covers by the names on the way to them."""

    @classmethod
    def of(cls, covers: Sequence[Cover]) -> "_Covers":
        top = cls()
        for cover in covers:
            *folders, name = cover.path.strip("/").split("/")
            here = top
            for folder in folders:
                found = here.setdefault(folder, cls())
                assert isinstance(found, _Covers)  # image.resolve leaves no cover below another one
                here = found
            here[name] = cover
        return top


class Tree:
    """A place in a layered tree: at first its root, then wherever `enter` and `leave` lead. A context manager.

    `covers` hide what layers from number `covered` on have. `go_on` is called for each directory, and raises to end a walk.
    """

    def __init__(
        self,
        roots: Sequence[int],
        covers: Sequence[Cover] = (),
        *,
        covered: int = 0,
        go_on: Callable[[], object] = lambda: None,
    ) -> None:
        """Takes the descriptors of directories over, from the uppermost layer down; see `opened`."""
        self._covered = covered
        self._go_on = go_on
        top = _entry(os.fstat(roots[0]), tuple(range(len(roots))))
        self._levels = [_Level("", top, dict(enumerate(roots)), _Covers.of(covers))]
        self._bytes = 0
        self._held = 0  # by all levels above the place

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for level in self._levels:
            level.close()

    @property
    def depth(self) -> int:
        return len(self._levels) - 1

    def path(self, name: str = "") -> str:
        """Of the place itself, "/" for the root; or of a name in it."""
        names = [level.name for level in self._levels[1:]]
        return "/" + "/".join([*names, name] if name else names)

    def itself(self) -> Entry:
        """The place as an entry."""
        return self._levels[-1].entry

    def names(self) -> list[str]:
        """What it holds, sorted by bytes; each name may still be hidden, see `look`."""
        self._go_on()
        level = self._levels[-1]
        several = len(level.fds) > 1
        found: list[str] = []
        known: set[str] = set()
        level.held = 0
        for fd in level.fds.values():
            with os.scandir(fd) as entries:
                for entry in entries:
                    name = entry.name
                    if several:
                        if name in known:
                            continue
                        known.add(name)
                    found.append(name)
                    level.held += _NAME_BYTES + len(name)
                    if self._held + level.held > _NAMES_BYTES_MAX:
                        raise OperationFailed(
                            f"{self.path()[:200]} and the directories above it hold more files than are read:"
                            f" {len(found):,} of its names are known by now",
                            code="O8-650",
                            helps=["delete some, or keep them in a volume, which is not read for this"],
                        )
        if all(map(str.isascii, found)):
            found.sort()
        else:
            found.sort(key=os.fsencode)
        return found

    def look(self, name: str) -> Entry | None:
        """What the name stands for; None: nothing, or nothing any more."""
        level = self._levels[-1]
        first: os.stat_result | None = None
        parts: list[int] = []
        for layer in sorted(level.fds):
            veil = level.veiled.get(name)
            if layer >= self._covered and isinstance(veil, Cover):
                return _entry(first, tuple(parts)) if first is not None else _covered(veil)
            fd = level.fds[layer]
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if is_whiteout(fd, name, status):
                break
            is_directory = stat.S_ISDIR(status.st_mode)
            if first is None:
                first = status
                parts.append(layer)
                self._refuse_other_shapes(fd, name, status)
            elif is_directory:
                parts.append(layer)
            if not is_directory or _attribute(fd, name, _OPAQUE) == b"y":
                break
        return _entry(first, tuple(parts)) if first is not None else None

    def whiteout(self, name: str) -> bool:
        """Whether the uppermost layer that has the name has it as a whiteout."""
        level = self._levels[-1]
        for layer in sorted(level.fds):
            with contextlib.suppress(FileNotFoundError):
                return is_whiteout(
                    level.fds[layer], name, os.stat(name, dir_fd=level.fds[layer], follow_symlinks=False)
                )
        return False

    def opaque(self, name: str) -> bool:
        """Whether a directory hides what layers below the uppermost one that has it have there."""
        level = self._levels[-1]
        return bool(level.fds) and _attribute(level.fds[min(level.fds)], name, _OPAQUE) == b"y"

    def attribute(self, name: str, entry: Entry, attribute: str) -> bytes | None:
        if not entry.parts:
            return None
        return _attribute(self._levels[-1].fds[entry.parts[0]], name, attribute)

    def attributes(self, name: str, entry: Entry) -> dict[str, bytes]:
        """All extended attributes that are to be read."""
        if not entry.parts:
            return {}
        place = _place(self._levels[-1].fds[entry.parts[0]], name)
        found = {}
        with contextlib.suppress(OSError):
            for each in os.listxattr(place, follow_symlinks=False):
                with contextlib.suppress(OSError):
                    found[each] = os.getxattr(place, each, follow_symlinks=False)
        return found

    def link(self, name: str, entry: Entry) -> str | None:
        """Where a symlink leads; None: it is none any more."""
        try:
            return os.readlink(name, dir_fd=self._levels[-1].fds[entry.parts[0]])
        except OSError as error:
            if error.errno in {*_GONE, errno.EINVAL}:
                return None
            raise

    def open(self, name: str, entry: Entry) -> int | None:
        """A descriptor of an ordinary file, of that one that was looked at; None: it is gone. Of a cover: an empty one."""
        if not entry.parts:
            return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        found = _opened(self._levels[-1].fds[entry.parts[0]], name, _LOOK, entry.identity)
        if found is None:
            return None
        try:
            if not stat.S_ISREG(os.fstat(found).st_mode):  # inode numbers are used again
                return None
            return os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(found)

    def enter(self, name: str, entry: Entry) -> bool:
        """Go into a directory that was looked at; False: it is gone."""
        level = self._levels[-1]
        self._bytes += len(os.fsencode(name)) + 1
        if self._bytes > _PATH_BYTES:
            raise OperationFailed(
                f"directories are nested deeper than {_PATH_BYTES:,} bytes of path: {self.path()[:80]}…", code="O8-650"
            )
        fds: dict[int, int] = {}
        for number, layer in enumerate(entry.parts):
            fd = _opened(level.fds[layer], name, _DIRECTORY, entry.identity if number == 0 else None)
            if fd is None:
                if number == 0:
                    self._bytes -= len(os.fsencode(name)) + 1
                    return False
                continue
            fds[layer] = fd
        veiled = level.veiled.get(name)
        self._held += level.held
        self._levels.append(_Level(name, entry, fds, veiled if isinstance(veiled, _Covers) else _Covers()))
        if self.depth > _KEPT_OPEN:
            level.close(tuple(fds))  # what goes on below is come back to from there
        return True

    def leave(self) -> None:
        """Back to the directory above."""
        level = self._levels.pop()
        self._bytes -= len(os.fsencode(level.name)) + 1
        above = self._levels[-1]
        self._held -= above.held
        try:
            for layer in level.fds.keys() - above.fds.keys():
                fd = _opened(level.fds[layer], "..", _DIRECTORY, above.identities[layer])
                if fd is None:
                    raise OperationFailed(
                        f"{self.path(level.name)[:200]} was moved while it was read",
                        code="O8-650",
                        helps=["pause the container meanwhile: orchestr8 pause"],
                    )
                above.fds[layer] = fd
        finally:
            level.close()

    def real_path(self, path: str) -> str:
        """Where a path leads from the root, at which this must stand: symlinks are followed, as far as they lead."""
        rest = [part for part in reversed(path.split("/")) if part]
        done: list[str] = []
        links = 0
        try:
            while rest:
                name = rest.pop()
                if name in ("", "."):
                    continue
                if name == "..":
                    if done:
                        done.pop()
                        self.leave()
                    continue
                entry = self.look(name)
                link = self.link(name, entry) if entry is not None and stat.S_ISLNK(entry.mode) else None
                if link is not None and links < _LINKS:
                    links += 1
                    if link.startswith("/"):
                        self._to_root()
                        done.clear()
                    rest += reversed(link.split("/"))
                elif entry is not None and entry.is_directory and self.enter(name, entry):
                    done.append(name)
                else:
                    left = [part for part in reversed(rest) if part not in ("", ".")]
                    return "/" + "/".join([*done, name, *left])
            return "/" + "/".join(done)
        finally:
            self._to_root()

    def open_path(self, path: str) -> int | None:
        """A descriptor of an ordinary file by its path from the root, at which this must stand; None: there is none."""
        root = self._levels[0]
        if len(root.fds) == 1 and not root.veiled:  # nothing to merge: the kernel finds it in a quarter of the time
            found = _open_plain(root.fds[0], path)
            if found != _MERGED:
                return found
        *folders, name = self.real_path(path).strip("/").split("/")
        try:
            for folder in folders:
                entry = self.look(folder)
                if entry is None or not entry.is_directory or not self.enter(folder, entry):
                    return None
            entry = self.look(name)
            return self.open(name, entry) if entry is not None and entry.is_file else None
        finally:
            self._to_root()

    def _to_root(self) -> None:
        while self.depth:
            self.leave()

    def _refuse_other_shapes(self, fd: int, name: str, status: os.stat_result) -> None:
        """What overlayfs makes on request alone, and this engine never asks for: but a kernel may do it by default."""
        directory = stat.S_ISDIR(status.st_mode)
        wanted = _REDIRECT if directory else _METACOPY
        if (directory or stat.S_ISREG(status.st_mode)) and _attribute(fd, name, wanted) is not None:
            parameter = "redirect_dir" if directory else "metacopy"
            raise OperationFailed(
                f"{self.path(name)[:200]} is stored in a way that cannot be read yet: the kernel has {parameter} on",
                code="O8-650",
                helps=[f"for containers made later: echo N > /sys/module/overlay/parameters/{parameter}"],
            )


@contextlib.contextmanager
def opened(
    layers: Sequence[str | int],
    covers: Sequence[Cover] = (),
    *,
    covered: int = 0,
    go_on: Callable[[], object] = lambda: None,
) -> Iterator[Tree]:
    """A tree of these directories, from top to bottom, by path or by the descriptor of a detached mount (which stays the
    caller's). Of each only the file system that it lies in is seen, whatever is mounted there.
    """
    with contextlib.ExitStack() as stack:
        roots: list[int] = []
        for layer in layers:
            mount = layer if isinstance(layer, int) else open_tree(layer)
            if not isinstance(layer, int):
                stack.callback(os.close, mount)
                set_attributes(mount, on=READ_ALONE)
            roots.append(os.open(".", _DIRECTORY, dir_fd=mount))
        yield stack.enter_context(Tree(roots, covers, covered=covered, go_on=go_on))


def _open_plain(layer: int, path: str) -> int | None:
    """An ordinary file of a single layer; None: there is none. _MERGED: it takes more to tell."""
    try:
        fd = open_in_root(layer, path)
    except OSError as error:
        return None if error.errno in _GONE else _MERGED
    ordinary = stat.S_ISREG(os.fstat(fd).st_mode)
    whole = ordinary and not {_METACOPY, _WHITEOUT} & set(os.listxattr(f"/proc/self/fd/{fd}"))
    if not whole:
        os.close(fd)
        return _MERGED if ordinary else None
    return fd


def is_whiteout(dir_fd: int, name: str, status: os.stat_result) -> bool:
    """A character device 0/0, or an empty file that is marked as one (Documentation/filesystems/overlayfs.rst)."""
    if stat.S_ISCHR(status.st_mode):
        return status.st_rdev == 0
    if not stat.S_ISREG(status.st_mode) or status.st_size:
        return False
    return _attribute(dir_fd, name, _WHITEOUT) is not None


def _entry(status: os.stat_result, parts: tuple[int, ...]) -> Entry:
    return Entry(
        mode=status.st_mode,
        uid=status.st_uid,
        gid=status.st_gid,
        rdev=status.st_rdev,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
        links=status.st_nlink,
        identity=identity(status),
        parts=parts,
    )


def _covered(cover: Cover) -> Entry:
    kind = stat.S_IFREG if cover.kind is CoverKind.FILE else stat.S_IFDIR
    return Entry(kind | cover.mode, 0, 0, 0, 0, -1, -1, 1, (0, 0), ())


def _opened(dir_fd: int, name: str, flags: int, expected: Identity | None) -> int | None:
    try:
        fd = os.open(name, flags, dir_fd=dir_fd)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    if expected is not None and identity(os.fstat(fd)) != expected:
        os.close(fd)
        return None
    return fd


def _place(dir_fd: int, name: str) -> str:
    return f"/proc/self/fd/{dir_fd}/{name}"  # there is no lgetxattrat; the name is one part, and not followed


def _attribute(dir_fd: int, name: str, attribute: str) -> bytes | None:
    try:
        return os.getxattr(_place(dir_fd, name), attribute, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NONE:
            return None
        raise
