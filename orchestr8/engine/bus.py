"""Fan-out inside the engine: what happened to containers, to whoever follows it.

A follower that does not keep up loses its oldest events and is told so; it never makes the engine wait or grow.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import anyio

from orchestr8.api.values import json_line
from orchestr8.model.codec import to_json
from orchestr8.model.events import Event
from orchestr8.model.ids import StackName
from orchestr8.wire.http import Send

MAX_WAITING: Final = 10_000


class Subscription:
    """One follower's events, in order."""

    def __init__(self, stack: StackName | None) -> None:
        self._stack = stack
        self._waiting: deque[Event] = deque(maxlen=MAX_WAITING)
        self._wake = anyio.Event()
        self.lost = False  # events were dropped since the last `next`

    def offer(self, event: Event) -> None:
        if self._stack in (None, event.stack):
            self.lost |= len(self._waiting) == MAX_WAITING
            self._waiting.append(event)
            self._wake.set()

    def nudge(self, stack: StackName) -> None:
        if self._stack in (None, stack):
            self._wake.set()

    async def next(self) -> list[Event]:
        """Wait, then all that has happened; empty when something else changed and a look is worth while."""
        await self._wake.wait()
        self._wake = anyio.Event()
        self.lost = False
        events = list(self._waiting)
        self._waiting.clear()
        return events


class Bus:
    """Events go in by `publish`, in order, on the loop."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []

    def publish(self, event: Event) -> None:
        for each in self._subscriptions:
            each.offer(event)

    def nudge(self, stack: StackName) -> None:
        """Wake the followers of a stack although no container changed: work on it began or ended."""
        for each in self._subscriptions:
            each.nudge(stack)

    @contextmanager
    def subscribe(self, stack: StackName | None = None) -> Iterator[Subscription]:
        """Events from now on; of one stack, or of all."""
        subscription = Subscription(stack)
        self._subscriptions.append(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)


class Events:
    """`api.services.EventService`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def write(self, stack: StackName | None, send: Send) -> None:
        with self._bus.subscribe(stack) as subscription:
            await send(b"")
            while True:
                for event in await subscription.next():
                    await send(json_line(to_json(event)))
