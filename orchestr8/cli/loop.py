"""Waiting for several things at once: the engine's answers, signals, the keyboard. One thread, one poll."""

from __future__ import annotations

import os
import select
import signal

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol, Self

    class Readable(Protocol):
        @property
        def ready(self) -> bool:
            """Whether there is something to take without reading the descriptor."""
            ...

        def fileno(self) -> int: ...


class Loop:
    """Calls back for each thing that has something to take, until `stop`."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._watched: dict[int, tuple[Readable, Callable[[], None]]] = {}
        self._stopped = False

    def watch(self, thing: Readable, callback: Callable[[], None]) -> None:
        self._watched[thing.fileno()] = (thing, callback)
        self._poll.register(thing.fileno(), select.POLLIN)

    def forget(self, thing: Readable) -> None:
        if self._watched.pop(thing.fileno(), None):
            self._poll.unregister(thing.fileno())

    def stop(self) -> None:
        self._stopped = True

    def run(self, tick: Callable[[], float | None]) -> None:
        """Call back until stopped. `tick` is called in between and says how many seconds to wait at most."""
        self._stopped = False
        while not self._stopped:
            due = [fd for fd, (thing, _) in self._watched.items() if thing.ready]
            if not due:
                timeout_s = tick()
                due = [fd for fd, _ in self._poll.poll(None if timeout_s is None else max(timeout_s, 0.0) * 1000)]
            for fd in due:
                if fd in self._watched and not self._stopped:
                    self._watched[fd][1]()


class Signals:
    """Signals as something to wait for: while entered, those named arrive by `take` and interrupt nothing."""

    ready = False

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self._numbers = tuple(numbers)
        self._before: dict[signal.Signals, Any] = {}
        self._reader = self._writer = -1

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in self._numbers:
            self._before[number] = signal.signal(number, _note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._reader)
        os.close(self._writer)

    def fileno(self) -> int:
        return self._reader

    def take(self) -> list[int]:
        """The signals that came since the last call, in order."""
        try:
            return [number for number in os.read(self._reader, 256) if number in self._numbers]
        except BlockingIOError:
            return []


def _note(_number: int, _frame: object) -> None:
    """A Python handler must stand for the wake-up descriptor to be written; the number travels through that."""
