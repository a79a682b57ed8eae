"""Loop devices: a file as a block device, through /dev/loop-control. Numbers and layouts: <linux/loop.h>."""

import errno
import fcntl
import glob
import os
import struct
from typing import Final

from orchestr8.kernel.libc import SyscallError

_CTL_GET_FREE: Final = 0x4C82
_CONFIGURE: Final = 0x4C0A  # since Linux 5.8
_GET_STATUS: Final = 0x4C05  # LOOP_GET_STATUS64
_READ_ONLY: Final = 1  # LO_FLAGS_READ_ONLY
_AUTOCLEAR: Final = 4  # LO_FLAGS_AUTOCLEAR: free again when nobody has it open or mounted
_CONFIG: Final = struct.Struct("=II 5Q 4I 64s 64s 32s 2Q 8Q")  # struct loop_config with its loop_info64
_STATUS: Final = struct.Struct("=5Q 4I 64s 64s 32s 2Q")  # struct loop_info64
_NO_FILE: Final = {errno.ENXIO, errno.ENOENT}  # it has just let go of it, or is gone itself
_TRIES: Final = 64  # somebody else may take the free one first


def attach(file_fd: int) -> tuple[int, str]:
    """A descriptor and the path of a loop device that shows the file behind `file_fd`.

    It is gone when the descriptor is closed, unless it is mounted by then: then with its last mount. One that shows the
    file already is taken again: the kernel keeps file systems apart by their devices, and two that write to one file
    destroy it. Somebody's mount namespace may hold the first for longer than its mount is there to be seen.
    """
    shown = _showing(os.fstat(file_fd))
    if shown is not None:
        return shown
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_TRIES):
            path = f"/dev/loop{fcntl.ioctl(control, _CTL_GET_FREE)}"
            device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            config = _CONFIG.pack(file_fd, 0, *[0] * 5, 0, 0, 0, _AUTOCLEAR, b"", b"", b"", 0, 0, *[0] * 8)
            try:
                fcntl.ioctl(device, _CONFIGURE, config)
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:
                    raise
            else:
                return device, path
    finally:
        os.close(control)
    raise SyscallError(errno.EBUSY, "ioctl", "LOOP_CONFIGURE")


def _showing(file: os.stat_result) -> tuple[int, str] | None:
    """The device that shows the whole of this file, for writing, opened: so it stays."""
    for folder in glob.glob("/sys/block/loop*/loop"):  # only where one has a file
        path = f"/dev/{folder.split('/')[3]}"
        try:
            device = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # kernels may refuse to write to what is mounted
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
            continue
        if _shows(device, file):
            return device, path
        os.close(device)
    return None


def _shows(device: int, file: os.stat_result) -> bool:
    try:
        status = fcntl.ioctl(device, _GET_STATUS, bytes(_STATUS.size))
    except OSError as error:
        if error.errno not in _NO_FILE:
            os.close(device)
            raise
        return False
    number, inode, _, offset, limit, _, _, _, flags, *_ = _STATUS.unpack(status)
    return (number, inode, offset, limit) == (file.st_dev, file.st_ino, 0, 0) and not flags & _READ_ONLY
