"""The container's log as CRI lines: `<RFC3339Nano> stdout|stderr F|P text`, rotated by size.

Written in the batches in which the pipe was read: one timestamp a read, the prefix put in by one `bytes.replace`. A
read that ends within a line leaves a P (partial) record; the reader (`runtime.logs`) joins it with what follows.
Format: Kubernetes CRI, kubelet's `logs.go`.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from orchestr8.runtime.logmembers import SUFFIX
from orchestr8.runtime.logpacker import Packer
from orchestr8.runtime.poller import Poller

MAX_BYTES: Final = 10 * 1024 * 1024
MAX_FILES: Final = 3
_OPEN: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


_LOST: Final = b"%s stderr F orchestr8: %d bytes of this log are lost: %s\n"


class NoLog:
    """The log of a container of which nothing is to be kept."""

    lost_bytes = 0
    on_trouble: Callable[[str], None]

    def write(self, stream: bytes, chunk: bytes) -> None:
        """Drop it."""

    def close(self) -> None:
        """There is nothing to close."""


class LogWriter:
    """Owns the descriptor of `path`; `path.1` is the file before, `path.2` the one before that, or what the packer made
    of it, `path.2.gz`.
    """

    def __init__(
        self, path: str, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES, packer: Packer | None = None
    ) -> None:
        """`max_bytes`: of a file, before it is rotated; 0: no limit. `max_files`: with the one that is written to.
        `packer`: compresses what was rotated.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._packer = packer
        self._fd = os.open(path, _OPEN, 0o640)
        self._size = os.fstat(self._fd).st_size
        self._second = -1
        self._second_text = b""
        self._torn = False  # the file ends within a record
        self._untold = 0  # of `lost_bytes`: the log itself does not tell of them yet
        self._reason = ""  # why the last write failed
        self.lost_bytes = 0  # of records that a full disk did not take
        self.on_trouble: Callable[[str], None] = lambda _reason: None  # why bytes are lost from now on; "": no more are

    def write(self, stream: bytes, chunk: bytes) -> None:
        """Append `chunk` of `stream` (b"stdout" or b"stderr"). A full disk loses the chunk, never the container; once
        there is room again, a line of ours says how much is missing at this place.
        """
        head = self._timestamp() + b" " + stream
        prefix = head + b" F "
        body, newline, rest = chunk.rpartition(b"\n")
        lines = prefix + body.replace(b"\n", b"\n" + prefix) + b"\n" if newline else b""
        if rest:
            lines += head + b" P " + rest + b"\n"
        if self._max_bytes and self._size and self._size + len(lines) > self._max_bytes:
            self._rotate()
        if self._untold:
            if self._append(_LOST % (self._timestamp(), self._untold, self._reason.encode())):
                self._lose(len(lines))
                return
            self._untold = 0
            self.on_trouble("")
        left = self._append(lines)
        if left:
            self._lose(left)

    def _lose(self, count: int) -> None:
        is_first = not self._untold
        self._untold += count
        self.lost_bytes += count
        if is_first:
            self.on_trouble(self._reason)

    def _append(self, lines: bytes) -> int:
        """Returns how many bytes the disk did not take."""
        view = memoryview(b"\n" + lines if self._torn else lines)
        try:
            while view:
                written = os.write(self._fd, view)
                self._size += written
                view = view[written:]
                self._torn = bool(view)
        except OSError as error:  # ENOSPC, EDQUOT, EIO
            self._reason = error.strerror or str(error)
        return len(view)

    def _timestamp(self) -> bytes:
        now = time.time_ns()
        second, nanosecond = divmod(now, 1_000_000_000)
        if second != self._second:
            self._second = second
            self._second_text = b"%04d-%02d-%02dT%02d:%02d:%02d" % time.gmtime(second)[:6]
        return b"%s.%09dZ" % (self._second_text, nanosecond)

    def _rotate(self) -> None:
        """Shift the older files by one and begin anew. Readers follow by inode."""
        try:
            oldest = self._name(self._max_files - 1)
            for name in (oldest, oldest + SUFFIX):
                if os.path.lexists(name):
                    os.unlink(name)
            for number in range(self._max_files - 1, 0, -1):
                for suffix in ("", SUFFIX):
                    source = self._name(number - 1) + suffix
                    if os.path.lexists(source):
                        os.rename(source, self._name(number) + suffix)
            fresh = os.open(self._path, _OPEN, 0o640)
        except OSError:  # no room for a new name: go on with the file there is
            return
        os.close(self._fd)
        self._fd = fresh
        self._size = 0
        if self._packer is not None:
            self._packer.look()

    def _name(self, number: int) -> str:
        return f"{self._path}.{number}" if number else self._path

    def close(self) -> None:
        os.close(self._fd)
        if self._packer is not None:
            self._packer.close()


def open_log(path: str, order: Mapping[str, Any], poller: Poller) -> LogWriter | NoLog:
    """`order`: fields of `model.specs.LogSpec`, as they stand in a Spawn."""
    if order.get("driver") == "none":
        return NoLog()
    max_files = order.get("max_files", MAX_FILES)
    packer = Packer(poller, path, max_files) if order.get("compress", True) else None
    return LogWriter(path, order.get("max_bytes", MAX_BYTES), max_files, packer)
