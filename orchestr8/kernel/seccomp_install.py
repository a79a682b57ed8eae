"""seccomp(2): put a compiled filter on the calling thread. For forked children; the filter is made by `kernel.seccomp`.

Works with no_new_privs, or while CAP_SYS_ADMIN is still effective: then before `capabilities.apply`, whose own calls
the default profile allows.
"""

import ctypes
import os
from typing import Final

from orchestr8.kernel.libc import check, syscall

INSTRUCTION_SIZE: Final = 8  # sizeof(struct sock_filter)
_SECCOMP: Final = {"x86_64": 317, "aarch64": 277}[os.uname().machine]
_SET_MODE_FILTER: Final = 1


class _Program(ctypes.Structure):
    """One struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install(program: bytes) -> None:
    """Filter every system call of this thread from now on, and of its children. There is no way back."""
    argument = _Program(len(program) // INSTRUCTION_SIZE, program)
    result = syscall(_SECCOMP, ctypes.c_uint(_SET_MODE_FILTER), ctypes.c_uint(0), ctypes.byref(argument))
    check(result, "seccomp")
