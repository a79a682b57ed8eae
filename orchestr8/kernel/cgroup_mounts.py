"""Where cgroup hierarchies are mounted, from the text of /proc/self/mountinfo (proc_pid_mountinfo(5))."""

import re
from typing import Final

_CONTROLLERS: Final = {  # of v1; the other mount options (rw, xattr, release_agent=…) say nothing here
    *("blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "hugetlb", "memory", "misc", "net_cls", "net_prio"),
    *("perf_event", "pids", "rdma"),
}


def mounted_hierarchies(mountinfo: str) -> tuple[dict[str, str], str]:
    """v1 mount points by controller or `name=...`, and cgroup2's; of several mounts of one hierarchy the first."""
    hierarchies: dict[str, str] = {}
    unified = ""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fstype, _source, options = after.split(" ", 2)
        mount_point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), before.split(" ")[4])
        if fstype == "cgroup2":
            unified = unified or mount_point
        elif fstype == "cgroup":
            for option in options.split(","):
                if option in _CONTROLLERS or option.startswith("name="):
                    hierarchies.setdefault(option, mount_point)
    return hierarchies, unified
