"""Fan-out inside the engine: what happened to containers, to whoever follows it.

A follower that does not keep up loses its oldest events and is told so; it never makes the engine wait or grow. The latest
events are remembered for those who ask what has just happened, until the engine ends.
"""

import time
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
REMEMBERED: Final = 1024  # several times what dockerd does


class Subscription:
    """One follower's events, in order."""

    def __init__(self, stack: StackName | None) -> None:
        self._stack = stack
        self._waiting: deque[Event] = deque(maxlen=MAX_WAITING)
        self._wake = anyio.Event()
        self.lost = False  # events were dropped since the last `next`
        self.missed = False  # before those that `next` gave last

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
        self.missed, self.lost = self.lost, False
        events = list(self._waiting)
        self._waiting.clear()
        return events


class Bus:
    """Events go in by `publish`, in order, on the loop."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []
        self._recent: deque[Event] = deque(maxlen=REMEMBERED)

    def recent(self, stack: StackName | None, since: float) -> list[Event]:
        """Those of the latest events that happened at `since`, Unix time in s, or after."""
        return [each for each in self._recent if each.at >= since and stack in (None, each.stack)]

    def publish(self, event: Event) -> None:
        self._recent.append(event)
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

    async def write(self, stack: StackName | None, send: Send, *, since: float | None, until: float | None) -> None:
        with self._bus.subscribe(stack) as subscription:
            events = self._bus.recent(stack, since) if since is not None else []
            await send(b"")
            while True:
                for event in events:
                    if until is None or event.at <= until:
                        await send(json_line(to_json(event)))
                events = []
                with anyio.move_on_after(None if until is None else max(0.0, until - time.time())) as patience:
                    events = await subscription.next()
                if patience.cancelled_caught:
                    return
                if subscription.missed:
                    await send(json_line({"missed": True}))
