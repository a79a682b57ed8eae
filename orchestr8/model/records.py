"""What the engine remembers about things it made: the rows behind a snapshot, and the protocol that keeps them.

Desired state and intents are the engine's own (`engine.store`); a backend needs only what stands here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from orchestr8.model.backend import ProbeResult
from orchestr8.model.ids import ContainerId, ContainerName, NetworkName, ServiceName, StackName, VolumeName
from orchestr8.model.observed import BoundPort, Health
from orchestr8.model.specs import ContainerSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRecord:
    id: ContainerId
    name: ContainerName
    stack: StackName
    service: ServiceName
    number: int
    oneoff: bool
    config_hash: str
    spec: ContainerSpec
    labels: dict[str, str]
    created_at: float
    addresses: dict[NetworkName, tuple[str, ...]] = field(default_factory=dict)  # allotted, kept over restarts
    ports: tuple[BoundPort, ...] = ()  # allotted, kept over restarts
    anonymous_volumes: tuple[VolumeName, ...] = ()
    id_base: int = 0  # the first of the host's ids that are this container's alone; 0: it has the host's own
    stopped_by_user: bool = False
    restarts: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRecord:
    name: NetworkName
    stack: StackName
    key: str
    subnet: str
    requested_subnet: str = ""
    bridge: str
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRecord:
    name: VolumeName
    stack: StackName
    key: str
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthRecord:
    """What was known of the health of one run of a container: `id` and `started_at` say of which."""

    name: ContainerName
    stack: StackName
    id: ContainerId
    started_at: float
    status: Health
    failing_streak: int
    results: tuple[ProbeResult, ...] = ()  # the last ones, as of the last change


@dataclass(frozen=True, slots=True, kw_only=True)
class DepartedRecord:
    """How a one-off ended that was removed at its end: whoever waited for it may ask later than that."""

    name: ContainerName
    stack: StackName
    id: ContainerId
    exit_code: int
    why: str = ""  # more than the code says
    at: float  # Unix time of its end


class HealthMemory(Protocol):
    """Durable as a `Registry`, for whoever asks how containers are; a container's row goes with it."""

    @property
    def health(self) -> Mapping[ContainerName, HealthRecord]: ...
    async def save(self, record: HealthRecord, /) -> None: ...


class Registry(Protocol):
    """Durable rows with their current value in memory: reads are plain look-ups, a write returns when it is stored."""

    @property
    def containers(self) -> Mapping[ContainerName, ContainerRecord]: ...
    @property
    def networks(self) -> Mapping[NetworkName, NetworkRecord]: ...
    @property
    def volumes(self) -> Mapping[VolumeName, VolumeRecord]: ...
    async def save(self, *records: ContainerRecord | NetworkRecord | VolumeRecord) -> None:
        """Insert or replace, all in one transaction."""
        ...

    async def forget(self, *records: ContainerRecord | NetworkRecord | VolumeRecord) -> None:
        """Delete, all in one transaction; a row that is gone already is no error."""
        ...
