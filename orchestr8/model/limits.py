"""What a container may use, as a user asked for it: memory, processors, disks, processes. 0, "" and () are no limit."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRate:
    """A figure for one disk: bytes or operations a second, or a weight."""

    path: str  # of the block device, on the host
    rate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockIoSpec:
    weight: int = 0  # 10 to 1000
    device_weights: tuple[DeviceRate, ...] = ()
    read_bytes: tuple[DeviceRate, ...] = ()  # a second, here and below
    write_bytes: tuple[DeviceRate, ...] = ()
    read_operations: tuple[DeviceRate, ...] = ()
    write_operations: tuple[DeviceRate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UlimitSpec:
    """A limit of each process by itself (getrlimit(2)); -1: none."""

    name: str  # "nofile"
    soft: int
    hard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceSpec:
    memory_max_bytes: int = 0
    memory_reservation_bytes: int = 0
    memory_swap_max_bytes: int = 0  # memory and swap together; 0: twice the memory; -1: no limit
    memory_swappiness: int | None = None  # 0 to 100; None: as the machine does
    oom_kill_disable: bool = False
    oom_score_adj: int = 0  # -1000 to 1000: how likely a victim when memory is short
    cpus: float = 0.0  # 1.5: one and a half processors
    cpu_shares: int = 0  # 2 to 262144; what has none has 1024
    cpu_quota_us: int = 0  # instead of `cpus`: so much in each period
    cpu_period_us: int = 0  # 0: 100 ms
    cpu_rt_runtime_us: int = 0
    cpu_rt_period_us: int = 0  # 0: 1 s
    cpuset: str = ""  # "0-3,7"
    pids_max: int = 0
    block_io: BlockIoSpec = BlockIoSpec()
    ulimits: tuple[UlimitSpec, ...] = ()  # sorted by name
    device_rules: tuple[str, ...] = ()  # "c 10:200 rwm", in their order
    cgroup_parent: str = ""  # "/batch": the group to be below, in each hierarchy
    host_cgroup: bool = False  # True: sees the machine's groups, not its own as the root
