"""Named volumes: directories that outlive containers, and their first contents from an image.

    <root>/volumes/<name>/data       what a container sees
    <root>/volumes/<name>/seeding    an image's files on their way in; left over only by a crash

Which volume belongs to which stack is the engine's knowledge; what is mounted where is runtime's.
"""

import contextlib
import errno
import os
import re
import threading
from collections.abc import Iterator, Sequence
from typing import Final

from orchestr8.errors import InvalidInput, NotFound
from orchestr8.kernel.mount import new_filesystem, open_tree
from orchestr8.kernel.openat2 import open_in_root
from orchestr8.storage.copy import Identity, TreeCopy, identity
from orchestr8.storage.covers import Cover
from orchestr8.storage.metadata import copy_metadata
from orchestr8.storage.overlay import OverlayMount
from orchestr8.storage.remove import remove_tree
from orchestr8.storage.trash import Trash

_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}")  # Docker's, and a directory's name
_PARAMETER_BYTES: Final = 255  # of fsconfig(2), for most file systems
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NOTHING_TO_COPY: Final = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV}


class VolumeStore:
    """The volumes of one engine."""

    def __init__(self, root: str) -> None:
        self._path: Final = f"{root}/volumes"
        self._trash: Final = Trash(root)
        self._seeding: Final[dict[str, threading.Lock]] = {}  # two containers of one service may be created at once

    def create(self, name: str) -> str:
        """Make an empty volume unless it exists; the path to mount."""
        path = self.path(name)
        os.makedirs(self._path, mode=0o700, exist_ok=True)
        os.makedirs(path, mode=0o755, exist_ok=True)
        return path

    def path(self, name: str) -> str:
        """Where the contents of `name` are, whether it exists or not."""
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                f"{name!r} cannot name a volume",
                helps=["use letters, digits, `_`, `.` and `-`, and begin with a letter or a digit"],
            )
        return f"{self._path}/{name}/data"

    def exists(self, name: str) -> bool:
        return os.path.isdir(self.path(name))

    def names(self) -> list[str]:
        """All volumes there are on disk, sorted."""
        try:
            return sorted(os.listdir(self._path))
        except FileNotFoundError:
            return []

    def remove(self, name: str) -> None:
        """Take the volume away; its files are deleted by the next `Trash.empty`."""
        self.path(name)  # refuses what is no name
        self._trash.discard(f"{self._path}/{name}")

    def seed(self, name: str, lowerdirs: Sequence[str], target: str, covers: Sequence[Cover] = ()) -> bool:
        """Fill an empty volume with what the image has at `target`; False when there is nothing to do.

        What the volume's directory itself looks like (owner, mode) is the image's too, also when it has no files there.
        """
        path = self.path(name)
        if not os.path.isdir(path):
            raise NotFound(f"no volume is called {name}")
        staging = f"{self._path}/{name}/seeding"
        with self._seeding.setdefault(name, threading.Lock()):
            if os.listdir(path) and not os.path.isdir(staging):
                return False
            with _image_root(lowerdirs) as root_fd:
                hidden = _hidden(root_fd, covers)
                source_fd = _open_source(root_fd, target, hidden)
                if source_fd is None:
                    return False
                try:
                    remove_tree(staging)  # of a seed that a crash interrupted: it begins anew, and overwrites nothing
                    os.mkdir(staging, 0o700)
                    _copy_in(source_fd, staging, path, hidden)
                finally:
                    os.close(source_fd)
            remove_tree(staging)
        return True


def _copy_in(source_fd: int, staging: str, path: str, hidden: dict[Identity, Cover]) -> None:
    """Copy where no container can reach, then move entry by entry: what a container finds is always complete."""
    staging_fd = os.open(staging, _DIRECTORY)
    try:
        TreeCopy(source_fd, staging_fd, hidden).run()
        data_fd = os.open(path, _DIRECTORY)
        try:
            present = set(os.listdir(data_fd))
            for entry in os.listdir(staging_fd):
                if entry not in present:
                    os.rename(entry, entry, src_dir_fd=staging_fd, dst_dir_fd=data_fd)
            copy_metadata(source_fd, data_fd)
        finally:
            os.close(data_fd)
    finally:
        os.close(staging_fd)


@contextlib.contextmanager
def _image_root(lowerdirs: Sequence[str]) -> Iterator[int]:
    """The image as a container sees it: its layers merged, and nothing that the host has mounted below them."""
    with contextlib.ExitStack() as stack:
        if len(lowerdirs) == 1:
            mount_fd = open_tree(lowerdirs[0])
        else:
            # Kernels before 6.5 take all layers in one parameter of at most 255 bytes: by descriptors a dozen fit.
            fds = [os.open(each, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for each in lowerdirs]
            for fd in fds:
                stack.callback(os.close, fd)
            short = ":".join(f"/proc/self/fd/{fd}" for fd in fds)
            fits = len(short) <= _PARAMETER_BYTES
            parameters = [("lowerdir", short)] if fits else OverlayMount(tuple(lowerdirs)).parameters()
            mount_fd = new_filesystem("overlay", parameters)
        stack.callback(os.close, mount_fd)
        yield mount_fd


def _hidden(root_fd: int, covers: Sequence[Cover]) -> dict[Identity, Cover]:
    """The covered entries of the image, by what a directory listing shows of them."""
    hidden = {}
    for cover in covers:
        try:
            fd = open_in_root(root_fd, cover.path, os.O_PATH | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno in _NOTHING_TO_COPY:
                continue
            raise
        hidden[identity(os.fstat(fd))] = cover
        os.close(fd)
    return hidden


def _open_source(root_fd: int, target: str, hidden: dict[Identity, Cover]) -> int | None:
    """The image's directory at `target`, unless there is none or a cover lies over it."""
    try:
        source_fd = open_in_root(root_fd, target, _DIRECTORY)
    except OSError as error:
        if error.errno in _NOTHING_TO_COPY:
            return None
        raise
    at = os.dup(source_fd)
    try:
        while identity(os.fstat(at)) != identity(os.fstat(root_fd)):
            if identity(os.fstat(at)) in hidden:
                os.close(source_fd)
                return None
            above = os.open("..", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=at)
            os.close(at)
            at = above
    finally:
        os.close(at)
    return source_fd
