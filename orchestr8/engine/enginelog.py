"""The engine's own log: stdlib logging to <root>/engine.log, rotated by size; and its reader for `engine logs`."""

import logging
import logging.handlers
import os
import time
from typing import Final

import anyio
import anyio.to_thread

from orchestr8.engine.watch import DirectoryWatcher
from orchestr8.wire.http import Send

MAX_BYTES: Final = 5 * 1024 * 1024
KEPT_FILES: Final = 2
READ_BYTES: Final = 256 * 1024


class EngineLogHandler(logging.handlers.RotatingFileHandler):
    """Also keeps the process's standard error in the log, for what bypasses logging."""

    def __init__(self, path: str) -> None:
        super().__init__(path, maxBytes=MAX_BYTES, backupCount=KEPT_FILES, encoding="utf-8")
        os.chmod(path, 0o640)
        formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        self.setFormatter(formatter)
        self._takes_stderr = False

    def fileno(self) -> int:
        assert self.stream is not None, "the log is open as long as its handler"
        return self.stream.fileno()

    def take_stderr(self) -> None:
        self._takes_stderr = True
        os.dup2(self.fileno(), 2)

    def doRollover(self) -> None:  # noqa: N802 - logging's name
        super().doRollover()
        os.chmod(self.baseFilename, 0o640)
        if self._takes_stderr:
            os.dup2(self.fileno(), 2)


def begin_logging(path: str, level: str) -> EngineLogHandler:
    handler = EngineLogHandler(path)
    logger = logging.getLogger("orchestr8")
    logger.setLevel(level or "INFO")
    logger.addHandler(handler)
    logger.propagate = False
    return handler


def end_logging(handler: EngineLogHandler) -> None:
    logging.getLogger("orchestr8").removeHandler(handler)
    handler.close()


async def write_log(path: str, send: Send, watcher: DirectoryWatcher, *, tail: int | None, follow: bool) -> None:
    """The log from its last `tail` lines on, older files included; `follow`: and what comes, until cancelled."""
    changed = anyio.Event()

    def on_change() -> None:
        changed.set()

    if not follow:
        await _write_stored(path, send, tail)
        return
    await send(b"")
    with watcher.watch(os.path.dirname(path), on_change):
        inode, offset = await _write_stored(path, send, tail)
        while True:
            inode, offset = await _write_news(path, send, inode, offset)
            await changed.wait()
            changed = anyio.Event()


async def _write_stored(path: str, send: Send, tail: int | None) -> tuple[int, int]:
    """Returns the current file's inode, and how much of it was sent."""

    def read() -> tuple[bytes, int, int]:
        names = [f"{path}.{number}" for number in range(KEPT_FILES, 0, -1)]
        older = b"".join(_contents(name)[0] for name in names)
        newest, inode = _contents(path)
        text = older + newest
        if tail is not None:
            lines = text.splitlines(keepends=True)
            text = b"".join(lines[max(0, len(lines) - tail) :])
        return text, inode, len(newest)

    text, inode, offset = await anyio.to_thread.run_sync(read)
    if text:
        await send(text)
    return inode, offset


async def _write_news(path: str, send: Send, inode: int, offset: int) -> tuple[int, int]:
    """What came after `offset`; the rest of a rotated file, then the new one from its beginning."""

    def read() -> tuple[bytes, int, int]:
        current, current_inode = _contents(path, offset)
        if current_inode == inode:
            return current, inode, offset + len(current)
        rest, rotated_inode = _contents(f"{path}.1", offset)
        current, current_inode = _contents(path)
        return (rest if rotated_inode == inode else b"") + current, current_inode, len(current)

    text, inode, offset = await anyio.to_thread.run_sync(read)
    if text:
        await send(text)
    return inode, offset


def _contents(path: str, offset: int = 0) -> tuple[bytes, int]:
    """A file's bytes from `offset` on, at most one rotation's worth, and its inode; nothing and 0 if there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(2 * MAX_BYTES), os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return b"", 0
