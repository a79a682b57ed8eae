"""syncfs(2): what is written is on the disk."""

import ctypes

from orchestr8.kernel.libc import check, libc


def syncfs(fd: int) -> None:
    """Everything of the file system that `fd` is in."""
    check(libc.syncfs(ctypes.c_int(fd)), "syncfs")
