"""A layer of an image as a directory for overlayfs: OCI's whiteouts become the kernel's.

The archive is hostile: `storage.extract` keeps it below the directory. A layer is there whole, with the digest that it is
known by, or not at all.
"""

import contextlib
import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable
from typing import Final

from orchestr8.errors import InvalidInput, OperationFailed
from orchestr8.kernel.namespaces import CloneFlag, unshare
from orchestr8.kernel.syncfs import syncfs
from orchestr8.storage import tarformat
from orchestr8.storage.blobs import Blob
from orchestr8.storage.extract import Extractor, failure
from orchestr8.storage.pack import WHITEOUT
from orchestr8.storage.remove import remove_tree
from orchestr8.storage.tarread import TarReader

_OPAQUE_MARK: Final = b".wh..wh..opq"
_OPAQUE: Final = "trusted.overlay.opaque"
_WHITEOUT_DEVICE: Final = os.makedev(0, 0)
_PIECE_BYTES: Final = 1 << 20
_DEPTH_MAX: Final = 2048  # levels: more do not fit in a path


class LayerExtractor(Extractor):
    """With names that stand for what is deleted."""

    def _extract(self, reader: TarReader, entry: tarformat.Entry) -> None:
        name = self._name(entry.name)
        folder, _, base = name.rpartition(b"/")
        if not base.startswith(WHITEOUT):
            super()._extract(reader, entry)
            return
        gone = base.removeprefix(WHITEOUT)
        if gone in {b"", b".", b".."}:
            raise InvalidInput(
                f"{os.fsdecode(name)!r:.200} in a layer deletes nothing that there can be", code="O8-641"
            )
        try:
            if base == _OPAQUE_MARK:
                os.setxattr(f"/proc/self/fd/{self._parent(folder)}", _OPAQUE, b"y")
            else:
                with contextlib.suppress(FileExistsError):  # the layer has another file of that name: it hides as well
                    os.mknod(gone, stat.S_IFCHR, _WHITEOUT_DEVICE, dir_fd=self._parent(folder))
        except OSError as error:
            raise failure(name, error) from error


def unpack(path: str, blob: Blob, target: str, told: Callable[[str], object]) -> None:
    """The layer that lies in a file, as the directory `target`. Raises InvalidInput for what is no layer."""
    fresh = f"{target}.{os.urandom(4).hex()}.new"
    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
    os.mkdir(fresh, 0o755)
    try:
        _in_thread(lambda: _extract(path, blob, fresh, told))
        os.rename(fresh, target)
    except BaseException as error:
        remove_tree(fresh)
        if isinstance(error, OSError) and error.errno in {errno.EEXIST, errno.ENOTEMPTY}:
            return  # another container's creation was faster
        raise


def _extract(path: str, blob: Blob, target: str, told: Callable[[str], object]) -> None:
    found = hashlib.sha256()
    with open(path, "rb") as file:

        def source() -> bytes:
            data = file.read(_PIECE_BYTES)
            found.update(data)
            return data

        fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            LayerExtractor(fd, own=True, told=told, depth_max=_DEPTH_MAX).run(source)
            if f"sha256:{found.hexdigest()}" != blob.digest:
                raise OperationFailed(f"the layer {blob.digest} is damaged: {path}", code="O8-506")
            syncfs(fd)
        finally:
            os.close(fd)


def _in_thread(run: Callable[[], None]) -> None:
    """In a thread with a umask of its own, which the extractor changes: the process's is everybody's."""
    failures: list[BaseException] = []

    def begin() -> None:
        try:
            unshare(CloneFlag.FS)
            run()
        except BaseException as error:  # noqa: BLE001 - raised below
            failures.append(error)

    thread = threading.Thread(target=begin, name="unpack a layer")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
