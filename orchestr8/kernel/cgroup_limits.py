"""Limits as the files of a cgroup that hold them, for v1 and v2. Writing them is `kernel.cgroup`'s business."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from orchestr8.model.specs import ResourceSpec

_PERIOD_US: Final = 100_000  # CFS bandwidth period: the kernel's and Docker's default
_QUOTA_MIN_US: Final = 1_000  # the kernel refuses less
_MEMORY_LIMIT_MAX: Final = 2**63 - 1


class LimitFile(NamedTuple):
    name: str
    text: str
    optional: bool = False  # True: kernels without swap accounting have no such file, and there is nothing to limit


class Limit(NamedTuple):
    controller: str
    name: str  # as the stack file calls it, with its value
    files: tuple[LimitFile, ...]  # in the order to be written


def limit_files(limits: ResourceSpec, *, v2: bool) -> Iterator[Limit]:
    """The limits that are set. Memory and swap together may reach twice the memory, as with Docker."""
    if limits.memory_max_bytes:
        memory = limits.memory_max_bytes
        both = min(2 * memory, _MEMORY_LIMIT_MAX)
        yield Limit(
            "memory",
            f"mem_limit {memory}",
            (LimitFile("memory.max", str(memory)), LimitFile("memory.swap.max", str(both - memory), optional=True))
            if v2
            else (
                LimitFile("memory.limit_in_bytes", str(memory)),
                LimitFile("memory.memsw.limit_in_bytes", str(both), optional=True),
            ),
        )
    if limits.cpus:
        quota = max(round(limits.cpus * _PERIOD_US), _QUOTA_MIN_US)
        yield Limit(
            "cpu",
            f"cpus {limits.cpus:g}",
            (LimitFile("cpu.max", f"{quota} {_PERIOD_US}"),)
            if v2
            else (LimitFile("cpu.cfs_period_us", str(_PERIOD_US)), LimitFile("cpu.cfs_quota_us", str(quota))),
        )
    if limits.pids_max:
        yield Limit("pids", f"pids_limit {limits.pids_max}", (LimitFile("pids.max", str(limits.pids_max)),))
