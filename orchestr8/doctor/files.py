"""The file system below the engine's root: layers, mapped ids, layers of limited size, space."""

import ctypes
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from typing import Any, Final

from orchestr8.doctor.findings import Finding, Host, Verdict, missing, ok, untried, warning
from orchestr8.doctor.trial import attempt, existing, scratch
from orchestr8.errors import Orchestr8Error
from orchestr8.kernel import mount
from orchestr8.kernel.libc import libc
from orchestr8.kernel.namespaces import CloneFlag
from orchestr8.runtime.userns import Ids, make_namespace, mapped_overlay
from orchestr8.storage import limited
from orchestr8.storage.overlay import OverlayMount

_SPACE_MIN: Final = 1 << 30
_INODES_MIN: Final = 10_000
_LIMITED_BYTES: Final = 8 << 20
_IDS: Final = (1 << 20, 65536)  # nobody's, and only for a moment
_UNKNOWN: Final = 0  # DT_UNKNOWN
_TYPE_AT: Final = 18  # struct dirent: d_ino, d_off, d_reclen, d_type
_ELSEWHERE: Final = "choose a --root (or ORCHESTR8_ROOT) on ext4, xfs or btrfs"


def root(host: Host) -> Iterator[Finding]:
    """The folder itself."""
    if host.root == host.environ.get("ORCHESTR8_ROOT"):
        source = "ORCHESTR8_ROOT"
    else:
        source = "" if os.path.isdir(host.root) else "not there yet"
    above = existing(host.root)
    space = shutil.disk_usage(above)
    inodes = os.statvfs(above)
    yield ok("root", f"{host.root}, {_kind(above)}{source and f' ({source})'}")
    if host.privileged and not os.access(above, os.W_OK):
        yield missing("writable", f"{above} cannot be written to", "mount it read-write, or choose another --root")
    free = f"{_size(space.free)} of {_size(space.total)}"
    if space.free < _SPACE_MIN:
        yield warning("free space", free, "make room, or choose a --root on a larger disk")
    elif inodes.f_files and inodes.f_favail < _INODES_MIN:
        yield warning("free inodes", f"{inodes.f_favail} of {inodes.f_files}", "remove files, or choose another --root")
    else:
        yield ok("free space", free)


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def layers(host: Host) -> Iterator[Finding]:
    if not host.privileged:
        yield untried("overlay")
        return
    with scratch(host.root) as folder:
        yield _tried("overlay", Verdict.MISSING, lambda: _overlay(folder), _ELSEWHERE)
        yield _tried("overlay over /", Verdict.WARNING, lambda: _over_root(folder), "use images other than rootfs:/")
        yield _tried("mapped ids", Verdict.WARNING, lambda: _mapped(folder), _ELSEWHERE)
        yield _tried("limited layers", Verdict.WARNING, lambda: _limited(folder), "")


def _tried(name: str, verdict: Verdict, work: Callable[[], str], remedy: str) -> Finding:
    try:
        return ok(name, attempt(work, CloneFlag.NEWNS))
    except Orchestr8Error as error:
        return Finding(name, verdict, "; ".join(error.message.splitlines()), "; ".join(error.helps) or remedy)


def _overlay(folder: str) -> str:
    """A layer on a layer: what is removed stays removed, what is written lies in the upper one."""
    paths = _prepared(folder, "plain")
    with open(f"{paths['lower']}/gone", "w", encoding="ascii"):
        pass
    if _type_of(paths["lower"], "gone") == _UNKNOWN:
        raise OSError(
            errno.EINVAL, f"{_kind(folder)} does not tell types of files in listings (d_type: mkfs.xfs -n ftype=1)"
        )
    mount.mount("overlay", paths["merged"], "overlay", _options(paths).data())
    os.unlink(f"{paths['merged']}/gone")
    os.mkdir(f"{paths['merged']}/made")
    if not stat.S_ISCHR(os.lstat(f"{paths['upper']}/gone").st_mode) or not os.path.isdir(f"{paths['upper']}/made"):
        raise OSError(errno.EIO, "what changes in a container does not show in its layer")
    return f"layers on {_kind(folder)}"


def _over_root(folder: str) -> str:
    paths = {**_prepared(folder, "root"), "lower": "/"}
    mount.mount("overlay", paths["merged"], "overlay", _options(paths).data())
    os.listdir(paths["merged"])
    return f"rootfs:/ on {_kind('/')}"


def _mapped(folder: str) -> str:
    """As with `userns_mode: private`."""
    paths = _prepared(folder, "mapped")
    namespace = make_namespace(*_IDS)
    place = f"{folder}/mapped/place"
    os.mkdir(place)
    data = mapped_overlay(_options(paths).data(), place, Ids.from_base(*_IDS, namespace))
    mount.mount("overlay", paths["merged"], "overlay", data)
    return "containers may have users of their own (`userns_mode: private`)"


def _limited(folder: str) -> str:
    place = f"{folder}/limited"
    os.mkdir(place)
    limited.make(place, _LIMITED_BYTES)
    with limited.mounted(place):
        return "`storage_opt.size` works: mkfs.ext4 and loop devices are there"


def _prepared(folder: str, name: str) -> dict[str, str]:
    paths = {part: f"{folder}/{name}/{part}" for part in ("lower", "upper", "work", "merged")}
    for path in paths.values():
        os.makedirs(path)
    return paths


def _options(paths: dict[str, str]) -> OverlayMount:
    return OverlayMount((paths["lower"],), paths["upper"], paths["work"])


def _type_of(folder: str, name: str) -> int:
    """d_type of an entry, as readdir(3) gives it and no function of Python's does."""
    opendir, readdir = libc.opendir, libc.readdir
    opendir.restype = readdir.restype = ctypes.c_void_p
    listing = ctypes.c_void_p(opendir(os.fsencode(folder)))
    try:
        while address := readdir(listing):
            if ctypes.string_at(address + _TYPE_AT + 1) == os.fsencode(name):
                return int(ctypes.c_ubyte.from_address(address + _TYPE_AT).value)
    finally:
        libc.closedir(listing)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), f"{folder}/{name}")


def _kind(path: str) -> str:
    """The file system's name, by its device (proc_pid_mountinfo(5))."""
    status: Any = os.stat(path)
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            if before.split(" ")[2] == device:
                return after.split(" ")[0]
    return "an unknown file system"
