"""What the kernel has counted in a container's groups: use, and how often a limit was felt."""

from collections.abc import Iterable
from typing import NamedTuple

from orchestr8.kernel import cgroup_files as files


class Counters(NamedTuple):
    """Since the run began; 0 for what is not accounted here."""

    memory_bytes: int = 0  # now, the page cache included
    memory_inactive_file_bytes: int = 0  # of that, cache which the kernel would give up first
    memory_limit_hits: int = 0  # how often an allocation ran into the limit
    oom_kills: int = 0  # processes killed for lack of memory
    cpu_us: int = 0
    cpu_periods: int = 0  # in which it ran, where `cpus` limits it
    cpu_throttled_periods: int = 0  # in which it was made to wait
    cpu_throttled_us: int = 0
    pids: int = 0  # processes and threads now
    pids_refused: int = 0  # forks that `pids_limit` refused


def count(directories: Iterable[str]) -> Counters:
    """From a group's directories in all hierarchies; files that a hierarchy does not have count nothing."""
    texts = dict.fromkeys(_FILES, "")
    for directory in directories:
        for name in _FILES:  # a hybrid machine has two cpu.stat: one of them knows the use, the other the limit
            texts[name] += files.read_if_there(f"{directory}/{name}")
    cpu, memory = files.fields(texts["cpu.stat"]), files.fields(texts["memory.stat"])
    events = files.fields(texts["memory.events"])
    return Counters(
        memory_bytes=_number(texts["memory.current"] or texts["memory.usage_in_bytes"]),
        memory_inactive_file_bytes=memory.get("total_inactive_file", memory.get("inactive_file", 0)),
        memory_limit_hits=events.get("max", _number(texts["memory.failcnt"])),
        oom_kills=oom_kills(texts["memory.events"] or texts["memory.oom_control"]),
        cpu_us=cpu.get("usage_usec", 0) or _number(texts["cpuacct.usage"]) // 1000,
        cpu_periods=cpu.get("nr_periods", 0),
        cpu_throttled_periods=cpu.get("nr_throttled", 0),
        cpu_throttled_us=cpu.get("throttled_usec", cpu.get("throttled_time", 0) // 1000),
        pids=_number(texts["pids.current"]),
        pids_refused=files.fields(texts["pids.events"]).get("max", 0),
    )


_FILES = (
    *("memory.current", "memory.events", "memory.stat", "cpu.stat", "pids.current", "pids.events"),
    *("memory.usage_in_bytes", "memory.failcnt", "memory.oom_control", "cpuacct.usage"),
)


def oom_kills(text: str) -> int:
    """Of memory.events (v2) or memory.oom_control (v1)."""
    return files.fields(text).get("oom_kill", 0)


def _number(text: str) -> int:
    return int(text.strip() or 0)
