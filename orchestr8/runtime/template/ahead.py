"""Pages that a kind of process is known to write, copied by each before it writes them: which, those before it have found.

A copy made ahead, of many pages in a row, costs a third of one that a write to a page has to wait for.
"""

import ctypes
import mmap
import struct
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from orchestr8.kernel.code import PAGE

_PROCESS_MADVISE: Final = 440  # on every machine; such advice to oneself since Linux 6.13
_SELF: Final = -10000  # PIDFD_SELF_THREAD, <linux/pidfd.h>; here since Linux 6.15
_MADV_POPULATE_WRITE: Final = 23  # since Linux 5.14
_COUNT: Final = struct.Struct("=Q")
_RUN: Final = struct.Struct("=QQ")  # struct iovec, <sys/uio.h>
_LIST_SIZE: Final = 2 * mmap.PAGESIZE
_MOST_RUNS: Final = min((_LIST_SIZE - _COUNT.size) // _RUN.size, 1024)  # IOV_MAX

# PyDLL and prototypes: little of the interpreter's is written by a call that copies what it writes.
_library: Final[Any] = ctypes.PyDLL(None, use_errno=True)
_madvise: Final[Any] = _library.madvise
_madvise.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int)
_syscall: Final[Any] = _library.syscall
_syscall.restype = ctypes.c_ssize_t
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_uint)
_TOGETHER: Final = _syscall(_PROCESS_MADVISE, _SELF, 0, 0, _MADV_POPULATE_WRITE, 0) == 0  # of nothing


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
        """Some more, for all that come. When two processes say so at once something may be lost, and is copied later."""
        known = (_RUN.unpack_from(self.memory, _COUNT.size + number * _RUN.size) for number in range(self.known))
        pages = sorted({page for start, size in (*known, *runs) for page in range(start, start + size, PAGE)})
        merged: list[Run] = []
        for page in pages:
            if merged and sum(merged[-1]) == page:
                merged[-1] = Run(merged[-1].start, merged[-1].size + PAGE)
            else:
                merged.append(Run(page, PAGE))
        del merged[_MOST_RUNS:]
        table = b"".join(_RUN.pack(*run) for run in merged)
        self.memory[_COUNT.size : _COUNT.size + len(table)] = table
        _COUNT.pack_into(self.memory, 0, len(merged))

    def copy(self) -> None:
        """Make them private copies of this process, as far as that can be: what is left is copied when it is written."""
        known = self.known
        if _TOGETHER:
            _syscall(_PROCESS_MADVISE, _SELF, self._runs, known, _MADV_POPULATE_WRITE, 0)
            return
        for number in range(known):
            start, size = _RUN.unpack_from(self.memory, _COUNT.size + number * _RUN.size)
            if _madvise(start, size, _MADV_POPULATE_WRITE):
                return


def populate(run: Run) -> bool:
    """Whether these pages are private copies of this process now: not on an older kernel, nor where memory is short."""
    return int(_madvise(*run, _MADV_POPULATE_WRITE)) == 0
