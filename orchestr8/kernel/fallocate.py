"""fallocate(2): room on the disk that is a file's before it is written. How much is worth having is decided above."""

import ctypes

from orchestr8.kernel.libc import check, libc

_KEEP_SIZE = 0x1  # <linux/falloc.h>


def reserve(fd: int, offset: int, count: int) -> None:
    """Nobody else can have these bytes of the disk any more. The file does not grow, and reads as before."""
    check(libc.fallocate(ctypes.c_int(fd), _KEEP_SIZE, ctypes.c_long(offset), ctypes.c_long(count)), "fallocate")
