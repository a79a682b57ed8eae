"""The SQLite file: opened once, brought up to date, and written by one thread in the order in which it was asked.

Jobs that wait while the thread is busy share a transaction. WAL with synchronous=NORMAL, so a commit is a write
without a flush: what a crash of the machine may take are the last rows about things that died with it. A `durable`
job is flushed (FULL) before it is reported. What the rows mean is `engine.store`'s business.
"""

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import anyio.to_thread

from orchestr8.errors import OperationFailed, Unsupported
from orchestr8.kernel.fallocate import reserve

Statement = tuple[str, Sequence[Any]]

# Each script leads from its place in this list to the next version; a released script is never changed.
MIGRATIONS: Final = (
    """
    CREATE TABLE containers (name TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, stack TEXT NOT NULL, data TEXT NOT NULL);
    CREATE TABLE networks (name TEXT PRIMARY KEY, stack TEXT NOT NULL, data TEXT NOT NULL);
    CREATE TABLE volumes (name TEXT PRIMARY KEY, stack TEXT NOT NULL, data TEXT NOT NULL);
    CREATE TABLE intents (stack TEXT PRIMARY KEY, data TEXT NOT NULL);
    """,
    """
    CREATE TABLE health (name TEXT PRIMARY KEY, stack TEXT NOT NULL, data TEXT NOT NULL);
    """,
    """
    CREATE TABLE departed (name TEXT PRIMARY KEY, stack TEXT NOT NULL, data TEXT NOT NULL);
    """,
)


_FILE_ROOM: Final = 1 << 20  # behind its end
_JOURNAL_ROOM: Final = 6 << 20  # a checkpoint is due at 1,000 pages (4 MiB), and may come a little later


def open_database(path: str, migrations: Sequence[str] = MIGRATIONS) -> sqlite3.Connection:
    """A connection to the file at `path`, made and migrated as needed. It may be used by any one thread at a time."""
    # Documents hold environments, so secrets: made for its owner only. SQLite gives its journals the same mode.
    with _opened(path, os.O_CREAT) as fd:
        _reserve(fd, os.fstat(fd).st_size, _FILE_ROOM)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        _migrate(connection, path, migrations)
        with _opened(f"{path}-wal", os.O_CREAT) as fd:  # which is overwritten from its beginning, and never cut
            _reserve(fd, 0, _JOURNAL_ROOM)
    except sqlite3.Error as error:
        connection.close()
        raise _failure(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)


def _reserve(fd: int, offset: int, count: int) -> None:
    """A disk that containers have filled must not keep anybody from stopping them: every command is stored first."""
    with contextlib.suppress(OSError):  # a file system without this, or without the room
        reserve(fd, offset, count)


def _migrate(connection: sqlite3.Connection, path: str, migrations: Sequence[str]) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        raise Unsupported(
            f"{path} was written by a newer orchestr8 (schema {version}; this one knows {len(migrations)})",
            code="O8-911",
            helps=["use the newer version, or another --root"],
        )
    for number in range(version, len(migrations)):
        try:
            connection.executescript(f"BEGIN; {migrations[number]}; PRAGMA user_version = {number + 1}; COMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.rollback()
            raise


def _failure(path: str, error: Exception) -> OperationFailed:
    return OperationFailed(
        f"cannot use the engine's state file {path}: {error}",
        code="O8-912",
        helps=["check the space and the permissions of the engine's root directory"],
    )


@dataclass(slots=True, kw_only=True)
class _Job:
    statements: Sequence[Statement]
    durable: bool
    apply: Callable[[], None]  # called on the loop, in the order of commits
    done: anyio.Event = field(default_factory=anyio.Event)
    error: Exception | None = None


class Writer:
    """The thread that writes. `start` it on the loop whose tasks write."""

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self._connection = connection
        self._path = path
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="state writer", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def write(
        self, statements: Sequence[Statement], *, durable: bool = False, apply: Callable[[], None] = lambda: None
    ) -> None:
        """Return once the statements are committed. A caller that is cancelled takes nothing back: they still are."""
        job = _Job(statements=statements, durable=durable, apply=apply)
        self._jobs.put(job)
        await job.done.wait()
        if job.error is not None:
            raise _failure(self._path, job.error) from job.error

    async def close(self) -> None:
        """Write what is queued, then close the file."""
        self._jobs.put(None)
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._thread.join)

    def _run(self) -> None:
        going_on = True
        while going_on:
            jobs: list[_Job] = []
            job = self._jobs.get()
            while True:
                if job is None:
                    going_on = False
                    break
                jobs.append(job)
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
            self._commit(jobs)
        self._connection.close()

    def _commit(self, jobs: list[_Job]) -> None:
        """All in one transaction; where that fails one by one, so that a row that cannot be stored fails alone."""
        if not jobs:
            return
        assert self._loop is not None, "a job was written before start()"
        error = self._transaction(jobs)
        if error is None or len(jobs) == 1:
            self._loop.call_soon_threadsafe(_finish, jobs, error)
            return
        for job in jobs:
            self._loop.call_soon_threadsafe(_finish, [job], self._transaction([job]))

    def _transaction(self, jobs: list[_Job]) -> Exception | None:
        """Why it was not committed. Whatever that is, this thread goes on: everybody's writes wait for it."""
        connection = self._connection
        durable = any(job.durable for job in jobs)
        try:
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                for sql, parameters in job.statements:
                    connection.execute(sql, parameters)
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - not SQLite's alone: text that is no UTF-8, a number of over 64 bits
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):  # the disk is gone: the next one fails likewise, and is told
                    connection.rollback()
            return error
        return None


def _finish(jobs: list[_Job], error: Exception | None) -> None:
    for job in jobs:
        job.error = error
        if error is None:
            job.apply()
        job.done.set()
