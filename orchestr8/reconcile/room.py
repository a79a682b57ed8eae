"""What the reconciler keeps in mind about one stack: whose turn it is, who waits, which restarts are due."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import anyio

from orchestr8.errors import Conflict, Orchestr8Error
from orchestr8.model.actions import WaitFor
from orchestr8.model.ids import ContainerName, StackName
from orchestr8.model.observed import Snapshot
from orchestr8.model.specs import ContainerSpec
from orchestr8.reconcile.execute import Execution

PATIENCE_S: Final = 1.0  # of a command that waits for its turn, before it says so
TAKEN: Final = "interrupted: another command for {} took its place"


class Caller:
    """Who gave a command, as far as those behind it in the line must know.

    `replaces`: all that an earlier command to bring the stack up may have left is part of this one. `replaceable`: it
    is such an earlier one. Nobody waits any more for what a caller that left has asked for.
    """

    def __init__(self, verb: str = "", *, replaces: bool = False, replaceable: bool = False) -> None:
        self.verb = verb
        self.replaces = replaces
        self.replaceable = replaceable
        self.left = False
        self.on_leaving: Callable[[], None] = _nothing

    def leave(self) -> None:
        self.left = True
        self.on_leaving()


def _nothing() -> None:
    pass


class Turn:
    """One command's place in the line."""

    def __init__(self, *, yields: bool, caller: Caller | None = None) -> None:
        self.yields = yields
        self.caller = caller or Caller()
        self.ready = anyio.Event()
        self._ceased = ""
        self._execution: Execution | None = None

    @property
    def waits(self) -> list[WaitFor]:
        """What it is waiting for, once it is its turn."""
        return self._execution.waits if self._execution is not None else []

    def cease(self, reason: str) -> None:
        self._ceased = reason
        self.ready.set()
        if self._execution is not None:
            self._execution.cease(reason)

    def attach(self, execution: Execution) -> None:
        self._execution = execution
        self.check()

    def check(self) -> None:
        if self._ceased:
            raise Conflict(self._ceased)


class Waiter:
    """Receives snapshots that were begun after it came."""

    def __init__(self, since: int) -> None:
        self.since = since
        self._news = anyio.Event()
        self._snapshot: Snapshot | Orchestr8Error | None = None

    def put(self, news: Snapshot | Orchestr8Error) -> None:
        self._snapshot = news
        self._news.set()

    async def next(self) -> Snapshot:
        """The newest snapshot not seen yet."""
        await self._news.wait()
        self._news = anyio.Event()
        if isinstance(self._snapshot, Orchestr8Error):
            raise self._snapshot
        assert self._snapshot is not None
        return self._snapshot


class Room:
    def __init__(self, stack: StackName) -> None:
        self.stack = stack
        self.execution: Execution | None = None
        self.specs: dict[ContainerName, ContainerSpec] = {}
        self.pending: dict[ContainerName, anyio.CancelScope] = {}  # restarts whose delay runs
        self.starting: dict[ContainerName, anyio.Event] = {}  # restarts that are being done
        self.delays: dict[ContainerName, float] = {}  # before the last restart by policy
        self.failed: set[ContainerName] = set()  # whose restart could not be done: left alone until it starts otherwise
        self.waiters: set[Waiter] = set()
        self.dirty = False
        self.looking = False
        self.looks = 0
        self._line: deque[Turn] = deque()
        self._plans_in_the_making = 0

    # --- turns ------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def turn(self, turn: Turn, tell: Callable[[Turn], None]) -> AsyncIterator[None]:
        """Wait until all who came before have gone. `tell`: of whose turn it is, when that takes long."""
        self._line.append(turn)
        turn.caller.on_leaving = self._make_way
        try:
            self._make_way()
            if self._line[0] is not turn:
                with anyio.move_on_after(PATIENCE_S):
                    await turn.ready.wait()
                if not turn.ready.is_set():
                    tell(self._line[0])
                    await turn.ready.wait()
            turn.check()
            yield
        finally:
            self._line.remove(turn)
            if self._line:
                self._line[0].ready.set()

    def cease_all(self, reason: str) -> None:
        for turn in self._line:
            if turn.yields:
                turn.cease(reason)

    def _make_way(self) -> None:
        """End what nobody waits for and a later command will do anyhow: it may wait for what never comes."""
        for place, turn in enumerate(self._line):
            left = turn.caller.replaceable and turn.caller.left
            if left and any(each.caller.replaces and not each.caller.left for each in list(self._line)[place + 1 :]):
                turn.cease(TAKEN.format(self.stack))

    @contextmanager
    def planning(self) -> Iterator[None]:
        """Between the snapshot and the plan no restart policy may act: the plan would not know."""
        self._plans_in_the_making += 1
        try:
            yield
        finally:
            self._plans_in_the_making -= 1

    def busy_with(self, name: ContainerName) -> bool:
        """Is a plan, or a restart by policy, about to do something to it?"""
        claimed = self.execution is not None and self.execution.claims(name)
        return self._plans_in_the_making > 0 or claimed or name in self.starting

    # --- restarts by policy -----------------------------------------------------------------------------------

    @contextmanager
    def policy_start(self, name: ContainerName) -> Iterator[None]:
        done = self.starting[name] = anyio.Event()
        try:
            yield
        finally:
            del self.starting[name]
            done.set()

    async def policy_starts_done(self) -> None:
        for done in list(self.starting.values()):
            await done.wait()

    def drop_pending(self, name: ContainerName) -> None:
        scope = self.pending.pop(name, None)
        if scope is not None:
            scope.cancel()

    def forget(self, name: ContainerName) -> None:
        self.drop_pending(name)
        self.delays.pop(name, None)
        self.failed.discard(name)

    # --- waiters ----------------------------------------------------------------------------------------------

    @contextmanager
    def waiter(self) -> Iterator[Waiter]:
        waiter = Waiter(self.looks)
        self.waiters.add(waiter)
        try:
            yield waiter
        finally:
            self.waiters.discard(waiter)

    def show(self, snapshot: Snapshot, number: int) -> None:
        for waiter in self.waiters:
            if number > waiter.since:
                waiter.put(snapshot)

    def fail_waiters(self, error: Orchestr8Error) -> None:
        for waiter in self.waiters:
            waiter.put(error)
