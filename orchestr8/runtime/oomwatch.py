"""News of a container that runs out of memory, at once and without looking for it while nothing happens.

v1: an eventfd that the kernel counts up when the group runs out, right before it kills (admin-guide/cgroup-v1/memory.rst).
v2: `memory.events`, which polls as urgent after a change (admin-guide/cgroup-v2.rst); also when the limit is merely hit, up
to a hundred times a second, and that is no news. What is told to whom is for the shim.
"""

import os
from collections.abc import Callable
from typing import Final

from orchestr8.runtime.poller import READ, URGENT, Poller

_V1_FILE: Final = "/memory.oom_control"


class OomWatch:
    """One group's file with a line `oom_kill N`. `on_news` is called with nothing, from the poller."""

    def __init__(self, poller: Poller, path: str, on_news: Callable[[], None]) -> None:
        """`path`: "" for a machine that does not account memory. Raises OSError when the kernel does not take it."""
        self._poller = poller
        self._path = path
        self._on_news = on_news
        self._fd = -1
        self._told = 0
        if path.endswith(_V1_FILE):
            self._watch_v1(path)
        elif path:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._told = _kills(self._fd)  # reading it is what arms the poll
            poller.watch(self._fd, URGENT, self._changed)

    def _watch_v1(self, path: str) -> None:
        counter = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                control = os.open(f"{os.path.dirname(path)}/cgroup.event_control", os.O_WRONLY | os.O_CLOEXEC)
                try:
                    os.write(control, b"%d %d" % (counter, file))
                finally:
                    os.close(control)
            finally:
                os.close(file)
        except OSError:
            os.close(counter)
            raise
        self._fd = counter
        self._poller.watch(counter, READ, self._counted)

    def kills(self) -> int:
        """How many processes of the group were killed; 0 when it is gone."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC) if self._path else -1
        except OSError:  # somebody removed the group: ENOENT, ENODEV
            return 0
        try:
            return _kills(fd)
        finally:
            if fd >= 0:
                os.close(fd)

    def look(self) -> None:
        """Take up now what the poller would tell later: before something else is told that follows from it."""
        if self._fd < 0:
            return
        if self._path.endswith(_V1_FILE):
            self._counted(0)
        else:
            self._changed(0)

    def _counted(self, _events: int) -> None:
        try:
            os.eventfd_read(self._fd)
        except BlockingIOError:
            return
        if os.path.exists(self._path):
            self._on_news()
        else:  # removing a group counts too
            self.close()

    def _changed(self, _events: int) -> None:
        try:
            kills = _kills(self._fd)
        except OSError:  # ENODEV: the group was removed
            self.close()
            return
        if kills > self._told:
            self._told = kills
            self._on_news()

    def close(self) -> None:
        if self._fd >= 0:
            self._poller.forget(self._fd)
            os.close(self._fd)
            self._fd = -1


def _kills(fd: int) -> int:
    for line in os.pread(fd, 4096, 0).splitlines() if fd >= 0 else ():
        key, _, value = line.partition(b" ")
        if key == b"oom_kill":
            return int(value)
    return 0
