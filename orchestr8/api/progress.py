"""The lines that a piece of work tells about itself, from the task that does it to the client that reads them.

The work is not the client's: it goes on when nobody reads any more, and then its lines are dropped.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import anyio

from orchestr8.api.values import json_line
from orchestr8.wire.http import Send


class Progress:
    """Lines go in by `put`, on the loop; one reader takes them out by `write_to`."""

    def __init__(self, on_leaving: Callable[[], None] | None = None) -> None:
        """`on_leaving` is called once nobody reads any more, be it because all is told."""
        self._on_leaving = on_leaving
        self._lines: deque[dict[str, Any]] = deque()
        self._changed = anyio.Event()
        self._ended = False
        self._abandoned = False

    def put(self, line: dict[str, Any]) -> None:
        if not self._abandoned:
            self._lines.append(line)
            self._changed.set()

    def end(self) -> None:
        """No more lines will come."""
        self._ended = True
        self._changed.set()

    async def write_to(self, send: Send) -> None:
        """Send all lines, those that wait in one piece, until the end."""
        try:
            await send(b"")
            while True:
                ended = self._ended
                lines = b"".join(map(json_line, self._lines))
                self._lines.clear()
                if lines:
                    await send(lines)
                elif ended:
                    return
                else:
                    await self._changed.wait()
                    self._changed = anyio.Event()
        finally:
            self._abandoned = True
            self._lines.clear()
            if self._on_leaving is not None:
                self._on_leaving()
