"""The writable layer of each container: made once from an image, described as an overlay mount, removed with it.

    <root>/containers/<id>/upper, work       beside the rest of the container's bundle

Covers of an image are written into the fresh layer as an empty file or an opaque directory, which overlayfs shows in
place of what lies below: no mount at each start, nothing to unmount, and still the container's own to write to.
After that the layer belongs to the container, and is hostile: `layers.Tree` alone reads what is in it.
"""

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from typing import Final

from orchestr8.errors import InvalidInput, NotFound, OperationFailed
from orchestr8.kernel.mount import open_tree, set_attributes
from orchestr8.storage import limited
from orchestr8.storage.covers import Cover, CoverKind
from orchestr8.storage.layers import READ_ALONE
from orchestr8.storage.metadata import copy_metadata
from orchestr8.storage.overlay import OverlayMount
from orchestr8.storage.remove import remove_tree
from orchestr8.storage.tops import make_top
from orchestr8.storage.trash import Trash

UNFINISHED: Final = "upper.new"  # the layer while it is made
WORK: Final = "work"
_OPAQUE: Final = "trusted.overlay.opaque"


class SnapshotStore:
    """The container layers of one engine."""

    def __init__(self, root: str) -> None:
        self._path: Final = f"{root}/containers"
        self._trash: Final = Trash(root)

    def prepare(
        self,
        container_id: str,
        lowerdirs: Sequence[str],
        covers: Sequence[Cover] = (),
        *,
        size_bytes: int = 0,
        blank: bool = False,
    ) -> OverlayMount:
        """Make the layer of a new container; one that exists is left as it is.

        `size_bytes`: at most; 0: no limit. `blank`: its folder was one a moment ago.
        """  # fmt: skip
        if not size_bytes:
            return self._prepare(self.mount(container_id, lowerdirs), lowerdirs, covers, blank=blank)
        folder = self._folder(container_id)
        make_top(self._path)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        limited.make(folder, size_bytes)
        with limited.mounted(folder):
            return self._prepare(self.mount(container_id, lowerdirs, "/layer"), lowerdirs, covers)

    def _prepare(
        self, mount: OverlayMount, lowerdirs: Sequence[str], covers: Sequence[Cover], *, blank: bool = False
    ) -> OverlayMount:
        if not os.path.isdir(mount.upperdir):
            unfinished = f"{os.path.dirname(mount.upperdir)}/{UNFINISHED}"
            if not blank:
                make_top(self._path)
                os.makedirs(mount.workdir, mode=0o700, exist_ok=True)
                remove_tree(unfinished)
                os.mkdir(unfinished, 0o700)
            for cover in covers:
                if cover.kind is not CoverKind.TMPFS:
                    _write_cover(unfinished, lowerdirs, cover)
            _copy_directory_metadata(unfinished, lowerdirs, "")
            os.rename(unfinished, mount.upperdir)
        return mount

    def bring(self, container_id: str) -> None:
        """Mount a layer of limited size, for a program to be started in it; `put_away` when it has been."""
        limited.mount(self._folder(container_id))

    def put_away(self, container_id: str) -> None:
        limited.unmount(self._folder(container_id))

    def mount(self, container_id: str, lowerdirs: Sequence[str], place: str = "") -> OverlayMount:
        """What to mount as the container's root."""
        folder = self._folder(container_id) + place
        return OverlayMount(lowerdirs=tuple(lowerdirs), upperdir=f"{folder}/upper", workdir=f"{folder}/{WORK}")

    @contextlib.contextmanager
    def layer(self, container_id: str, *, limited_size: bool) -> Iterator[int]:
        """The container's own layer, to be read: a descriptor of its directory. Raises NotFound where there is none."""
        folder = self._folder(container_id)
        with contextlib.ExitStack() as stack:
            try:
                if limited_size:
                    mount = stack.enter_context(limited.shown(folder))
                    fd = os.open("upper", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=mount)
                else:
                    fd = open_tree(f"{folder}/upper")
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise
                raise NotFound(f"the container {container_id} has no layer: it is being made, or removed") from error
            stack.callback(os.close, fd)
            if not limited_size:
                set_attributes(fd, on=READ_ALONE)
            yield fd

    def remove(self, container_id: str) -> None:
        """Take the container's whole folder away; it is deleted by the next `Trash.empty`. Gone already is fine."""
        limited.unmount(self._folder(container_id))
        self._trash.discard(self._folder(container_id))

    def _folder(self, container_id: str) -> str:
        if not container_id.isalnum():
            raise InvalidInput(f"{container_id!r} is no container id")
        return f"{self._path}/{container_id}"


def _write_cover(upper: str, lowerdirs: Sequence[str], cover: Cover) -> None:
    """Put `cover` into a layer that nobody else knows yet, with the directories that lead to it as the image has them."""
    parent, name = os.path.split(cover.path.strip("/"))
    path = ""
    for part in filter(None, parent.split("/")):
        path = f"{path}/{part}"
        try:
            os.mkdir(f"{upper}{path}", 0o700)
        except FileExistsError:
            continue
        _copy_directory_metadata(f"{upper}{path}", lowerdirs, path)
    place = f"{upper}{path}/{name}"
    if cover.kind is CoverKind.FILE:
        os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    else:
        os.mkdir(place, 0o700)
        try:
            os.setxattr(place, _OPAQUE, b"y")
        except OSError as error:
            raise OperationFailed(
                f"cannot hide {cover.path} from a container: {os.strerror(error.errno or 0)}",
                notes=[f"{upper} must be on a filesystem with trusted.* attributes, as ext4, xfs and btrfs are"],
            ) from error
    os.chmod(place, cover.mode)


def _copy_directory_metadata(target: str, lowerdirs: Sequence[str], path: str) -> None:
    """A merged directory looks like its uppermost layer: so that has to look like the image's."""
    for lowerdir in lowerdirs:
        try:
            source_fd = os.open(f"{lowerdir}{path}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            target_fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                copy_metadata(source_fd, target_fd, times=False)
            finally:
                os.close(target_fd)
        finally:
            os.close(source_fd)
        return
