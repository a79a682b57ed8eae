"""A container's file system, built from inside its fresh mount namespace: overlay, mounts in order, devices, pivot.

Works on an OCI document (`mounts`, `linux.maskedPaths`, `linux.readonlyPaths`, `root`). Every target is resolved
once, by openat2 inside the new root, and mounted on by descriptor; /proc, /sys and /dev admit no symlink at all.
Lessons behind each check: CVE-2021-30465 (targets swapped between check and mount), CVE-2023-27561 (a symlinked
/proc), CVE-2025-31133 (masking with the container's own /dev/null).
"""

import contextlib
import fcntl
import json
import os
import stat
import struct
from collections.abc import Callable
from typing import Any, Final

from orchestr8.errors import OperationFailed
from orchestr8.kernel import mount as mounts
from orchestr8.kernel.libc import SyscallError
from orchestr8.kernel.mount import MountAttr, MountFlag
from orchestr8.kernel.openat2 import Resolve, is_directory, make_in_root, open_in_root
from orchestr8.model.sysctl import sysctl_path
from orchestr8.runtime.sharing import NOTHING, Shared
from orchestr8.runtime.sources import ATTRIBUTES, OPPOSITES, close_sources, open_sources
from orchestr8.runtime.terminal import open_slave
from orchestr8.runtime.userns import HOST, Ids, mapped_overlay

OVERLAY: Final = "org.orchestr8.overlay"  # annotation: the options of the overlay mount that is the root
CGROUP_MOUNTS: Final = "org.orchestr8.cgroup-mounts"  # annotation: [[directory, fstype, option], …]
NUMBERED: Final = (
    "org.orchestr8.numbered"  # annotation: JSON, destinations of binds whose files have the host's numbers
)
JOINED_SHM: Final = "joined-shm"  # type of a mount: the shared memory of who shares its IPC namespace

_NO_EFFECT: Final = {"bind", "rbind", "private", "rprivate", "defaults"}
_KERNEL_OWNED: Final = {"/proc", "/sys", "/dev"}  # their targets are real directories, never symlinks
_DEVICES: Final = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_LINKS: Final = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "core": "/proc/kcore",
    "ptmx": "pts/ptmx",
}
_NULL_DEVICE: Final = os.makedev(1, 3)
_PTMX_DEVICE: Final = os.makedev(5, 2)
_TIOCSPTLCK: Final = 0x40045431


class Rootfs:
    """The steps in order: `mount_all`, `open_terminal` when there is one, `protect`, `pivot`."""

    def __init__(self, bundle: str, config: dict[str, Any], shared: Shared = NOTHING, ids: Ids = HOST) -> None:
        """`shared`: mounts to use where the document says JOINED_SHM, and for its /proc."""
        self._config = config
        self._ids = ids
        self._shared = shared
        self._annotations = config.get("annotations", {})
        self._numbered = json.loads(self._annotations.get(NUMBERED, "[]"))
        self._path = os.path.join(bundle, config["root"]["path"])
        self._root_fd = -1
        self._proc_device = -1
        self._dev_fd = -1
        self._null_fd = -1  # opened before anything can be mounted on it
        self._pts_fd = -1

    @property
    def root_fd(self) -> int:
        """What is mounted so far; -1 before that."""
        return self._root_fd

    def mount_all(self, join_network: Callable[[], None]) -> None:
        """Cut the namespace off from the host's propagation, mount the root and everything that the document lists.

        `join_network` waits for a network namespace and enters it: called once, as late as can be, before the first mount
        that shows it. What the host has to be asked for (sources of binds) is open by then.
        """
        entries = self._config.get("mounts", ())
        sources = open_sources(entries, self._annotations)
        try:
            mounts.set_propagation("/", MountFlag.REC | MountFlag.PRIVATE)
            self._ids.make_files()
            self._mount_root()
            joined = False
            for entry in entries:
                if entry.get("type") == "sysfs" and not joined:
                    join_network()
                    joined = True
                self._mount(entry, sources.pop(0))
            if not joined:
                join_network()
        finally:
            close_sources(sources)
        self._make_given_devices()

    def _mount_root(self) -> None:
        overlay = self._annotations.get(OVERLAY)
        if overlay is None:
            tree = mounts.open_tree(self._path, recursive=True)
            self._show_root_ids(tree)
        else:
            if self._ids.fd >= 0:
                overlay = mapped_overlay(overlay, self._path, self._ids)
            mounts.mount("overlay", self._path, "overlay", overlay)
            self._root_fd = os.open(self._path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            return
        try:
            here = os.open(self._path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            mounts.move_mount(tree, here)
            os.close(here)
            self._root_fd = os.open(self._path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        finally:
            os.close(tree)

    def _mount(self, entry: dict[str, Any], source: int = -1) -> None:
        """`source`: the detached mount that a bind's source has been opened as; it is closed."""
        destination = "/" + os.path.normpath(entry["destination"]).lstrip("/")  # POSIX lets normpath keep "//proc"
        attributes, data = split_options(entry.get("options", ()))
        kind = entry.get("type", "bind")
        if kind == "cgroup":
            self._mount_cgroups(destination, attributes)
            return
        if kind == JOINED_SHM:
            if self._shared.memory < 0:
                return  # its owner has none (ipc: none)
            tree = self._shared.memory
        elif kind == "proc" and self._shared.processes >= 0:
            tree = self._shared.processes
            mounts.set_attributes(tree, on=attributes)
        elif kind == "bind":
            tree = source
            self._show_ids(tree, entry)
        else:
            name = entry.get("source") or kind
            tree = mounts.new_filesystem(kind, self._ids.options(kind, data), attributes, source=name)
            if kind == "devpts" and self._ids.fd >= 0:
                os.chown(".", self._ids.uid(0), self._ids.gid(0), dir_fd=tree)
        try:
            self._attach(tree, destination, directory=is_directory(tree))
        finally:
            self._keep(kind, destination, tree)
        if self._dev_fd >= 0 and self._null_fd < 0:
            self._make_devices()

    def _show_root_ids(self, tree: int) -> None:
        """Give a root that is no overlay the container's ids, as its files have them on disk."""
        self._ids.show(tree, self._path, recursive=True)

    def _show_ids(self, tree: int, entry: dict[str, Any]) -> None:
        """The same for what is bound."""
        if entry["destination"] not in self._numbered:
            self._ids.show(tree, entry["source"], recursive="bind" not in entry.get("options", ()))

    def _keep(self, kind: str, destination: str, tree: int) -> None:
        """Hold on to the mounts that later steps write into; close the others."""
        if kind == "proc":
            self._proc_device = os.fstat(tree).st_dev
        if destination == "/dev" and self._dev_fd < 0 and kind == "tmpfs":
            self._dev_fd = tree
        elif destination == "/dev/pts" and kind == "devpts":
            self._pts_fd = tree
        else:
            os.close(tree)

    def _attach(self, tree: int, destination: str, *, directory: bool) -> None:
        target = self._open_target(destination, directory=directory)
        try:
            mounts.move_mount(tree, target)
        finally:
            os.close(target)

    def _open_target(self, destination: str, *, directory: bool) -> int:
        if destination == "/":
            raise OperationFailed("a mount cannot replace the container's root `/`", code="O8-621")
        if destination in _KERNEL_OWNED:
            return self._open_kernel_owned(destination)
        try:
            target = make_in_root(self._root_fd, destination, directory=directory)
        except (SyscallError, OSError) as error:
            raise OperationFailed(
                f"cannot make the mount target {destination}: {error.strerror}", code="O8-621"
            ) from error
        status = os.fstat(target)
        wrong = ""
        if os.path.samestat(status, os.fstat(self._root_fd)):
            wrong = "it is a symlink to the container's root"
        elif status.st_dev == self._proc_device:
            wrong = "it lies in /proc"  # writes meant for procfs would land elsewhere: CVE-2019-19921, CVE-2025-52881
        elif stat.S_ISDIR(status.st_mode) != directory:
            wrong = (
                "the source is a directory and the target a file"
                if directory
                else "the source is a file and the target a directory"
            )
        if wrong:
            os.close(target)
            raise OperationFailed(f"cannot mount on {destination}: {wrong}", code="O8-621")
        return target

    def _open_kernel_owned(self, destination: str) -> int:
        with contextlib.suppress(FileExistsError):  # what it is, is judged by the open that follows
            os.mkdir(destination[1:], 0o755, dir_fd=self._root_fd)
        try:
            return open_in_root(self._root_fd, destination, os.O_PATH | os.O_DIRECTORY, resolve=Resolve.NO_SYMLINKS)
        except SyscallError as error:
            raise OperationFailed(
                f"{destination} of the image must be a directory, not a symlink or a file",
                code="O8-622",
                helps=["an image that redirects it could trick the runtime into unmasking kernel files"],
            ) from error

    def _mount_cgroups(self, destination: str, attributes: MountAttr) -> None:
        """v2: the hierarchy itself. v1 and hybrid: a tmpfs with one directory a hierarchy, as hosts have it."""
        entries = json.loads(self._annotations.get(CGROUP_MOUNTS, "[]"))
        if [entry[0] for entry in entries] == [""]:
            tree = mounts.new_filesystem(entries[0][1], (), attributes, source="cgroup")
            try:
                self._attach(tree, destination, directory=True)
            finally:
                os.close(tree)
            return
        base = mounts.new_filesystem("tmpfs", [("mode", "755")], attributes & ~MountAttr.RDONLY, source="tmpfs")
        try:
            for directory, _, controllers in entries:
                os.mkdir(directory, 0o755, dir_fd=base)
                for name in controllers.split(",") if directory != controllers else ():
                    if name and name != directory:
                        os.symlink(directory, name, dir_fd=base)
            self._attach(base, destination, directory=True)
            os.fchdir(base)  # of our own making: nobody can put anything else there
            for directory, fstype, controllers in entries:
                mounts.mount("cgroup", directory, fstype, controllers, attributes)
            if attributes & MountAttr.RDONLY:
                mounts.set_attributes(base, on=MountAttr.RDONLY, recursive=True)
        finally:
            os.close(base)

    def _make_devices(self) -> None:
        """Everybody's, as soon as there is a /dev of ours: what is mounted on one of them later finds it there."""
        umask = os.umask(0)
        try:
            for name, (major, minor) in _DEVICES.items():
                self._make_device(name, os.makedev(major, minor))
            for name, target in _LINKS.items():
                os.symlink(target, name, dir_fd=self._dev_fd)
        finally:
            os.umask(umask)
        self._null_fd = os.open("null", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._dev_fd)

    def _make_given_devices(self) -> None:
        given = self._config.get("linux", {}).get("devices", ())
        if self._dev_fd < 0 or not given:
            return  # nothing more is asked for, or the user brought a /dev of their own
        umask = os.umask(0)
        try:
            for device in given:
                self._make_given_device(device)
        finally:
            os.umask(umask)

    def _make_given_device(self, device: dict[str, Any]) -> None:
        """Anywhere in the container, though most often in /dev; one that stands there already stays."""
        folder, name = os.path.split("/" + os.path.normpath(device["path"]).lstrip("/"))
        kind = stat.S_IFCHR if device["type"] == "c" else stat.S_IFBLK
        try:
            parent = make_in_root(self._root_fd, folder, directory=True) if folder != "/" else os.dup(self._root_fd)
            try:
                with contextlib.suppress(FileExistsError):
                    number = os.makedev(device["major"], device["minor"])
                    os.mknod(name, kind | device.get("fileMode", 0o666), number, dir_fd=parent)
                    owner = self._ids.uid(device.get("uid", 0)), self._ids.gid(device.get("gid", 0))
                    os.chown(name, *owner, dir_fd=parent, follow_symlinks=False)
            finally:
                os.close(parent)
        except OSError as error:
            raise OperationFailed(
                f"cannot make the device {device['path']}: {error.strerror}", code="O8-616"
            ) from error

    def _make_device(self, name: str, number: int) -> None:
        try:
            os.mknod(name, stat.S_IFCHR | 0o666, number, dir_fd=self._dev_fd)
        except PermissionError:  # root of a user namespace may not make nodes: bind the host's
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666, dir_fd=self._dev_fd))
            tree = mounts.open_tree(f"/dev/{name}")
            target = os.open(name, os.O_PATH | os.O_CLOEXEC, dir_fd=self._dev_fd)
            mounts.move_mount(tree, target)
            os.close(target)
            os.close(tree)

    def open_null(self) -> int:
        """The container's own /dev/null, to read from; called once. Through a descriptor of the host's one, root in the container
        could change that file's mode and owner.
        """
        if self._null_fd >= 0:
            return self._null_fd
        tree = self._clone_null()
        try:
            return os.open(f"/proc/self/fd/{tree}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(tree)

    def _clone_null(self) -> int:
        """A detached, read-only mount of a null device: the one made in /dev above, else the host's."""
        tree = mounts.open_tree("null", dir_fd=self._dev_fd) if self._dev_fd >= 0 else mounts.open_tree("/dev/null")
        status = os.fstat(tree)
        if not stat.S_ISCHR(status.st_mode) or status.st_rdev != _NULL_DEVICE:
            raise OperationFailed("/dev/null of this machine is not the null device", code="O8-624")
        mounts.set_attributes(tree, on=MountAttr.RDONLY)
        return tree

    def open_terminal(self) -> tuple[int, int]:
        """(master, slave) of a new terminal in the container's own devpts; the slave is /dev/console too."""
        if self._pts_fd < 0 or self._dev_fd < 0:
            raise OperationFailed("a terminal needs the container's own /dev and /dev/pts", code="O8-623")
        master, slave = open_pty(self._pts_fd)
        os.close(os.open("console", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=self._dev_fd))
        tree = mounts.open_tree("", dir_fd=slave)
        target = os.open("console", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._dev_fd)
        mounts.move_mount(tree, target)
        os.close(target)
        os.close(tree)
        return master, slave

    def set_parameters(self) -> None:
        """Write the document's sysctls, while /proc/sys can be written."""
        for name, value in self._config.get("linux", {}).get("sysctl", {}).items():
            self._set_parameter(name, value)

    def _set_parameter(self, name: str, value: str) -> None:
        path = f"/proc/sys/{sysctl_path(name)}"
        try:
            fd = open_in_root(self._root_fd, path, os.O_WRONLY | os.O_NOFOLLOW)
        except OSError as error:
            raise OperationFailed(f"this kernel has no parameter {name}: {error.strerror}", code="O8-615") from error
        try:
            os.write(fd, value.encode())
        except OSError as error:
            raise OperationFailed(f"cannot set {name} to {value!r}: {error.strerror}", code="O8-615") from error
        finally:
            os.close(fd)

    def protect(self) -> None:
        """Read-only paths, then masked paths, then the root itself."""
        linux = self._config.get("linux", {})
        for path in linux.get("readonlyPaths", ()):
            self._make_read_only(path)
        self._mask(linux.get("maskedPaths", ()))
        if self._config["root"].get("readonly"):
            here = mounts.open_tree("", dir_fd=self._root_fd, clone=False)
            mounts.set_attributes(here, on=MountAttr.RDONLY)
            os.close(here)

    def _existing(self, path: str) -> int:
        """A descriptor of what stands at `path` in the container now, -1 when nothing does."""
        try:
            return open_in_root(self._root_fd, path)
        except SyscallError as error:
            if error.errno in {2, 20}:  # ENOENT, ENOTDIR: this kernel has no such file
                return -1
            raise

    def _make_read_only(self, path: str) -> None:
        target = self._existing(path)
        if target >= 0:
            tree = mounts.open_tree("", dir_fd=target, recursive=True)
            mounts.set_attributes(tree, on=MountAttr.RDONLY, recursive=True)
            mounts.move_mount(tree, target)
            os.close(tree)
            os.close(target)

    def _mask(self, paths: list[str]) -> None:
        """Files: a null device, verified. Directories: an empty, read-only tmpfs. One of each, cloned once it is attached
        (before Linux 6.15 nothing else can be cloned).
        """
        covers: dict[bool, int] = {}  # by whether they are directories
        for path in paths:
            target = self._existing(path)
            if target < 0:
                continue
            kind = is_directory(target)
            cover = covers.get(kind, -1)
            if cover >= 0:
                tree = mounts.open_tree("", dir_fd=cover)
            else:
                tree = covers[kind] = self._new_cover(directory=kind)
            mounts.move_mount(tree, target)
            os.close(target)
            if cover >= 0:
                os.close(tree)
        for cover in covers.values():
            os.close(cover)

    def _new_cover(self, *, directory: bool) -> int:
        if not directory:
            return self._clone_null()
        limits = [("nr_blocks", "1"), ("nr_inodes", "1")]
        return mounts.new_filesystem("tmpfs", limits, MountAttr.RDONLY, "tmpfs")

    def pivot(self) -> None:
        """Make the new tree `/` and let go of the host's. Nothing of the host can be named afterwards."""
        os.fchdir(self._root_fd)
        mounts.pivot_root(".", ".")
        mounts.unmount(".", mounts.MNT_DETACH)
        os.chdir("/")
        for fd in (self._root_fd, self._dev_fd, self._pts_fd):
            if fd >= 0:
                os.close(fd)


def open_pty(pts_fd: int) -> tuple[int, int]:
    """(master, slave) from the devpts behind `pts_fd`; the slave comes from the master, not from a path (ioctl_tty(2))."""
    flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    master = os.open("ptmx", flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=pts_fd)
    status = os.fstat(master)
    if (
        not stat.S_ISCHR(status.st_mode) or status.st_rdev != _PTMX_DEVICE
    ):  # a container may have put another file there
        os.close(master)
        raise OperationFailed("/dev/pts/ptmx of the container is not a terminal multiplexer", code="O8-623")
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    return master, open_slave(master)


def split_options(options: list[str] | tuple[()]) -> tuple[MountAttr, list[tuple[str, str | None]]]:
    """mount(8) options as attributes of the mount and as parameters of the file system. Of opposites the last one counts."""
    attributes = MountAttr(0)
    data: list[tuple[str, str | None]] = []
    for option in options:
        key, equals, value = option.partition("=")
        if option in ATTRIBUTES:
            attributes |= ATTRIBUTES[option]
        elif option in OPPOSITES:
            attributes &= ~OPPOSITES[option]
        elif option not in _NO_EFFECT:
            data.append((key, value if equals else None))
    return attributes, data
