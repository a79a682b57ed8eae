"""Pages that a kind of process is known to write, copied by each before it writes them: which, the first of the kind says.

A copy made ahead, of many pages in a row, costs a third of one that a write to a page has to wait for.
"""

import ctypes
import mmap
import struct
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

_PROCESS_MADVISE: Final = 440  # on every machine; such advice to oneself since Linux 6.13
_SELF: Final = -10000  # PIDFD_SELF_THREAD, <linux/pidfd.h>; here since Linux 6.15
_MADV_POPULATE_WRITE: Final = 23  # since Linux 5.14
_COUNT: Final = struct.Struct("=Q")
_RUN: Final = struct.Struct("=QQ")  # struct iovec, <sys/uio.h>
_LIST_SIZE: Final = 2 * mmap.PAGESIZE
_MOST_RUNS: Final = (_LIST_SIZE - _COUNT.size) // _RUN.size  # below IOV_MAX

# PyDLL and prototypes: nothing of the interpreter's is written for a call that copies what it writes.
_library: Final[Any] = ctypes.PyDLL(None, use_errno=True)
_madvise: Final[Any] = _library.madvise
_madvise.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int)
_syscall: Final[Any] = _library.syscall
_syscall.restype = ctypes.c_ssize_t
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_uint)


class Run(NamedTuple):
    """Pages in a row."""

    start: int
    size: int


class Ahead:
    """One for each kind of process, in memory that it shares: how many runs there are, and they."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, _LIST_SIZE)
        self._runs = ctypes.addressof(ctypes.c_char.from_buffer(self.memory)) + _COUNT.size

    @property
    def known(self) -> int:
        (count,) = _COUNT.unpack_from(self.memory)
        return min(int(count), _MOST_RUNS)

    def learn(self, runs: Iterable[Run]) -> None:
        """For all that come."""
        number = 0
        for number, run in zip(range(1, _MOST_RUNS + 1), runs, strict=False):
            _RUN.pack_into(self.memory, _COUNT.size + (number - 1) * _RUN.size, *run)
        _COUNT.pack_into(self.memory, 0, number)

    def copy(self) -> None:
        """Make them private copies of this process, as far as that can be: what is left is copied when it is written."""
        known = self.known
        if known and _syscall(_PROCESS_MADVISE, _SELF, self._runs, known, _MADV_POPULATE_WRITE, 0) < 0:
            self._copy_each()

    def _copy_each(self) -> None:
        for number in range(self.known):
            start, size = _RUN.unpack_from(self.memory, _COUNT.size + number * _RUN.size)
            if not populate(Run(start, size)):
                return


def populate(run: Run) -> bool:
    """Whether these pages are private copies of this process now: not on an older kernel, nor where memory is short."""
    return int(_madvise(*run, _MADV_POPULATE_WRITE)) == 0
