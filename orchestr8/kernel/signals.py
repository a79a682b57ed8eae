"""What Python's `signal` lacks: rt_sigaction(2) for the two signals that the C library keeps to itself (nptl(7)), and signalfd(2).

Whoever started the engine may have ignored those two, and what is ignored stays so over fork and execve.
"""

import ctypes
import os
from typing import Final

from orchestr8.kernel.libc import check, libc, syscall

RESERVED: Final = (32, 33)
_RT_SIGACTION: Final = {"x86_64": 13, "aarch64": 134}[os.uname().machine]
_DEFAULT: Final = bytes(32)  # struct kernel_sigaction: handler SIG_DFL, no flags, an empty mask
_SET_SIZE: Final = 8
_LIBC_SET_SIZE: Final = 128  # sigset_t


def reset_reserved() -> None:
    """Give both their default action again."""
    for number in RESERVED:
        result = syscall(_RT_SIGACTION, ctypes.c_int(number), _DEFAULT, None, ctypes.c_size_t(_SET_SIZE))
        check(result, "rt_sigaction", number)


def signalfd(number: int) -> int:
    """A descriptor that can be read once this signal is pending, which takes it. The signal must be blocked.

    It is close-on-exec and does not block.
    """
    wanted = (1 << (number - 1)).to_bytes(_LIBC_SET_SIZE, "little")
    return check(libc.signalfd(-1, wanted, os.O_CLOEXEC | os.O_NONBLOCK), "signalfd", number)
