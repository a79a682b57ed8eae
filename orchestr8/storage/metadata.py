"""Owner, mode, extended attributes and times of a file, carried over to its copy. All by descriptor."""

import contextlib
import errno
import os
from typing import Final

# Not `trusted.overlay.*` and `user.overlay.*`, which describe a layer and not the file; not the labels of security
# modules, which belong to the place a file is at. POSIX ACLs are the `system.` ones.
_CARRIED: Final = ("user.", "system.posix_acl_", "security.capability")
_LEFT: Final = ("user.overlay.",)
_UNSUPPORTED: Final = {errno.ENOTSUP, errno.EPERM}  # by the target's filesystem; file capabilities by a user namespace


def copy_metadata(source_fd: int, target_fd: int, *, times: bool = True) -> None:
    """Make the file or directory behind `target_fd` look like the one behind `source_fd`, its contents aside.

    Call it when the contents are complete: writing changes the times. Descriptors must not be O_PATH.
    """
    status = os.fstat(source_fd)
    os.fchown(target_fd, status.st_uid, status.st_gid)
    os.fchmod(target_fd, status.st_mode & 0o7777)  # after the owner: chown clears the set-user-id bits
    for name in _attributes(source_fd):
        if name.startswith(_CARRIED) and not name.startswith(_LEFT):
            try:
                os.setxattr(target_fd, name, os.getxattr(source_fd, name))
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
    if times:
        os.utime(target_fd, ns=(status.st_atime_ns, status.st_mtime_ns))


def _attributes(fd: int) -> list[str]:
    with contextlib.suppress(OSError):  # a filesystem without any
        return os.listxattr(fd)
    return []
