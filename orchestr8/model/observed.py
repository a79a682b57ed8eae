"""What a backend saw: one frozen snapshot, never a live handle."""

import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from orchestr8.model.ids import ContainerId, ContainerName, NetworkName, ServiceName, StackName, VolumeName
from orchestr8.model.sizes import size_text
from orchestr8.model.specs import ContainerSpec, LogDriver

Name = TypeVar("Name", bound=str)


class ContainerState(enum.StrEnum):
    CREATED = "created"  # made, never started
    RUNNING = "running"
    EXITED = "exited"


class Health(enum.StrEnum):
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundPort:
    host_ip: str
    published: int
    target: int
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedContainer:
    id: ContainerId
    name: ContainerName
    stack: StackName
    service: ServiceName
    number: int  # 1-based replica; 0 for a one-off
    image: str
    image_outdated: bool = False  # another image has that name by now
    command: tuple[str, ...] = ()  # entrypoint and command as run
    config_hash: str = ""
    oneoff: bool = False
    state: ContainerState = ContainerState.CREATED
    paused: bool = False  # it runs, and none of its processes does
    pid: int = 0  # of PID 1 as the host sees it; 0 when not running
    health: Health | None = None  # None: no health check, or not running
    exit_code: int | None = None  # of the last run
    oom_killed: bool = False
    memory_max_bytes: int = 0  # 0: no limit of its own
    error: str = ""  # why the last start failed
    created_at: float = 0.0  # Unix time, s; here and below
    started_at: float = 0.0
    finished_at: float = 0.0
    restarts: int = 0  # by policy, since the last start by a command
    stopped_by_user: bool = False
    addresses: dict[NetworkName, tuple[str, ...]] = field(default_factory=dict)
    ports: tuple[BoundPort, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    log_driver: LogDriver = LogDriver.LOCAL
    log_kept: bool = True  # in files, so that it can be read here
    log_lost_bytes: int = 0  # what a full disk, or its receiver, did not take of the log


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended."""

    exit_code: int
    why: str = ""  # more than the code says, as `lack_of_memory` does

    @classmethod
    def of(cls, container: ObservedContainer) -> "RunEnd":
        """Its last run's, which is over."""
        return cls(container.exit_code or 0, lack_of_memory(container))


def lack_of_memory(container: ObservedContainer) -> str:
    """`out of memory: 64M limit` for a container of whose last run the kernel killed a process; else ""."""
    return out_of_memory(container.memory_max_bytes) if container.oom_killed else ""


def out_of_memory(memory_max_bytes: int) -> str:
    """The machine's memory may have run out, not the container's."""
    return f"out of memory: {size_text(memory_max_bytes)} limit" if memory_max_bytes else "out of memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedNetwork:
    name: NetworkName
    stack: StackName
    key: str
    subnet: str  # CIDR in use
    requested_subnet: str = ""  # as asked for; "" when the engine chose
    bridge: str = ""  # the link's name; "" when the link is gone
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedVolume:
    name: VolumeName
    stack: StackName
    key: str
    path: str
    labels: dict[str, str] = field(default_factory=dict)


ALL_STACKS: Final = StackName("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A stack's things by name, and what has to do with other stacks: the names of their networks and volumes, for
    `external`; and their containers that run on this stack's networks, or mount its volumes.
    """

    stack: StackName = ALL_STACKS
    containers: dict[ContainerName, ObservedContainer] = field(default_factory=dict)
    networks: dict[NetworkName, ObservedNetwork] = field(default_factory=dict)
    volumes: dict[VolumeName, ObservedVolume] = field(default_factory=dict)
    specs: dict[ContainerName, ContainerSpec] = field(default_factory=dict)  # what each container was made from
    foreign_networks: frozenset[NetworkName] = frozenset()
    foreign_volumes: frozenset[VolumeName] = frozenset()
    network_guests: dict[NetworkName, tuple[ContainerName, ...]] = field(default_factory=dict)
    volume_guests: dict[VolumeName, tuple[ContainerName, ...]] = field(default_factory=dict)


def guests(
    names: Iterable[Name], uses: Mapping[ContainerName, Collection[str]]
) -> dict[Name, tuple[ContainerName, ...]]:
    """Which containers use each of `names`, for `Snapshot`; those that nobody uses are left out."""
    found = {name: tuple(sorted(container for container, used in uses.items() if name in used)) for name in names}
    return {name: users for name, users in found.items() if users}
