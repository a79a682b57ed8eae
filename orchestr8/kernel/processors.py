"""On which processor a process runs for a moment (sched_setaffinity(2)); it may run on any of them before and after.

The kernel wakes a process where it was or where its waker is, and looks at others only if they share a cache with these: in
a virtual machine often none does. There a process that was just made waits for its maker's neighbour, and two wait for one
processor, while the other has nothing to do: up to 1.5 ms each time, of a start that takes 10.

Only where this process may use every processor that there is, or will be: narrower limits could not be given back as they
were, for the kernel does not tell those that somebody chose from those of a cpuset, which may grow. Elsewhere nothing is done.
"""

import contextlib
import ctypes
import os
from typing import Any, Final

from orchestr8.kernel import descriptors

_POSSIBLE: Final = "/sys/devices/system/cpu/possible"  # "0-3", those too that may be plugged in later
# PyDLL: it returns at once, and a child that is being made must not wait for the interpreter's lock.
_here: Final[Any] = ctypes.PyDLL(None).sched_getcpu
_held = False  # who is made meanwhile inherits both, this and its place


def _all() -> frozenset[int]:
    try:
        first, _, last = descriptors.read_whole(_POSSIBLE).decode().strip().partition("-")
        return frozenset(range(int(first), int(last or first) + 1))
    except (OSError, ValueError):  # /sys is another's; numbers with gaps
        return frozenset()


_ALL: Final = _all()


def stay() -> None:
    """Have this process, and whom it makes, run where it does now, until each calls `roam`."""
    global _held
    here = _here()
    if here >= 0 and len(_ALL) > 1 and os.sched_getaffinity(0) == _ALL:
        with contextlib.suppress(OSError):  # a cpuset that changes this moment allows it no more
            os.sched_setaffinity(0, {here})
            _held = True


def roam() -> None:
    """Have this process run anywhere again."""
    global _held
    if _held:
        _held = False
        with contextlib.suppress(OSError):  # as above
            os.sched_setaffinity(0, _ALL)
