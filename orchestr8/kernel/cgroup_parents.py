"""What the groups above a container's must be for its limits to hold: controllers, processors, shares that they hand down.

v2 wants controllers turned on from the top, and processes in leaves only. v1 wants cpuset filled from the top. Real-time
(v1) and protected memory (v2) are shared out by the groups above: each must have what those below it have together.
"""

import contextlib
import os
from collections.abc import Iterable
from typing import Final

from orchestr8.kernel import cgroup_files as files

OUTER: Final = "orchestr8-outer"  # v2: where the processes go that stood where a group is to have children
_VACATE_TRIES: Final = 10  # while they fork


def delegate(directory: str, controllers: Iterable[str]) -> None:
    """Turn on, for the children of a v2 group, each of the controllers that can be turned on there.

    A group with processes of its own, such as that of a container in which this engine runs, has them moved to a leaf
    first: cpu and pids could be turned on beside them, but that makes it threaded, and its children take no process
    then (cgroups(7), "threaded mode"). Only the root may have both. One by one, since a threaded parent refuses
    some; whoever sets a limit says then that it is missing.
    """
    control = f"{directory}/cgroup.subtree_control"
    missing = sorted(set(controllers) - set(files.read(control).split()))
    if missing and files.read_if_there(f"{directory}/cgroup.type"):
        _vacate(directory)
    for controller in missing:
        with contextlib.suppress(OSError):
            files.write(control, f"+{controller}")


def _vacate(directory: str) -> None:
    """Move the processes of a v2 group into a leaf of it, as far as there are any, and they go."""
    if not files.pids_in(directory):
        return
    leaf = f"{directory}/{OUTER}"
    files.ensure(leaf)
    for _ in range(_VACATE_TRIES):
        pids = [pid for pid in files.pids_in(directory) if pid]
        if not pids:
            return
        for pid in pids:
            # ESRCH: it has ended. EINVAL, EBUSY: it is the kernel's.
            with contextlib.suppress(OSError):
                files.write(f"{leaf}/cgroup.procs", str(pid))


def readmit(directory: str) -> None:
    """Undo that, when nobody else has made a group here: the last engine leaves what it found."""
    leaf = f"{directory}/{OUTER}"
    if files.children(directory) != [leaf]:
        return
    on = files.read(f"{directory}/cgroup.subtree_control").split()
    files.write(f"{directory}/cgroup.subtree_control", " ".join(f"-{controller}" for controller in on))
    for pid in files.pids_in(leaf):
        with contextlib.suppress(ProcessLookupError):
            files.write(f"{directory}/cgroup.procs", str(pid))
    files.rmdir(leaf)


def fill_cpuset(directory: str, top: str) -> bool:
    """v1: a new cpuset has neither processors nor memory, and nothing can enter it; give it its parent's, up to `top`. Whether
    it had none.

    The parent may have been made by another thread just now, and not been filled yet.
    """
    above = os.path.dirname(directory)
    empty = [name for name in ("cpuset.cpus", "cpuset.mems") if not files.read(f"{directory}/{name}").strip()]
    if empty and above != top:
        fill_cpuset(above, top)
    for name in empty:
        files.write(f"{directory}/{name}", files.read(f"{above}/{name}").strip())
    return bool(empty)


def share_real_time(directory: str, runtime_us: int, period_us: int, above: str) -> None:
    """v1: give the groups between `above` and `directory` real-time for `runtime_us` in `period_us` more, from the top.

    What the kernel refuses is found out where the group itself is written.
    """
    between: list[str] = []
    while len(parent := os.path.dirname(directory)) > len(above):
        between.insert(0, parent)
        directory = parent
    for group in between:
        _, period = _real_time(group)
        shares = [(runtime_us, period_us), *(_real_time(child) for child in files.children(group))]
        below = sum(-(-runtime * period // of) for runtime, of in shares)
        if below > _real_time(group)[0]:
            with contextlib.suppress(OSError):
                files.write(f"{group}/cpu.rt_runtime_us", str(below))


def _real_time(group: str) -> tuple[int, int]:
    """Microseconds, and of how many."""
    return int(files.read(f"{group}/cpu.rt_runtime_us")), int(files.read(f"{group}/cpu.rt_period_us"))


def share_protection(parent: str) -> None:
    """v2: a group protects memory of its children as far as it is protected itself: let it have the sum of theirs.

    Kernel documentation, admin-guide/cgroup-v2.rst, memory.low.
    """
    sizes = [files.read_if_there(f"{child}/memory.low").strip() for child in files.children(parent)]
    wanted = "max" if "max" in sizes else str(sum(int(size) for size in sizes if size))
    if files.read_if_there(f"{parent}/memory.low").strip() not in {"", wanted}:
        files.write(f"{parent}/memory.low", wanted)
