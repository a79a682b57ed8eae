"""An event loop whose clock jumps: a test that sleeps a minute takes no time, and every run goes the same way.

Where nothing is ready and nothing is timed, the loop would sleep for ever: that is raised as an error of the test.
"""

import asyncio
import selectors
from typing import Any

START = 1_700_000_000.0  # Unix time at the loop's zero


class _Selector(selectors.DefaultSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("nothing will ever happen: every task waits and no timer is set")
        if not ready and timeout is not None and timeout > 0:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._virtual.now

    def timers(self) -> int:
        """How many wake-ups are planned."""
        return sum(not each.cancelled() for each in self._scheduled)


def virtual_now() -> float:
    """Unix time by the running loop's clock."""
    return START + asyncio.get_running_loop().time()
