"""Limits in the words of OCI's document: `linux.resources`, `process.rlimits`. Pure.

As dockerd says them (moby daemon/daemon_unix.go `getCPUResources`, `getMemoryResources`, `getBlkioResources`), so that the
same document can be given to runc or crun.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from orchestr8.kernel.cgroup_limits import PERIOD_US
from orchestr8.kernel.device_rules import DEFAULT_DEVICES, DeviceRule, oci_devices, parse
from orchestr8.model.limits import BlockIoSpec, DeviceRate, ResourceSpec

_QUOTA_MIN_US: Final = 1_000  # the kernel refuses less
_LIMIT_MAX: Final = 2**63 - 1
_RLIM_INFINITY: Final = 2**64 - 1

Numbers = Mapping[str, tuple[int, int]]  # path of a device → its major and minor


def oci_resources(limits: ResourceSpec, numbers: Numbers, devices: Iterable[DeviceRule] = ()) -> dict[str, Any]:
    """`numbers`: of every disk that `block_devices` names. `devices`: rules beside the usual ones and the spec's."""
    rules = [*DEFAULT_DEVICES, *devices, *map(parse, limits.device_rules)]
    resources: dict[str, Any] = {
        "devices": oci_devices(rules),
        "memory": _memory(limits),
        "cpu": _cpu(limits),
        "pids": {"limit": limits.pids_max} if limits.pids_max else {},
        "blockIO": _block_io(limits.block_io, numbers),
    }
    return {name: each for name, each in resources.items() if each}


def _said(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _memory(limits: ResourceSpec) -> dict[str, Any]:
    """Memory and swap together may reach twice the memory, unless something is said."""
    limit = limits.memory_max_bytes
    found = _said(
        limit=limit,
        swap=limits.memory_swap_max_bytes or min(2 * limit, _LIMIT_MAX),
        reservation=limits.memory_reservation_bytes,
        disableOOMKiller=limits.oom_kill_disable,
    )
    if limits.memory_swappiness is not None:
        found["swappiness"] = limits.memory_swappiness
    return found


def _cpu(limits: ResourceSpec) -> dict[str, Any]:
    quota, period = limits.cpu_quota_us, limits.cpu_period_us
    if limits.cpus:
        quota, period = max(round(limits.cpus * PERIOD_US), _QUOTA_MIN_US), PERIOD_US
    return _said(
        shares=limits.cpu_shares,
        quota=quota,
        period=period,
        realtimeRuntime=limits.cpu_rt_runtime_us,
        realtimePeriod=limits.cpu_rt_period_us,
        cpus=limits.cpuset,
    )


def _block_io(block_io: BlockIoSpec, numbers: Numbers) -> dict[str, Any]:
    def entries(rates: Iterable[DeviceRate], word: str) -> list[dict[str, int]]:
        return [{"major": numbers[each.path][0], "minor": numbers[each.path][1], word: each.rate} for each in rates]

    return _said(
        weight=block_io.weight,
        weightDevice=entries(block_io.device_weights, "weight"),
        throttleReadBpsDevice=entries(block_io.read_bytes, "rate"),
        throttleWriteBpsDevice=entries(block_io.write_bytes, "rate"),
        throttleReadIOPSDevice=entries(block_io.read_operations, "rate"),
        throttleWriteIOPSDevice=entries(block_io.write_operations, "rate"),
    )


def block_devices(limits: ResourceSpec) -> list[str]:
    """The disks that are named, whose numbers `oci_resources` needs."""
    io = limits.block_io
    rates = (*io.device_weights, *io.read_bytes, *io.write_bytes, *io.read_operations, *io.write_operations)
    return sorted({each.path for each in rates})


def oci_rlimits(limits: ResourceSpec) -> list[dict[str, Any]]:
    return [
        {
            "type": f"RLIMIT_{each.name.upper()}",
            "soft": _RLIM_INFINITY if each.soft < 0 else each.soft,
            "hard": _RLIM_INFINITY if each.hard < 0 else each.hard,
        }
        for each in limits.ulimits
    ]
