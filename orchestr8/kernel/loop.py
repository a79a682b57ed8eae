"""Loop devices: a file as a block device, through /dev/loop-control. Numbers and layouts: <linux/loop.h>."""

import errno
import fcntl
import os
import struct
from typing import Final

from orchestr8.kernel.libc import SyscallError

_CTL_GET_FREE: Final = 0x4C82
_CONFIGURE: Final = 0x4C0A  # since Linux 5.8
_AUTOCLEAR: Final = 4  # LO_FLAGS_AUTOCLEAR: free again when nobody has it open or mounted
_CONFIG: Final = struct.Struct("=II 5Q 4I 64s 64s 32s 2Q 8Q")  # struct loop_config with its loop_info64
_TRIES: Final = 64  # somebody else may take the free one first


def attach(file_fd: int) -> tuple[int, str]:
    """A descriptor and the path of a loop device that shows the file behind `file_fd`.

    It is gone when the descriptor is closed, unless it is mounted by then: then with its last mount.
    """
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
