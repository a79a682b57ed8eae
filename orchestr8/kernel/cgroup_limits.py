"""OCI's `linux.resources` as the files of a cgroup that hold them, for v1 and v2. Writing them: `cgroup_apply`. Pure.

The document speaks the language of v1 (runtime-spec, config-linux.md); what v2 wants instead is what runc and crun make
of it. Devices are not files on v2, and are not here.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from orchestr8.model.sizes import size_text

PERIOD_US: Final = 100_000  # CFS bandwidth period: the kernel's default
_MAX: Final = "max"

Resources = Mapping[str, Any]


class LimitFile(NamedTuple):
    name: str
    text: str
    optional: bool = False  # True: where the kernel has no such file, there is nothing to limit either
    otherwise: tuple[str, str] = ("", "")  # (name, text) of a file to write where the first one is missing


class Limit(NamedTuple):
    controller: str  # v1's name, or v2's
    name: str  # as the stack file calls it, with its value
    files: tuple[LimitFile, ...]  # in the order to be written; () where this kind of cgroup has no such limit


def limits(resources: Resources, *, v2: bool) -> Iterator[Limit]:
    """The limits that are set, for each version the same ones in the same order."""
    yield from _memory(resources.get("memory") or {}, v2=v2)
    yield from _cpu(resources.get("cpu") or {}, v2=v2)
    yield from _cpuset(resources.get("cpu") or {})
    pids = (resources.get("pids") or {}).get("limit") or 0
    if pids:
        yield Limit("pids", f"pids_limit {pids}", (LimitFile("pids.max", str(pids) if pids > 0 else _MAX),))
    yield from _block_io(resources.get("blockIO") or {}, v2=v2)


def uses(resources: Resources, *, v2: bool) -> set[str]:
    """The controllers that these limits are of."""
    return {limit.controller for limit in limits(resources, v2=v2)}


def _memory(memory: Resources, *, v2: bool) -> Iterator[Limit]:
    limit, swap = memory.get("limit") or 0, memory.get("swap") or 0
    if limit:
        name, text = ("memory.max", _or_max(limit)) if v2 else ("memory.limit_in_bytes", str(limit))
        yield Limit("memory", f"mem_limit {size_text(limit)}", (LimitFile(name, text),))
    if swap:
        # v1 counts both together, v2 swap alone. A kernel without swap accounting has neither file, and then only somebody
        # who asked for more than what is usual (twice the memory), all or nothing is to hear of it.
        alone = _MAX if swap < 0 else str(max(0, swap - limit))
        file = LimitFile("memory.swap.max", alone, optional=alone in {_MAX, "0", str(limit)}) if v2 else \
            LimitFile("memory.memsw.limit_in_bytes", str(swap), optional=swap in {-1, limit, 2 * limit})  # fmt: skip
        yield Limit("memory", f"memswap_limit {size_text(swap)}", (file,))
    if reservation := memory.get("reservation") or 0:
        name = "memory.low" if v2 else "memory.soft_limit_in_bytes"
        yield Limit("memory", f"mem_reservation {size_text(reservation)}", (LimitFile(name, _or_max(reservation) if v2 else str(reservation)),))  # fmt: skip
    if (swappiness := memory.get("swappiness")) is not None:
        files = () if v2 else (LimitFile("memory.swappiness", str(swappiness)),)
        yield Limit("memory", f"mem_swappiness {swappiness}", files)
    if memory.get("disableOOMKiller"):
        yield Limit("memory", "oom_kill_disable", () if v2 else (LimitFile("memory.oom_control", "1"),))


def _cpu(cpu: Resources, *, v2: bool) -> Iterator[Limit]:
    if shares := cpu.get("shares") or 0:
        file = LimitFile("cpu.weight", str(cpu_weight(shares))) if v2 else LimitFile("cpu.shares", str(shares))
        yield Limit("cpu", f"cpu_shares {shares}", (file,))
    quota, period = cpu.get("quota") or 0, cpu.get("period") or 0
    if quota or period:
        name = f"cpus {quota / (period or PERIOD_US):g}" if quota > 0 else f"cpu_period {period}"
        if v2:
            files = [LimitFile("cpu.max", f"{quota if quota > 0 else _MAX} {period or PERIOD_US}")]
        else:  # the group is fresh: no quota stands against the period
            files = [LimitFile("cpu.cfs_period_us", str(period))] if period else []
            files += [LimitFile("cpu.cfs_quota_us", str(quota))] if quota else []
        yield Limit("cpu", name, tuple(files))
    runtime, realtime_period = cpu.get("realtimeRuntime") or 0, cpu.get("realtimePeriod") or 0
    if runtime or realtime_period:
        name = f"cpu_rt_runtime {runtime}" if runtime else f"cpu_rt_period {realtime_period}"
        files = [LimitFile("cpu.rt_period_us", str(realtime_period))] if realtime_period else []
        files += [LimitFile("cpu.rt_runtime_us", str(runtime))] if runtime else []
        yield Limit("cpu", name, () if v2 else tuple(files))


def _cpuset(cpu: Resources) -> Iterator[Limit]:
    for key in ("cpus", "mems"):
        if cpu.get(key):
            name = "cpuset" if key == "cpus" else "cpuset (memory nodes)"
            yield Limit("cpuset", f"{name} {cpu[key]}", (LimitFile(f"cpuset.{key}", cpu[key]),))


def _block_io(block_io: Resources, *, v2: bool) -> Iterator[Limit]:
    controller = "io" if v2 else "blkio"
    if weight := block_io.get("weight") or 0:
        yield Limit(controller, f"blkio_config.weight {weight}", (_weight(weight, "", v2=v2),))
    for each in block_io.get("weightDevice") or ():
        device = f"{each['major']}:{each['minor']}"
        name = f"blkio_config.weight_device {device} {each['weight']}"
        yield Limit(controller, name, (_weight(each["weight"], device, v2=v2),))
    for key, (v1_file, word, name) in _RATES.items():
        for each in block_io.get(key) or ():
            device, rate = f"{each['major']}:{each['minor']}", each["rate"]
            file = LimitFile("io.max", f"{device} {word}={rate}") if v2 else LimitFile(v1_file, f"{device} {rate}")
            yield Limit(controller, f"blkio_config.{name} {device} {rate}", (file,))


_RATES: Final = {
    "throttleReadBpsDevice": ("blkio.throttle.read_bps_device", "rbps", "device_read_bps"),
    "throttleWriteBpsDevice": ("blkio.throttle.write_bps_device", "wbps", "device_write_bps"),
    "throttleReadIOPSDevice": ("blkio.throttle.read_iops_device", "riops", "device_read_iops"),
    "throttleWriteIOPSDevice": ("blkio.throttle.write_iops_device", "wiops", "device_write_iops"),
}


def _weight(weight: int, device: str, *, v2: bool) -> LimitFile:
    """BFQ's own file where the disk's scheduler is BFQ; else that of the cost model, or of kernels before 5.0."""
    text = f"{device} {weight}".strip()
    if v2:
        return LimitFile("io.bfq.weight", text, otherwise=("io.weight", f"{device or 'default'} {io_weight(weight)}"))
    suffix = "_device" if device else ""
    return LimitFile(f"blkio.bfq.weight{suffix}", text, otherwise=(f"blkio.weight{suffix}", text))


def cpu_weight(shares: int) -> int:
    """v2's weight (1 to 10000, usually 100) for v1's shares (2 to 262144, usually 1024): runc's curve through all three."""
    if shares <= 2:
        return 1
    if shares >= 262_144:
        return 10_000
    logarithm = math.log2(shares)
    return math.ceil(10 ** ((logarithm * logarithm + 125 * logarithm) / 612 - 7 / 34))


def io_weight(weight: int) -> int:
    """v2's weight (1 to 10000) for v1's (10 to 1000), on a straight line."""
    return 1 + (weight - 10) * 9999 // 990


def _or_max(size: int) -> str:
    return _MAX if size < 0 else str(size)
