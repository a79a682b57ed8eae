"""Control groups: a group like a container's is made, limited, entered and frozen, and is gone afterwards."""

import contextlib
import errno
import os
import signal
from collections.abc import Iterator
from typing import Any, Final

from orchestr8.doctor.findings import Finding, Host, missing, ok, untried, warning
from orchestr8.errors import Orchestr8Error
from orchestr8.kernel import cgroup_files as files
from orchestr8.kernel.cgroup import CgroupPlace, CgroupTree, Layout
from orchestr8.kernel.cgroup_mounts import find_mounts

_WANTED: Final = {  # controller of v1, or of v2 where that has another name: what is without effect when it is not there
    "memory": "mem_limit and the like",
    "cpu": "cpus, cpu_shares and the like",
    "pids": "pids_limit",
    "cpuset": "cpuset",
    "io": "blkio_config",
}
_V1_NAMES: Final = {"io": "blkio"}
_UNKNOWN: Final = {"memory": ", and `stats` tells no memory"}
_RESOURCES: Final[dict[str, Any]] = {
    "memory": {"limit": 64 << 20},
    "cpu": {"shares": 512, "quota": 50_000, "period": 100_000},
    "pids": {"limit": 64},
}
_TRY: Final = "try"


def groups(host: Host) -> Iterator[Finding]:
    try:
        tree = CgroupTree.below(f"orchestr8-doctor-{os.getpid()}")
    except Orchestr8Error as error:
        yield missing("cgroups", error.message, "; ".join(error.helps))
        return
    there = _controllers()
    yield ok(
        "cgroups", f"{_LAYOUTS[tree.layout]}: {' '.join(name for name in _WANTED if name in there) or 'no controller'}"
    )
    known = files.read_if_there("/proc/cgroups")
    for name in (each for each in _WANTED if each not in there):
        effect = f"{_WANTED[name]} has no effect{_UNKNOWN.get(name, '')}"
        yield warning("cgroups", f"no {name} controller: {effect}", no_controller(name, known, tree.layout))
    if not host.privileged:
        yield untried("a container's group")
        return
    if tree.layout is Layout.V2 and (held := _held_back()):
        yield warning("a container's group", held[0], held[1])
        return
    try:
        yield from _tried(tree)
    except (OSError, Orchestr8Error) as error:
        words = error.message if isinstance(error, Orchestr8Error) else str(error)
        yield missing(
            "a container's group", words, "mount the cgroup hierarchies read-write, or have this group delegated"
        )
    finally:
        tree.close()


def no_controller(name: str, known: str, layout: Layout) -> str:
    """What to do about one that is not there. `known`: /proc/cgroups, a line for each: name, hierarchy, groups, enabled."""
    old_name = _V1_NAMES.get(name, name)
    enabled = {line.split()[0]: line.split()[-1] for line in known.splitlines() if not line.startswith("#")}
    if old_name not in enabled:
        return "take a kernel that has it"
    if enabled[old_name] == "0":
        return f"boot with cgroup_enable={old_name}, and without cgroup_disable={old_name}"
    if layout is Layout.V2:
        return f"have it handed down: echo +{name} into cgroup.subtree_control of the groups above"
    return f"mount it: mount -t cgroup -o {old_name} cgroup /sys/fs/cgroup/{old_name}"


_LAYOUTS: Final = {
    Layout.V1: "v1",
    Layout.HYBRID: "v1, with cgroup2 beside it",
    Layout.V2: "v2",
}


def _controllers() -> set[str]:
    mounts = find_mounts(files.read("/proc/self/mountinfo"))
    v2 = set(files.read(f"{mounts.unified}/cgroup.controllers").split()) if mounts.unified else set()
    return {name for name in _WANTED if name in v2 or _V1_NAMES.get(name, name) in mounts.hierarchies}


def _held_back() -> tuple[str, str] | None:
    """Of v2 where this group is not the root, and has processes: an engine would move them to a leaf, a look must not."""
    top = find_mounts(files.read("/proc/self/mountinfo")).unified
    if not files.read_if_there(f"{top}/cgroup.type") or not files.pids_in(top):
        return None
    if not os.access(f"{top}/cgroup.subtree_control", os.W_OK):
        return f"{top} is not delegated: it cannot be written to", "podman run --cgroupns=private, systemd Delegate=yes"
    return f"not tried: the processes of {top} would have to be moved", "the engine does it at its first start"


def _tried(tree: CgroupTree) -> Iterator[Finding]:
    mounts = find_mounts(files.read("/proc/self/mountinfo"))
    before = files.read_if_there(f"{mounts.unified}/cgroup.subtree_control").split() if mounts.unified else []
    try:
        place = tree.create(_TRY, _RESOURCES)
        for each in place.warnings:
            yield warning("a container's group", each)
        process = _enter(place)
        try:
            tree.freeze(_TRY)
        except Orchestr8Error as error:
            yield warning("freezer", f"{error.message}; `pause` is refused")
        else:
            tree.thaw(_TRY)
            yield ok("a container's group", "made, limited, entered, frozen")
        finally:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
    finally:
        with contextlib.suppress(FileNotFoundError):
            tree.remove(_TRY)
        tree.remove_if_empty()
        _turn_off(mounts.unified, before)


def _enter(place: CgroupPlace) -> int:
    """A process in the group, which does nothing."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for file in place.files:
                files.write(file, str(os.getpid()))
            os.write(writer, b"1")
            signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    try:
        if not os.read(reader, 1):
            os.waitpid(pid, 0)
            raise OSError(errno.EPERM, "a process cannot enter the group")
    finally:
        os.close(reader)
    return pid


def _turn_off(unified: str, before: list[str]) -> None:
    """Of v2 what was turned on in the root for the trial."""
    if unified:
        for name in set(files.read(f"{unified}/cgroup.subtree_control").split()) - set(before):
            files.write(f"{unified}/cgroup.subtree_control", f"-{name}")
