"""What a program sees of its container, told by busybox's shell and read as (place → value), so that two can be compared.

What cannot be equal is made so: ids of namespaces, pipes and mounts, paths of the bundle. Nothing is left out because it
differs; that is the table's business in test_oci_oracle.py.
"""

import functools
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# All of them of the container's own namespaces.
_PARAMETERS: Final = (
    *("kernel/hostname", "kernel/domainname", "kernel/shmmax", "kernel/shmall", "kernel/shmmni", "kernel/msgmax"),
    *("kernel/msgmnb", "kernel/msgmni", "kernel/sem", "kernel/shm_rmid_forced", "fs/mqueue/msg_max"),
    *("fs/mqueue/msgsize_max", "fs/mqueue/queues_max", "net/core/somaxconn", "net/ipv4/ip_forward"),
    *("net/ipv4/ip_unprivileged_port_start", "net/ipv4/ping_group_range", "net/ipv4/tcp_syncookies"),
    *("net/ipv6/conf/all/disable_ipv6", "net/unix/max_dgram_qlen"),
)
_WRITTEN: Final = (
    *("/", "/tmp", "/etc/hosts", "/dev", "/dev/shm", "/dev/null", "/dev/mqueue", "/proc/self/comm", "/proc/sys/kernel/hostname"),
    *("/proc/sys/net/ipv4/ip_forward", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/kcore", "/proc/timer_list"),
    *("/sys", "/sys/kernel/uevent_seqnum", "/sys/firmware", "/sys/fs/cgroup", "/data", "/work"),
)  # fmt: skip
_LIMITS: Final = (
    *("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.swappiness"),
    *("memory.oom_control", "memory.use_hierarchy", "memory.move_charge_at_immigrate", "memory.kmem.limit_in_bytes"),
    *("cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.cfs_burst_us", "cpu.rt_runtime_us", "cpu.rt_period_us"),
    *("cpu.idle", "cpuset.cpus", "cpuset.mems", "cpuset.cpu_exclusive", "cpuset.memory_migrate", "cpuset.sched_load_balance"),
    *("pids.max", "devices.list", "blkio.weight", "blkio.bfq.weight", "blkio.throttle.*_device", "freezer.state"),
    *("memory.max", "memory.high", "memory.low", "memory.min", "memory.swap.max", "memory.oom.group", "cpu.max", "cpu.weight"),
    *("cpu.weight.nice", "cpu.max.burst", "io.max", "io.weight", "io.bfq.weight", "cpuset.cpus.partition", "hugetlb.*.max"),
    *("cgroup.freeze", "cgroup.type", "cgroup.max.depth", "cgroup.subtree_control", "hugetlb.*.limit_in_bytes"),
)  # fmt: skip
_SCRIPT: Final = """
section() { echo "@@$1"; }
section mounts; cat /proc/$$/mountinfo
section status; cat /proc/$$/status
section limits; cat /proc/$$/limits
section environment; tr '\\0' '\\n' < /proc/$$/environ
section namespaces; for each in cgroup ipc mnt net pid pid_for_children time user uts; do echo "$each $(readlink /proc/$$/ns/$each)"; done
section descriptors; ls -l /proc/$$/fd
section process
for each in oom_score_adj personality coredump_filter loginuid sessionid comm timens_offsets setgroups uid_map
do echo "$each $(cat /proc/$$/$each 2>&1 | tr '\\n' ' ')"; done
echo "pid $$"; echo "cwd $(readlink /proc/$$/cwd)"; echo "root $(readlink /proc/$$/root)"; echo "umask $(umask)"
echo "exe $(readlink /proc/$$/exe)"; echo "arguments $(tr '\\0' '\\n' < /proc/$$/cmdline | wc -l)"
echo "score_of_1 $(cat /proc/1/oom_score_adj)"; echo "terminal $(tty)"; echo "host $(hostname) $(hostname -f 2>&1)"
section session; cat /proc/$$/stat
section devices; find /dev ! -type l ! -type p -exec stat -c '%n %F %a %u:%g %t:%T' {} +
find /dev -type l -exec sh -c 'for each; do echo "$each link $(readlink "$each")"; done' - {} +
section parameters; for each in PARAMETERS; do echo "$each $(cat /proc/sys/$each 2>&1 | tr '\\t' ' ')"; done
section writable; for each in WRITTEN; do
if test -d $each; then (mkdir $each/.written && rmdir $each/.written) 2>/dev/null && echo "$each yes" || echo "$each no"
elif test -e $each; then (: >> $each) 2>/dev/null && echo "$each yes" || echo "$each no"; fi; done
section masked; for each in MASKED; do test -e $each && echo "$each $(cat $each 2>/dev/null | head -c 1 | wc -c) $(ls -A $each 2>&1 | wc -l)"; done
section groups; cat /proc/$$/cgroup | sed 's/^[0-9]*:/group /'
find /sys/fs/cgroup -maxdepth 2 -type f \\( NAMES \\) -exec head -n 99 {} +
section hierarchies; ls -l /sys/fs/cgroup
section tree; ls -lan / /etc
section end
"""
_MASKED: Final = ("/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/timer_list", "/proc/scsi", "/sys/firmware")

_STATUS: Final = {
    *("Umask", "Uid", "Gid", "Groups", "NStgid", "NSpid", "NSpgid", "NSsid", "PPid", "TracerPid", "Threads", "SigPnd"),
    *(
        "ShdPnd",
        "SigBlk",
        "SigIgn",
        "SigCgt",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
    ),
    *("Seccomp_filters", "Speculation_Store_Bypass", "SpeculationIndirectBranch", "Cpus_allowed", "Mems_allowed"),
    *("CoreDumping", "THP_enabled", "untag_mask"),
}
_PATHS: Final = {"lowerdir", "upperdir", "workdir"}


def script() -> str:
    names = " -o ".join(f"-name '{each}'" for each in _LIMITS)
    words = {
        "PARAMETERS": " ".join(_PARAMETERS),
        "WRITTEN": " ".join(_WRITTEN),
        "MASKED": " ".join(_MASKED),
        "NAMES": names,
    }
    text = _SCRIPT
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def read(text: str) -> dict[str, str]:
    """What the script printed: `section/key` → value. Raises AssertionError when it did not come to its end."""
    sections: dict[str, list[str]] = {}
    name = ""
    for line in text.replace("\r\n", "\n").splitlines():
        if line.startswith("@@"):
            name = line[2:]
            sections[name] = []
        elif name:
            sections[name].append(line)
    assert "end" in sections, f"the probe did not come to its end: {text[-2000:]}"
    return {
        f"{section}/{key}": value
        for section, lines in sections.items()
        for key, value in _READERS.get(section, _words)(lines)
    }


def _words(lines: list[str]) -> Iterator[tuple[str, str]]:
    """First word → the others."""
    for line in lines:
        key, _, value = line.partition(" ")
        yield key, value.strip()


def _mounts(lines: list[str]) -> Iterator[tuple[str, str]]:
    """By mount point, and how many stand there already: root, type, options of mount and file system, propagation."""
    seen: Counter[str] = Counter()
    for line in lines:
        before, after = line.split(" - ")
        _, _, _, root, point, options, *optional = before.split()
        kind, source, data = after.split()
        seen[point] += 1
        propagation = ",".join(sorted(re.sub(r":\d+", "", each) for each in optional)) or "private"
        parts = sorted(part for part in data.split(",") if part.partition("=")[0] not in _PATHS)
        place = "HOST" if kind in {"ext4", "xfs", "btrfs", "overlay"} and root != "/" else root
        key = point if seen[point] == 1 else f"{point} {seen[point]}"
        yield key, f"{kind} {source if kind != 'ext4' else 'DISK'} {place} {options} {propagation} {','.join(parts)}"


def _groups(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Of head(1): a line with the file's name before what it holds. Rules of devices in any order: each is for itself."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in filter(None, lines):
        if line.startswith("group "):
            yield "group", line.partition(" ")[2]
        elif line.startswith("==> "):
            name = line.split()[1]
            found[name] = []
        else:
            found[name].append(line)
    for name, values in found.items():
        yield name, "; ".join(sorted(values) if name.endswith("devices.list") else values)


def _status(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        key, _, value = line.partition(":")
        if key == "SigIgn":
            yield key, f"{int(value, 16) & ~_ignored_here():016x}"
        elif key in _STATUS:
            yield key, " ".join(value.split())


@functools.cache
def _ignored_here() -> int:
    """What whoever runs the tests has ignored, as a shell in the background does: the peers pass it on, and we do not.

    Not SIGPIPE and SIGXFSZ: Python ignores these itself, and undoes that for what it starts.
    """
    text = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("SigIgn:"))
    pythons = sum(1 << number - 1 for number in (signal.SIGPIPE, signal.SIGXFSZ))
    return int(text.partition(":")[2], 16) & ~pythons


def _limits(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines[1:]:
        name, *values = re.split(r"\s{2,}", line.strip())
        yield name, " ".join(values)


def _environment(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        key, _, value = line.partition("=")
        yield key, value
    yield "order", " ".join(line.partition("=")[0] for line in lines)


def _namespaces(lines: list[str]) -> Iterator[tuple[str, str]]:
    for key, value in _words(lines):
        try:
            yield key, "the host's" if os.readlink(f"/proc/self/ns/{key}") == value else "its own"
        except FileNotFoundError:
            yield key, value


def _links(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        before, _, target = line.partition(" -> ")
        if len(before.split()) > 8:
            yield before.split()[8], re.sub(r"\d{3,}", "N", f"{before.split()[0]} {target}".strip())


def _session(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Of /proc/self/stat (proc_pid_stat(5))."""
    pid = lines[0].split()[0]
    group, session, terminal, foreground = lines[0].rpartition(")")[2].split()[2:6]
    flags = lines[0].rpartition(")")[2].split()
    yield "leader", str(session == pid)
    yield "group", str(group == pid)
    yield "terminal", terminal
    yield "foreground", str(foreground == pid)
    yield "nice", " ".join(flags[15:17])
    yield "policy", " ".join(flags[37:39])


def _tree(lines: list[str]) -> Iterator[tuple[str, str]]:
    folder = ""
    for line in lines:
        if line.endswith(":"):
            folder = line[:-1].rstrip("/")
        elif (words := line.split()) and len(words) > 7 and words[8] not in {".", ".."}:
            yield f"{folder}/{words[8]}", " ".join((words[0], *words[2:4]))


_READERS: Final = {
    "mounts": _mounts, "groups": _groups, "status": _status, "limits": _limits, "environment": _environment, "namespaces": _namespaces,
    "descriptors": _links, "hierarchies": _links, "session": _session, "tree": _tree,
}  # fmt: skip


def differences(ours: dict[str, str], theirs: dict[str, str]) -> list[str]:
    """`place: our value, theirs value`, for each place of either."""
    places = sorted({*ours, *theirs}, key=lambda place: (place.partition("/")[0], place))
    return [
        f"{place}: {ours.get(place, 'nothing')}, theirs {theirs.get(place, 'nothing')}"
        for place in places
        if ours.get(place) != theirs.get(place)
    ]
