"""memfd_create(2) with seals (fcntl(2), F_ADD_SEALS): executables that no container can change."""

import errno
import fcntl
import os
from typing import Final

from orchestr8.kernel.descriptors import write_whole

_MFD_EXEC: Final = 0x10  # <linux/memfd.h>, Linux 6.3; older kernels make every memfd executable
_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_F_SEAL_FUTURE_WRITE: Final = 0x10  # <linux/fcntl.h>, Linux 5.1
_COPY_SIZE: Final = 1 << 20


def sealed(name: str, content: bytes) -> int:
    """A close-on-exec descriptor of `content`, readable and executable by all, writable by none."""
    fd = _create(name)
    try:
        write_whole(fd, content)
        _seal(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def seal_data(fd: int) -> None:
    """The same for a memfd that is written already, and is nothing to execute. No mapping of it may be shared and writable."""
    try:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        # Somebody in the kernel holds a page. Without such a mapping this forbids as much, and asks nobody.
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS & ~fcntl.F_SEAL_WRITE | _F_SEAL_FUTURE_WRITE)


def sealed_copy(name: str, path: str) -> int:
    """The same with the content of the file at `path`."""
    fd = _create(name)
    try:
        with open(path, "rb") as source:
            while os.sendfile(fd, source.fileno(), None, _COPY_SIZE):
                pass
        _seal(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _create(name: str) -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, flags | _MFD_EXEC)
    except OSError:
        return os.memfd_create(name, flags)


def _seal(fd: int) -> None:
    os.fchmod(fd, 0o555)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
