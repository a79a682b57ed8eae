"""What a running container uses: one reading of the kernel's counts. Rates are the difference of two readings."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Of one interface, as the container sees it, since that was made."""

    received_bytes: int = 0
    received_packets: int = 0
    received_errors: int = 0
    received_dropped: int = 0
    sent_bytes: int = 0
    sent_packets: int = 0
    sent_errors: int = 0
    sent_dropped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Counts go on over restarts as long as the container keeps its control group. 0: not accounted on this machine."""

    at_ns: int  # CLOCK_MONOTONIC, when it was read
    memory_bytes: int = 0  # the page cache included
    memory_inactive_file_bytes: int = 0  # of that, cache which the kernel would give up first
    memory_max_bytes: int = 0  # the container's limit, or what the machine has
    memory_limit_hits: int = 0
    oom_kills: int = 0
    cpu_us: int = 0
    cpu_periods: int = 0  # in which it ran, where a limit is set
    cpu_throttled_periods: int = 0
    cpu_throttled_us: int = 0
    pids: int = 0  # processes and threads
    pids_max: int = 0  # 0: no limit
    pids_refused: int = 0
    block_read_bytes: int = 0
    block_written_bytes: int = 0
    traffic: dict[str, Traffic] = field(default_factory=dict)  # by interface, `lo` aside
