"""What PID 1 has of another container whose namespaces it shares: for its mounts, and for where its processes are born.

The other container is hostile. What is taken out of its mount namespace is found without following a link, and is what it
is taken for; and in its pid namespace nobody is born who still sees the host or has a right that containers lack: a
program with CAP_SYS_PTRACE could go through them. So a container's set-up stays outside, with a view of the processes
that it will be among, and is succeeded by a process in there once it is confined.
"""

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from orchestr8.errors import OperationFailed
from orchestr8.kernel import mount
from orchestr8.kernel.libc import SyscallError
from orchestr8.kernel.mount import MountAttr
from orchestr8.kernel.namespaces import CloneFlag, setns
from orchestr8.kernel.openat2 import Resolve, open_in_root


class Shared(NamedTuple):
    """Detached mounts of what others have; -1: none is shared, or there is none."""

    memory: int = -1  # their /dev/shm
    processes: int = -1  # a procfs of their pid namespace


NOTHING: Final = Shared()
_PROC_MAGIC: Final = 0x9FA0  # PROC_SUPER_MAGIC, <linux/magic.h>


def join(joined: Mapping[str, int]) -> Shared:
    """Enter the namespaces of `joined` (messages.Start): that of processes for children only."""
    memory = processes = -1
    if "ipc" in joined:
        setns(joined["ipc"], CloneFlag.NEWIPC)
        memory = _open_shared_memory(joined["ipc"])
    if "pid" in joined:
        setns(joined["pid"], CloneFlag.NEWPID)
        processes = open_processes(joined["pid"])
    return Shared(memory, processes)


def open_processes(pidfd: int, *, by_option: bool = True) -> int:
    """A procfs of the pid namespace that the process behind `pidfd` is in: a detached mount without attributes.

    Before Linux 6.18 (fs/proc/root.c, "pidns=") only a process in there can make one; then it is a copy of theirs.
    """
    namespace = _open_pid_namespace(pidfd)
    try:
        return processes_of(namespace, pidfd, by_option=by_option)
    finally:
        os.close(namespace)


def processes_of(namespace: int, pidfd: int, *, by_option: bool = True) -> int:
    """The same of a pid namespace that is open, in which that process is."""
    if by_option:
        with contextlib.suppress(SyscallError):
            return mount.new_filesystem("proc", [("pidns", f"/proc/self/fd/{namespace}")], source="proc")
    tree = _copy_processes(pidfd)
    try:
        # A file system of the other container's making could name any namespace by a link.
        theirs = os.readlink(f"/proc/self/fd/{namespace}")
        if mount.filesystem_type(tree) != _PROC_MAGIC or os.readlink("1/ns/pid", dir_fd=tree) != theirs:
            raise OperationFailed("the /proc of whose processes it shares is not theirs", code="O8-622")
        mount.set_attributes(tree, off=MountAttr.RDONLY)
    except BaseException:
        os.close(tree)
        raise
    return tree


def _open_pid_namespace(pidfd: int) -> int:
    with open(f"/proc/self/fdinfo/{pidfd}", "rb") as info:
        pid = next(int(line.split()[1]) for line in info if line.startswith(b"Pid:"))
    namespace = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    signal.pidfd_send_signal(pidfd, 0)  # it lives, so the number was its own
    return namespace


def _copy_processes(pidfd: int) -> int:
    try:
        return _copy_mount(pidfd, "/proc")
    except SyscallError as error:  # e.g. something is mounted over it that its user namespace has locked
        raise OperationFailed(
            f"this kernel cannot show the processes that it shares: {error.strerror}", code="O8-622",
            helps=["Linux 6.18 can"],
        ) from error  # fmt: skip


def _open_shared_memory(pidfd: int) -> int:
    """A detached copy of the mount on /dev/shm of the process behind `pidfd`; -1 when nothing stands there."""
    try:
        return _copy_mount(pidfd, "/dev/shm")
    except FileNotFoundError:
        return -1


def _copy_mount(pidfd: int, path: str) -> int:
    """Made where the mount is, as the kernel wants it. The path is another container's: no link in it is followed."""
    with _in_mount_namespace(pidfd), contextlib.ExitStack() as opened:
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        opened.callback(os.close, root)
        here = open_in_root(root, path, os.O_PATH | os.O_DIRECTORY, resolve=Resolve.NO_SYMLINKS)
        opened.callback(os.close, here)
        return mount.open_tree("", dir_fd=here)


@contextlib.contextmanager
def _in_mount_namespace(pidfd: int) -> Iterator[None]:
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(pidfd, CloneFlag.NEWNS)
        try:
            yield
        finally:
            setns(own, CloneFlag.NEWNS)
    finally:
        os.close(own)
