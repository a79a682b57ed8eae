"""On which processor a process or thread runs for a moment (sched_setaffinity(2)); it may run on any of them before and after.

The kernel wakes a process where it was or where its waker is, and looks at others only if they share a cache with these: in
a virtual machine often none does. There a process that was just made waits for its maker's neighbour, and two wait for one
processor, while the other has nothing to do: up to 1.5 ms each time, of a start that takes 10.

Only where this process may use every processor that there is, or will be: narrower limits could not be given back as they
were, for the kernel does not tell those that somebody chose from those of a cpuset, which may grow. Elsewhere nothing is done.
"""

import contextlib
import ctypes
import os
from collections.abc import Set as AbstractSet
from typing import Any, Final

from orchestr8.kernel import descriptors

_POSSIBLE: Final = "/sys/devices/system/cpu/possible"  # "0-3", those too that may be plugged in later
# PyDLL: it returns at once, and a child that is being made must not wait for the interpreter's lock.
_here: Final[Any] = ctypes.PyDLL(None).sched_getcpu
_FEW: Final = 2  # with no more, whoever is waited for leaves one to the others: see `join`
_held = False  # who is made meanwhile inherits both, this and its place


def _all() -> frozenset[int]:
    try:
        first, _, last = descriptors.read_whole(_POSSIBLE).decode().strip().partition("-")
        return frozenset(range(int(first), int(last or first) + 1))
    except (OSError, ValueError):  # /sys is another's; numbers with gaps
        return frozenset()


_ALL: Final = _all()


def roams() -> bool:
    """Whether this process may run on every one, and there are several: elsewhere nothing is done."""
    return len(_ALL) > 1 and os.sched_getaffinity(0) == _ALL


def here() -> int:
    """The number of the one that this process runs on; -1 where nothing is done."""
    return int(_here()) if roams() else -1


def stay() -> None:
    """Have this process, and whom it makes, run where it does now, until each calls `roam`."""
    number = here()
    _hold({number} if number >= 0 else set())


def avoid(number: int) -> None:
    """The same, anywhere but there."""
    _hold(_ALL - {number} if number in _ALL and roams() else set())


def _hold(allowed: AbstractSet[int]) -> None:
    global _held
    if allowed:
        with contextlib.suppress(OSError):  # a cpuset that changes this moment allows it no more
            os.sched_setaffinity(0, allowed)
            _held = True


def expect(*, movable: bool) -> None:
    """Who made this process moves it, until it calls `roam`, if it is `movable`: whether its maker `roams` when it is made. Both
    go by that, whatever has changed since; so what somebody else chooses for it meanwhile is not kept.
    """
    global _held
    _held = movable


def move(pid: int, number: int) -> None:
    """Have a child of this process's that expects it go on there; at no cost where it sleeps, or has not run yet."""
    if number in _ALL:
        with contextlib.suppress(OSError):  # as above; or it has been killed
            os.sched_setaffinity(pid, {number})


def move_off(pid: int, number: int) -> None:
    """The same, anywhere but there."""
    if number in _ALL:
        with contextlib.suppress(OSError):  # as above
            os.sched_setaffinity(pid, _ALL - {number})


def let_roam(pid: int) -> None:
    """Take a `move` back."""
    with contextlib.suppress(OSError):  # as above
        os.sched_setaffinity(pid, _ALL)


def join(number: int) -> None:
    """Have this thread go on there, of two: whose thread asked it to do something waits for that now, and the other processor
    is left to those who do not. Where there are more there is one for each.
    """
    if number in _ALL and len(_ALL) <= _FEW and here() not in {number, -1}:
        with contextlib.suppress(OSError):  # as above
            os.sched_setaffinity(0, {number})
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, _ALL)


def roam(*, expecting: bool = False) -> None:
    """Have this process run anywhere again. `expecting`: who made it may move it after that."""
    global _held
    if _held:
        _held = expecting
        with contextlib.suppress(OSError):  # as above
            os.sched_setaffinity(0, _ALL)
