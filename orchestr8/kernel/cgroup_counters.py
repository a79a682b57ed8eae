"""What the kernel has counted in a container's groups: use, and how often a limit was felt."""

from collections.abc import Mapping
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
    block_io_bytes: tuple[int, int] | None = None  # read from devices and written to them; None: nobody accounts for it


def count(unified: str, v1: Mapping[str, str]) -> Counters:
    """Of a group's directory in cgroup2 ("": there is none), and those of v1 by controller.

    Only what a hierarchy has is read: to look for a file in vain costs more than to read one.
    """

    def text(controller: str, name: str) -> str:
        directory = v1.get(controller, "" if controller in v1 else unified)
        return files.read_if_there(f"{directory}/{name}") if directory else ""

    old = "memory" in v1
    memory = files.fields(text("memory", "memory.stat"))
    events = {} if old else files.fields(text("memory", "memory.events"))
    own = files.fields(files.read_if_there(f"{unified}/cpu.stat")) if unified else {}  # the use is there in any case
    cpu = files.fields(text("cpu", "cpu.stat")) if "cpu" in v1 else own
    cpu_us = own["usage_usec"] if "usage_usec" in own else _number(text("cpuacct", "cpuacct.usage")) // 1000
    return Counters(
        memory_bytes=_number(text("memory", "memory.usage_in_bytes" if old else "memory.current")),
        memory_inactive_file_bytes=memory.get("total_inactive_file", memory.get("inactive_file", 0)),
        memory_limit_hits=_number(text("memory", "memory.failcnt")) if old else events.get("max", 0),
        oom_kills=oom_kills(text("memory", "memory.oom_control")) if old else events.get("oom_kill", 0),
        cpu_us=cpu_us,
        cpu_periods=cpu.get("nr_periods", 0),
        cpu_throttled_periods=cpu.get("nr_throttled", 0),
        cpu_throttled_us=cpu.get("throttled_usec", cpu.get("throttled_time", 0) // 1000),
        pids=_number(text("pids", "pids.current")),
        pids_refused=files.fields(text("pids", "pids.events")).get("max", 0),
        block_io_bytes=_block_io_v1(text("blkio", "blkio.throttle.io_service_bytes_recursive"))
        if "blkio" in v1
        else _block_io_v2(text("blkio", "io.stat")),
    )


def oom_kills(text: str) -> int:
    """Of memory.events (v2) or memory.oom_control (v1)."""
    return files.fields(text).get("oom_kill", 0)


def _block_io_v1(text: str) -> tuple[int, int] | None:
    """Lines of `8:0 Read 4096`; without a device that was used there is `Total 0` alone."""
    if not text:
        return None
    found = {"Read": 0, "Write": 0}
    for line in text.splitlines():
        _, _, rest = line.partition(" ")
        operation, _, value = rest.partition(" ")
        if operation in found:
            found[operation] += int(value)
    return found["Read"], found["Write"]


def _block_io_v2(text: str) -> tuple[int, int] | None:
    """Lines of `8:0 rbytes=4096 wbytes=0 rios=1 …`; a group that used no device has none, as has one without the controller."""
    found = {"rbytes": 0, "wbytes": 0}
    for word in text.split():
        name, _, value = word.partition("=")
        if name in found:
            found[name] += int(value)
    return (found["rbytes"], found["wbytes"]) if text.strip() else None


def _number(text: str) -> int:
    return int(text.strip() or 0)
