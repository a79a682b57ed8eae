"""A tar stream as files below a directory: what `archive` wrote, or any other tar.

The archive is hostile, and so may be who owns the directory: no name leads out of it (".." is refused, parents are
resolved by the kernel beneath a descriptor), nothing that exists is opened to be written, but replaced by what is new, and
devices are made, never opened. As Docker does it: directories are merged, a file takes a file's place, and neither takes
the other's. A file is there whole, or not at all, unless whoever unpacks is killed over it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from orchestr8.errors import InvalidInput, OperationFailed, Orchestr8Error
from orchestr8.kernel.mount import filesystem_type
from orchestr8.kernel.openat2 import Resolve, openat2
from orchestr8.model.shown import shown
from orchestr8.storage import tarformat
from orchestr8.storage.archive import CARRIED, DEPTH_MAX, KERNEL_OWNED
from orchestr8.storage.tarread import PIECE_BYTES, TarReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from orchestr8.storage.tarformat import Entry

_OPEN_PARENT: Final = os.O_PATH | os.O_DIRECTORY
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_GONE: Final = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_NO_XATTR: Final = {errno.EOPNOTSUPP, errno.EPERM}
_TRIES: Final = 8
_SET_ID: Final = stat.S_ISUID | stat.S_ISGID
_DEVICES: Final = {tarformat.CHARACTER: stat.S_IFCHR, tarformat.DEVICE: stat.S_IFBLK}
_ODD: Final = {b"", b".", b"/"}  # how a name begins that is looked at more closely
_PARENTS_MAX: Final = 64  # descriptors of directories that are kept at hand


class Extractor:
    """Puts what comes into the directory behind `root_fd`. Sets this process's umask to 0 while it runs.

    `own`: owners, set-id bits and file capabilities are the archive's; else all belongs to who runs this, and has none.
    `resolve`: how parents are found below the directory. `rename`: the first part of every name → what it is to be.
    `told`: what could not be made and need not be, a sentence each.
    """

    def __init__(
        self,
        root_fd: int,
        *,
        own: bool,
        resolve: Resolve = Resolve.BENEATH | Resolve.NO_SYMLINKS,
        rename: tuple[bytes, bytes] | None = None,
        told: Callable[[str], object] | None = None,
        depth_max: int = DEPTH_MAX,
    ) -> None:
        self._root_fd = root_fd
        self._own = own
        self._resolve = resolve | Resolve.NO_MAGICLINKS
        self._rename = rename
        self._told = told
        self._depth_max = depth_max
        self._parents: dict[bytes, int] = {}
        self._maker = (os.geteuid(), os.getegid())
        status = os.fstat(root_fd)
        self._root_device = status.st_dev
        self._kernels: set[int] = set()  # descriptors of the kernel's directories, which take nothing
        # Descriptors of directories with the set-group-id bit.
        self._passing_on = {root_fd} if status.st_mode & stat.S_ISGID else set()
        self._owners = {self._maker}  # to whom files can be given
        self._directories: dict[bytes, Entry] = {}  # whose mode and times come last: what is put into them changes both

    def run(self, source: Callable[[], bytes]) -> None:
        """All of it. Raises InvalidInput for what is no archive or leads elsewhere, OperationFailed for what cannot be made."""
        umask = os.umask(0)
        try:
            reader = TarReader(source)
            for entry in reader:
                self._extract(reader, entry)
            for name, entry in reversed(self._directories.items()):
                self._settle(name, entry)
        finally:
            os.umask(umask)
            self._forget_parents()

    def _extract(self, reader: TarReader, entry: Entry) -> None:
        if len(self._parents) >= _PARENTS_MAX:
            self._forget_parents()
        name = self._name(entry.name)
        try:
            if entry.kind == tarformat.DIRECTORY:
                self._directory(name, entry)
                return
            folder, _, base = name.rpartition(b"/")
            if not base:
                raise InvalidInput("the archive has a file without a name", code="O8-641")
            parent = self._parent(folder)
            if parent in self._kernels:
                raise _is_the_kernels(folder)
            for _ in range(_TRIES):
                try:
                    self._make(reader, entry, parent, base, name)
                    return
                except FileExistsError:
                    self._clear(parent, base, name)
            raise OperationFailed(f"{shown(name)} comes back all the time", code="O8-640")
        except Orchestr8Error:
            raise
        except OSError as error:
            raise failure(name, error) from error

    def _name(self, raw: bytes) -> bytes:
        """Without what says nothing; b"" is the directory itself. Raises InvalidInput for ".."."""
        if (
            b"/." not in raw
            and b"//" not in raw
            and raw[:1] not in _ODD
            and self._rename is None
            and raw.count(b"/") <= DEPTH_MAX
        ):
            return raw.rstrip(b"/")  # as most are
        parts = [part for part in raw.split(b"/") if part not in {b"", b"."}]
        if b".." in parts:
            raise InvalidInput(f"{shown(raw)} in the archive leads out of it", code="O8-641")
        if len(parts) > self._depth_max:
            raise InvalidInput(
                f"{shown(raw[:80])}… in the archive lies deeper than {self._depth_max} directories", code="O8-641"
            )
        if self._rename is not None and parts and parts[0] == self._rename[0]:
            parts[0] = self._rename[1]
        return b"/".join(parts)

    # --- directories ------------------------------------------------------------------------------------------------

    def _directory(self, name: bytes, entry: Entry) -> None:
        if name:
            folder, _, base = name.rpartition(b"/")
            parent = self._parent(folder)
            if parent in self._kernels:
                return  # what an archive of everything has of them is nothing to be made
            if self._own and (entry.uid, entry.gid) not in self._owners:
                self._try_owner(parent, entry)
            try:
                os.mkdir(base, (entry.mode | 0o700) & 0o777, dir_fd=parent)
            except FileExistsError:
                if not stat.S_ISDIR(os.stat(base, dir_fd=parent, follow_symlinks=False).st_mode):
                    raise OperationFailed(
                        f'cannot overwrite non-directory "{shown(name)}" with directory', code="O8-640"
                    ) from None
        self._directories.pop(name, None)
        self._directories[name] = entry._replace(name=name, link=b"")  # as many as the archive likes are kept

    def _try_owner(self, parent: int, entry: Entry) -> None:
        """Raises OSError where nothing can be given to a directory's owner, before it is made: it is given away when all is in
        it, or its owner could lead elsewhere what is still to come.
        """
        try:
            fd = os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0, dir_fd=parent)
        except OSError:
            return  # a file system without nameless files; what is wrong with it beside that, the directory will tell
        try:
            os.fchown(fd, entry.uid, entry.gid)
        finally:
            os.close(fd)
        self._owners.add((entry.uid, entry.gid))

    def _settle(self, name: bytes, entry: Entry) -> None:
        """Owner, mode and times of a directory, once all is in it; one that is gone meanwhile needs none."""
        try:
            fd = self._open_below(name or b".", _OPEN_DIRECTORY)
        except OSError as error:
            if error.errno in _GONE:
                return
            raise failure(name, error) from error
        try:
            if self._is_kernels(fd, os.fstat(fd)):
                return  # to change what it looks like would change it for everybody
            if self._own:
                os.fchown(fd, entry.uid, entry.gid)
            os.fchmod(fd, entry.mode if self._own else entry.mode & ~_SET_ID)
            self._set_xattrs(fd, entry)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        except OSError as error:
            raise failure(name, error) from error
        finally:
            os.close(fd)

    def _parent(self, folder: bytes) -> int:
        """A descriptor of a directory below the root, made with those that lead to it when it is missing."""
        if not folder:
            return self._root_fd
        found = self._parents.get(folder)
        if found is None:
            try:
                found = self._open_below(folder, _OPEN_PARENT)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise
                found = self._made(folder)
            self._parents[folder] = found
            status = os.fstat(found)
            if status.st_mode & stat.S_ISGID:
                self._passing_on.add(found)
            if self._is_kernels(found, status):
                self._kernels.add(found)
        return found

    def _made(self, folder: bytes) -> int:
        """The same, when it is missing; step by step, for it may be deeper than Python recurses."""
        parts = folder.split(b"/")
        for end in range(1, len(parts) + 1):
            above, _, base = b"/".join(parts[:end]).rpartition(b"/")
            parent = self._open_below(above or b".", _OPEN_PARENT)
            try:
                if self._is_kernels(parent, os.fstat(parent)):
                    raise _is_the_kernels(above)
                with contextlib.suppress(FileExistsError):
                    os.mkdir(base, 0o755, dir_fd=parent)
            finally:
                os.close(parent)
        return self._open_below(folder, _OPEN_PARENT)

    def _is_kernels(self, fd: int, status: os.stat_result) -> bool:
        return status.st_dev != self._root_device and filesystem_type(fd) in KERNEL_OWNED

    def _open_below(self, path: bytes, flags: int) -> int:
        return openat2(self._root_fd, os.fsdecode(path), flags, resolve=self._resolve)

    def _forget_parents(self) -> None:
        for fd in self._parents.values():
            os.close(fd)
        self._parents.clear()
        self._passing_on &= {self._root_fd}
        self._kernels.clear()

    # --- everything else ----------------------------------------------------------------------------------------------

    def _clear(self, parent: int, base: bytes, name: bytes) -> None:
        """Take away what stands where something new is to be."""
        try:
            os.unlink(base, dir_fd=parent)
        except FileNotFoundError:
            return
        except IsADirectoryError:
            raise OperationFailed(
                f'cannot overwrite directory "{shown(name)}" with non-directory', code="O8-640"
            ) from None

    def _make(self, reader: TarReader, entry: Entry, parent: int, base: bytes, name: bytes) -> None:
        """Raises FileExistsError, with nothing of the data taken, when something stands there."""
        if entry.kind == tarformat.FILE:
            self._file(reader, entry, parent, base)
        elif entry.kind == tarformat.HARD_LINK:
            self._hard_link(entry, parent, base, name)
        elif entry.kind == tarformat.SYMLINK:
            os.symlink(entry.link, base, dir_fd=parent)
            self._dress(entry, parent, base)
        elif entry.kind == tarformat.FIFO:
            os.mkfifo(base, entry.mode & 0o777, dir_fd=parent)
            self._dress(entry, parent, base)
        elif entry.kind in _DEVICES:
            self._device(entry, parent, base, name)
        else:
            raise InvalidInput(
                f"{shown(name)} in the archive is of a kind that is not known: {shown(entry.kind)}",
                code="O8-641",
                helps=["make the archive with: tar --format=posix"],
            )

    def _file(self, reader: TarReader, entry: Entry, parent: int, base: bytes) -> None:
        set_id = entry.mode & _SET_ID
        fd = os.open(base, _NEW_FILE, entry.mode & 0o777, dir_fd=parent)
        try:
            # What is new is the maker's already, but for the group where the directory passes its own on.
            if self._own and ((entry.uid, entry.gid) != self._maker or parent in self._passing_on):
                os.fchown(fd, entry.uid, entry.gid)
            if entry.sparse_size >= 0:
                os.ftruncate(fd, entry.sparse_size)
                for offset, data in reader.extents(entry):
                    _write(fd, data, offset)
            elif entry.size <= PIECE_BYTES:
                if entry.size:
                    _write(fd, reader.small(entry.size))
            else:
                for data in reader.data():
                    _write(fd, data)
            if self._own and set_id:
                os.fchmod(fd, entry.mode)
            if entry.xattrs:
                self._set_xattrs(fd, entry)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        except BaseException:
            _remove(parent, base)
            raise
        finally:
            os.close(fd)

    def _hard_link(self, entry: Entry, parent: int, base: bytes, name: bytes) -> None:
        target = self._name(entry.link)
        if target == name:
            return
        folder, _, target_base = target.rpartition(b"/")
        os.link(
            target_base, base, src_dir_fd=self._parent(folder), dst_dir_fd=parent, follow_symlinks=False
        )  # fmt: skip

    def _device(self, entry: Entry, parent: int, base: bytes, name: bytes) -> None:
        if not self._own:  # on the caller's own machine, of a number that a container chose
            self._tell(f"{shown(name)} is a device, and was left out; -a makes it")
            return
        try:
            number = os.makedev(entry.major, entry.minor)
            os.mknod(base, _DEVICES[entry.kind] | entry.mode & 0o777, number, dir_fd=parent)
        except (OverflowError, PermissionError) as error:  # root of a user namespace has none either
            self._tell(
                f"{shown(name)} is a device, which cannot be made here: {getattr(error, 'strerror', None) or error}"
            )
            return
        self._dress(entry, parent, base)

    def _dress(self, entry: Entry, parent: int, base: bytes) -> None:
        """Owner and times of what is not opened. What cannot be given to its owner is not to be found as somebody else's."""
        if self._own:
            try:
                os.chown(base, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
            except OSError:
                _remove(parent, base)
                raise
        os.utime(base, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)

    def _set_xattrs(self, fd: int, entry: Entry) -> None:
        for name, value in entry.xattrs.items():
            if not name.startswith(CARRIED) or (not self._own and name[0] == "s"):
                continue
            try:
                os.setxattr(fd, name, value)
            except OSError as error:
                if error.errno not in _NO_XATTR:
                    raise
                what = shown(name.encode(errors="surrogateescape"))
                self._tell(f"{shown(entry.name)}: {what} cannot be set here: {error.strerror}")

    def _tell(self, sentence: str) -> None:
        if self._told is not None:
            self._told(sentence)


def _remove(parent: int, base: bytes) -> None:
    """What is not whole, or not whose it is to be; the error that made it so is told, and no other one."""
    with contextlib.suppress(OSError):
        os.unlink(base, dir_fd=parent)


def _write(fd: int, data: bytes, offset: int = -1) -> None:
    view = memoryview(data)
    while view:
        if offset < 0:
            view = view[os.write(fd, view) :]
        else:
            written = os.pwrite(fd, view, offset)
            view, offset = view[written:], offset + written


def _is_the_kernels(folder: bytes) -> OperationFailed:
    return OperationFailed(f"{shown(folder)} is the kernel's, and takes no files", code="O8-640")


def failure(name: bytes, error: OSError) -> OperationFailed:
    """Of one file."""
    code = "O8-642" if error.errno == errno.EROFS else "O8-640"
    return OperationFailed(f"cannot write {shown(name) or '.'}: {error.strerror}", code=code)
