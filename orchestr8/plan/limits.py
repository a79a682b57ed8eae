"""Limits of a service's containers, from its canonical document: the flat keys, and `deploy.resources` over them.

That both agree was checked by `stack`, as far as compose wants them to; where they do not, the later one wins as there.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from orchestr8.errors import InvalidInput
from orchestr8.model.limits import BlockIoSpec, DeviceRate, ResourceSpec, UlimitSpec
from orchestr8.plan.values import size_bytes

Document = Mapping[str, Any]

# What can name a cgroup; no `..` among it, since the engine makes what is missing.
_GROUP: Final = re.compile(r"/?[0-9a-zA-Z+_-][0-9a-zA-Z+_.-]*(/[0-9a-zA-Z+_-][0-9a-zA-Z+_.-]*)*/?")


def resources_of(content: Document, where: str) -> ResourceSpec:
    """Raises InvalidInput for what `config` does not print."""
    granted = (content.get("deploy") or {}).get("resources") or {}
    limits, reserved = granted.get("limits") or {}, granted.get("reservations") or {}

    def size(key: str, over: Any = None) -> int:
        return size_bytes(over or content.get(key) or 0, f"{where}.{key}")

    def microseconds(key: str) -> int:
        return max(0, int(content.get(key) or 0))

    parent = str(content.get("cgroup_parent") or "")
    if parent and not _GROUP.fullmatch(parent):
        raise InvalidInput(f"{where}.cgroup_parent: {parent!r} is not the path of a cgroup", code="O8-305")
    swap = content.get("memswap_limit") or 0
    swappiness = content.get("mem_swappiness")
    return ResourceSpec(
        memory_max_bytes=size("mem_limit", limits.get("memory")),
        memory_reservation_bytes=size("mem_reservation", reserved.get("memory")),
        memory_swap_max_bytes=-1 if str(swap).startswith("-") else size("memswap_limit"),
        memory_swappiness=None if swappiness is None or int(swappiness) < 0 else int(swappiness),
        oom_kill_disable=bool(content.get("oom_kill_disable")),
        oom_score_adj=int(content.get("oom_score_adj") or 0),
        cpus=float(limits.get("cpus") or content.get("cpus") or 0.0),
        cpu_shares=max(0, int(content.get("cpu_shares") or 0)),
        cpu_quota_us=microseconds("cpu_quota"),
        cpu_period_us=microseconds("cpu_period"),
        cpu_rt_runtime_us=microseconds("cpu_rt_runtime"),
        cpu_rt_period_us=microseconds("cpu_rt_period"),
        cpuset=str(content.get("cpuset") or ""),
        pids_max=max(0, int(limits.get("pids") or content.get("pids_limit") or 0)),
        block_io=_block_io(content.get("blkio_config") or {}, f"{where}.blkio_config"),
        ulimits=tuple(_ulimit(name, each) for name, each in sorted((content.get("ulimits") or {}).items())),
        device_rules=tuple(map(str, content.get("device_cgroup_rules") or ())),
        cgroup_parent=parent,
        host_cgroup=content.get("cgroup") == "host",
    )


def _block_io(content: Document, where: str) -> BlockIoSpec:
    def rates(key: str, word: str = "rate") -> tuple[DeviceRate, ...]:
        listed = content.get(key) or ()
        return tuple(
            DeviceRate(path=str(each["path"]), rate=size_bytes(each[word], f"{where}.{key}")) for each in listed
        )

    return BlockIoSpec(
        weight=int(content.get("weight") or 0),
        device_weights=rates("weight_device", "weight"),
        read_bytes=rates("device_read_bps"),
        write_bytes=rates("device_write_bps"),
        read_operations=rates("device_read_iops"),
        write_operations=rates("device_write_iops"),
    )


def _ulimit(name: str, value: Any) -> UlimitSpec:
    """One number is both."""
    both = value if isinstance(value, Mapping) else {"soft": value, "hard": value}
    return UlimitSpec(name=name, soft=int(both["soft"]), hard=int(both["hard"]))
