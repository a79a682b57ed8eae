"""What containers use, read from their control groups and from /proc: in one thread, one container after another.

Nothing is read unless somebody asks, and nothing is kept. A pid may be another process's by the time it is looked at:
what is read by pid is read through a directory of /proc that was opened before the pid was seen in the container's group.
"""

import os
import time
from collections.abc import Iterable
from typing import Final, NamedTuple

from orchestr8.kernel.cgroup import CgroupTree
from orchestr8.model.figures import Figures, Traffic
from orchestr8.model.ids import ContainerId, ContainerName
from orchestr8.model.records import ContainerRecord
from orchestr8.runtime.blockio import block_io

_READ_BYTES: Final = 65536  # of /proc/<pid>/net/dev: who may make interfaces inside could make thousands


class Subject(NamedTuple):
    """A running container."""

    name: ContainerName
    id: ContainerId
    pid: int  # of PID 1
    memory_max_bytes: int  # 0: no limit
    pids_max: int
    execs_used: tuple[int, int] = (0, 0)  # bytes read from block devices and written to them, by ended execs


def subject(record: ContainerRecord, pid: int, execs_used: tuple[int, int]) -> Subject:
    limits = record.spec.resources
    return Subject(record.name, record.id, pid, limits.memory_max_bytes, limits.pids_max, execs_used)


def read_all(cgroups: CgroupTree, subjects: Iterable[Subject]) -> dict[ContainerName, Figures]:
    """Those that have ended meanwhile are left out."""
    machine_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {each.name: found for each in subjects if (found := read(cgroups, each, machine_bytes)) is not None}


def read(cgroups: CgroupTree, subject: Subject, machine_bytes: int) -> Figures | None:
    """None when it has ended. `machine_bytes`: the memory that there is."""
    try:
        proc = os.open(f"/proc/{subject.pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        pids = cgroups.pids(subject.id)
        if subject.pid not in pids:
            return None
        at_ns = time.monotonic_ns()
        counts = cgroups.counters(subject.id)
        traffic = parse_traffic(_text(proc, "net/dev"))
    except (FileNotFoundError, ProcessLookupError):
        return None
    finally:
        os.close(proc)
    # Few containers have a group that counts it: then what their processes did, and those that these, or the shim, have
    # waited for.
    read_bytes, written_bytes = counts.block_io_bytes or _sum([subject.execs_used, *map(block_io, pids)])
    return Figures(
        at_ns=at_ns,
        memory_bytes=counts.memory_bytes,
        memory_inactive_file_bytes=min(counts.memory_inactive_file_bytes, counts.memory_bytes),
        memory_max_bytes=min(subject.memory_max_bytes or machine_bytes, machine_bytes),
        memory_limit_hits=counts.memory_limit_hits,
        oom_kills=counts.oom_kills,
        cpu_us=counts.cpu_us,
        cpu_periods=counts.cpu_periods,
        cpu_throttled_periods=counts.cpu_throttled_periods,
        cpu_throttled_us=counts.cpu_throttled_us,
        pids=counts.pids or len(pids),  # without that controller: processes alone
        pids_max=subject.pids_max,
        pids_refused=counts.pids_refused,
        block_read_bytes=read_bytes,
        block_written_bytes=written_bytes,
        traffic=traffic,
    )


def parse_traffic(text: str) -> dict[str, Traffic]:
    """/proc/<pid>/net/dev, net/core/net-procfs.c: two lines of head, then 8 columns received and 8 sent. Without `lo`."""
    found = {}
    for line in text.splitlines()[2:]:
        name, colon, rest = line.rpartition(":")  # an interface's name may have a colon
        columns = rest.split()
        if colon and name.strip() != "lo" and len(columns) == 16:
            values = [int(each) for each in columns]
            found[name.strip()] = Traffic(
                received_bytes=values[0], received_packets=values[1], received_errors=values[2], received_dropped=values[3],
                sent_bytes=values[8], sent_packets=values[9], sent_errors=values[10], sent_dropped=values[11],
            )  # fmt: skip
    return found


def _sum(pairs: Iterable[tuple[int, int]]) -> tuple[int, int]:
    read_bytes = written_bytes = 0
    for one, other in pairs:
        read_bytes += one
        written_bytes += other
    return read_bytes, written_bytes


def _text(directory: int, name: str) -> str:
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.read(fd, _READ_BYTES).decode(errors="replace")
    finally:
        os.close(fd)
