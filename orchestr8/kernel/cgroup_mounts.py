"""Where cgroup hierarchies are mounted, and where in them a process is: from the text of files in /proc.

proc_pid_mountinfo(5), cgroups(7). In a container a mount may show a part of the hierarchy only, from its root on.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

_CONTROLLERS: Final = {  # of v1; the other mount options (rw, xattr, release_agent=…) say nothing here
    *("blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "hugetlb", "memory", "misc", "net_cls", "net_prio"),
    *("perf_event", "pids", "rdma"),
}


class Mounts(NamedTuple):
    hierarchies: dict[str, str]  # v1 mount points by controller, or by `name=...`
    unified: str = ""  # cgroup2's
    roots: Mapping[str, str] = MappingProxyType({})  # by mount point, the group that is its top; "": the root


def find_mounts(mountinfo: str) -> Mounts:
    """Of several mounts of one hierarchy the first."""
    hierarchies: dict[str, str] = {}
    roots: dict[str, str] = {}
    unified = ""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fstype, _source, options = after.split(" ", 2)
        if fstype not in {"cgroup", "cgroup2"}:
            continue
        root, mount_point = map(_decoded, before.split(" ")[3:5])
        roots.setdefault(mount_point, root.rstrip("/"))
        if fstype == "cgroup2":
            unified = unified or mount_point
            continue
        for option in options.split(","):
            if option in _CONTROLLERS or option.startswith("name="):
                hierarchies.setdefault(option, mount_point)
    return Mounts(hierarchies, unified, roots)


def _decoded(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def own_groups(text: str) -> dict[str, str]:
    """The groups of /proc/<pid>/cgroup by controller or `name=...`; cgroup2's by ""."""
    lines = (line.split(":", 2) for line in text.splitlines())
    return {name: path for _, names, path in lines for name in names.split(",")}


def below(path: str, root: str) -> str | None:
    """`path` as a mount that begins at `root` shows it; None when it lies outside."""
    if path == root or path.startswith(f"{root}/"):
        return path[len(root) :].rstrip("/")
    return None
