"""setrlimit(2) and prlimit(2), by ctypes: forked processes do without the `resource` module.

What each limit should be is decided by whoever calls.
"""

import ctypes
import errno
import struct
from typing import Final

from orchestr8.errors import OperationFailed
from orchestr8.kernel.libc import SyscallError, check, libc

INFINITY: Final = 2**64 - 1
# <asm-generic/resource.h>, in the order of its numbers
NAMES: Final = (
    *("CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS", "SIGPENDING"),
    *("MSGQUEUE", "NICE", "RTPRIO", "RTTIME"),
)
NUMBERS: Final = {f"RLIMIT_{name}": number for number, name in enumerate(NAMES)}
_NOFILE: Final = NUMBERS["RLIMIT_NOFILE"]
_PAIR: Final = struct.Struct("=QQ")

Limit = tuple[int, int]  # soft, hard


def get(number: int) -> Limit:
    """Of this process."""
    found = ctypes.create_string_buffer(_PAIR.size)
    check(libc.prlimit(0, number, None, found), "prlimit")
    soft, hard = _PAIR.unpack(found.raw)
    return soft, hard


def put(number: int, limit: Limit, pid: int = 0) -> None:
    """Of this process, or of another one; it keeps what it has already."""
    check(libc.prlimit(pid, number, _PAIR.pack(*limit), None), "prlimit", NAMES[number])


def raise_descriptors() -> Limit:
    """As many as this process may give itself; the limit before, for those who are not to inherit this one."""
    soft, hard = get(_NOFILE)
    put(_NOFILE, (hard, hard))
    return soft, hard


def limit_descriptors(pid: int, limit: Limit) -> None:
    """Of another process, unless it has ended; it keeps what it has open."""
    try:
        put(_NOFILE, limit, pid)
    except SyscallError as error:
        if error.errno != errno.ESRCH:
            raise


def make_room(limits: dict[str, Limit]) -> None:
    """While this process may: raise each hard limit that is lower than it is to be. Lowering comes last, by `settle`."""
    for name, (_, wanted) in limits.items():
        soft, hard = get(NUMBERS[name])
        if wanted > hard:
            try:
                put(NUMBERS[name], (soft, wanted))
            except SyscallError as error:
                what = name.removeprefix("RLIMIT_").lower()
                value = "unlimited" if wanted == INFINITY else wanted
                raise OperationFailed(
                    f"cannot raise ulimits.{what} to {value}: {error.strerror}; the engine's own limit is {hard}",
                    code="O8-411",
                ) from error


def settle(limits: dict[str, Limit]) -> None:
    """Set them as they are to be: right before the program, which alone has to get along with them."""
    for name, limit in limits.items():
        put(NUMBERS[name], limit)
