"""A container that stands still: paused by its user, or for a moment, for who needs its files at rest.

The two do not undo each other: what is held for a moment goes on after it unless the user has paused it meanwhile, and what
the user lets go on waits until nobody holds it. A mark in the bundle tells the next engine of a moment that this one did
not live to end. How processes are frozen is `kernel.cgroup`'s to know.
"""

import contextlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import anyio

from orchestr8.backends.native.runs import Owner
from orchestr8.errors import Conflict, NotFound
from orchestr8.kernel.cgroup import CgroupTree
from orchestr8.model.events import EventKind

_STILL: Final = "still"  # in the bundle: this engine has paused it for a moment


class Stillness:
    """One container's. `alone` is the owner's lock."""

    def __init__(
        self,
        cgroups: CgroupTree,
        owner: Owner,
        *,
        alone: Callable[[], AbstractAsyncContextManager[None]],
        emit: Callable[[EventKind], None],
    ) -> None:
        self._cgroups = cgroups
        self._owner = owner
        self._alone = alone
        self._emit = emit
        self.paused = False
        self._holders = 0  # of those that need it to stand still for a moment
        self._rests = False  # by the user's wish, whoever else needs it to
        self._marking = anyio.Lock()

    async def pause(self) -> None:
        await self._freeze(by_user=True)
        await self._mark()

    async def unpause(self) -> None:
        """Who needs it to stand still just now lets it go on when that is over."""
        self._rests = False
        if self._holders:
            await self._mark()
        await self._go_on_unless_held()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Paused for as long as anybody is in here, if it runs; after that unless the user has paused it."""
        if not self._owner.running:
            yield
            return
        self._holders += 1
        try:
            await self._mark()
            with contextlib.suppress(Conflict):  # it has ended meanwhile
                await self._freeze()
            yield
        finally:
            self._holders -= 1
            if not self._holders:
                with anyio.CancelScope(shield=True):
                    with contextlib.suppress(NotFound):  # it was removed meanwhile
                        await self._go_on_unless_held()
                    await self._mark()

    async def go_on(self) -> None:
        """Whoever holds it: it is to end, or nobody has a reason left."""
        self._rests = False
        if self.paused:
            await anyio.to_thread.run_sync(self._cgroups.thaw, self._owner.record.id)
            if self.paused:  # else it has ended meanwhile
                self.paused = False
                self._emit(EventKind.UNPAUSE)

    def run_ended(self) -> None:
        self.paused = self._rests = False

    async def adopt(self) -> None:
        """As the kernel has it. What a former engine stopped for a moment goes on; what its user paused does not."""
        run = self._owner.run
        frozen = await anyio.to_thread.run_sync(self._cgroups.is_frozen, self._owner.record.id)
        if self._owner.run is run:  # else that run has ended meanwhile
            self.paused = frozen
            if await anyio.to_thread.run_sync(_untouch, f"{self._owner.bundle}/{_STILL}"):
                await self.go_on()
            else:
                self._rests = frozen

    async def _freeze(self, *, by_user: bool = False) -> None:
        name = self._owner.record.name
        async with self._alone():
            if not self._owner.running:
                raise Conflict(f"{name} is not running")
            if not self.paused:
                await anyio.to_thread.run_sync(self._cgroups.freeze, self._owner.record.id)
                if not self._owner.running:
                    raise Conflict(f"{name} ended while it was being paused")
                self.paused = True
                self._emit(EventKind.PAUSE)
            self._rests |= by_user

    async def _go_on_unless_held(self) -> None:
        async with self._alone():
            if not self._holders and not self._rests:
                await self.go_on()

    async def _mark(self) -> None:
        """Have the next engine let it go on if this one dies while it stands still, but not on the user's account."""
        async with self._marking:
            change = _touch if self._holders and not self._rests else _untouch
            await anyio.to_thread.run_sync(change, f"{self._owner.bundle}/{_STILL}")


def _touch(path: str) -> bool:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    return True


def _untouch(path: str) -> bool:
    """Whether it was there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True
