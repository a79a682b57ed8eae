"""Directories that change: one inotify instance for the whole engine, and who is told of which directory.

A user has few inotify instances (128 by default), so followers of logs share this one. While nothing is watched or
nothing changes, its task sleeps in the loop's epoll.
"""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Self

import anyio

from orchestr8.kernel.inotify import Inotify, InotifyMask
from orchestr8.kernel.libc import SyscallError

MASK: Final = InotifyMask.MODIFY | InotifyMask.CREATE | InotifyMask.MOVED_TO | InotifyMask.ONLYDIR

Listener = Callable[[], None]


class DirectoryWatcher:
    """Enter it, `run` it in a task, and `watch` from other tasks of the same loop until it is left."""

    def __init__(self) -> None:
        self._inotify = Inotify()
        self._listeners: dict[int, list[Listener]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._inotify.close()

    async def run(self) -> None:
        """Call listeners until cancelled."""
        while True:
            await anyio.wait_readable(self._inotify.fd)
            for listener in self._changed():
                listener()

    def _changed(self) -> list[Listener]:
        """The listeners to call, each once however much happened."""
        found: dict[Listener, None] = {}
        for event in self._inotify.read():
            if event.mask & InotifyMask.Q_OVERFLOW:
                return [listener for listeners in self._listeners.values() for listener in listeners]
            found |= dict.fromkeys(self._listeners.get(event.watch, ()))
            if event.mask & InotifyMask.IGNORED:  # the directory is gone, and its watch with it
                self._listeners.pop(event.watch, None)
        return list(found)

    @contextmanager
    def watch(self, directory: str, listener: Listener) -> Iterator[Callable[[], bool]]:
        """Call `listener` soon after something in `directory` changed. What this gives tells whether that still is so: a
        directory that is gone has no watch any more. Raises OSError when it cannot be watched.
        """
        number = self._inotify.add(directory, MASK)
        listeners = self._listeners.setdefault(number, [])
        listeners.append(listener)
        try:
            yield lambda: self._listeners.get(number) is listeners
        finally:
            listeners.remove(listener)
            if not listeners and self._listeners.get(number) is listeners:
                del self._listeners[number]
                self._remove(number)

    def _remove(self, number: int) -> None:
        try:
            self._inotify.remove(number)
        except SyscallError as error:
            if error.errno != errno.EINVAL:  # the directory is gone, its last event not yet read
                raise
