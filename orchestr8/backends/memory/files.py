"""The files of containers that are only remembered: a folder each, by the code that copies files of real ones.

What the image has is not in it, and everything belongs to who runs this, unless that is root. The loop waits while bytes
flow: a fake has one client, and time that is not real.
"""

import contextlib
import os
import shutil
import socket
import tempfile
import weakref
from collections.abc import Iterator, Sequence

import anyio
import anyio.lowlevel

from orchestr8.model.backend import PathStatus
from orchestr8.runtime import messages
from orchestr8.runtime.copying import Inlet, Outlet, Place, reason


class MemoryPath:
    """See model.backend.OpenedPath."""

    def __init__(self, folder: str, order: messages.Copy) -> None:
        self._view = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._place = Place(self._view, order)
        except BaseException:
            os.close(self._view)
            raise
        found = self._place.describe()
        self.status = PathStatus(found.name, found.mode, found.size, found.mtime_ns, found.link)

    async def send(self, stream_fd: int, *, framed: bool) -> None:
        await anyio.lowlevel.checkpoint()
        with _telling(), socket.socket(fileno=os.dup(stream_fd)) as client:
            self._place.send(Outlet(client, framed=framed))

    async def receive(self, stream_fd: int, early: bytes, length: int | None) -> Sequence[str]:
        await anyio.lowlevel.checkpoint()
        with _telling(), socket.socket(fileno=os.dup(stream_fd)) as client:
            return tuple(self._place.receive(Inlet(client, length, early), own=os.geteuid() == 0))

    async def close(self) -> None:
        if self._view >= 0:
            self._place.close()
            os.close(self._view)
            self._view = -1


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise reason(error) from error


class MemoryFiles:
    """Of all containers of a backend: in its root, or else in a folder that goes with it."""

    def __init__(self, root: str) -> None:
        self._root = root

    def folder(self, container_id: str) -> str:
        if not self._root:
            self._root = tempfile.mkdtemp(prefix="orchestr8-memory-")
            weakref.finalize(self, shutil.rmtree, self._root, ignore_errors=True)
        path = os.path.join(self._root, "containers", container_id, "files")
        os.makedirs(path, exist_ok=True)
        return path
