"""Machine code of ours, in a page of its own that can be executed and no longer written to.

For the few things that a running interpreter cannot have done to it by itself. What the code is stands with its user.
"""

import ctypes
import os
from typing import Any, Final

from orchestr8.kernel.libc import check, libc

PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_PROT_READ, _PROT_WRITE, _PROT_EXEC = 1, 2, 4  # values: <linux/mman.h>
_MAP_PRIVATE, _MAP_ANONYMOUS = 2, 0x20

# PyDLL: who calls may not be able to let go of the interpreter's lock. A prototype: plain numbers are then converted as they are.
_library: Final[Any] = ctypes.PyDLL(None, use_errno=True)
_mmap: Final[Any] = _library.mmap
_mmap.restype = ctypes.c_ssize_t
_mmap.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)


def load(code: bytes) -> int:
    """The address of a copy of `code`, a page at most. Raises SyscallError where the kernel forbids such memory."""
    place: int = _mmap(0, PAGE, _PROT_READ | _PROT_WRITE, _MAP_PRIVATE | _MAP_ANONYMOUS, -1, 0)
    check(place, "mmap", "a page for code")
    try:
        ctypes.memmove(place, code, len(code))
        check(libc.mprotect(ctypes.c_size_t(place), PAGE, _PROT_READ | _PROT_EXEC), "mprotect", "a page of code")
    except BaseException:
        unload(place)
        raise
    return place


def unload(place: int) -> None:
    libc.munmap(ctypes.c_size_t(place), PAGE)
