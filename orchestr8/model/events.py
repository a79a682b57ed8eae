"""What a backend reports unasked. An event only says "look again": state is read from a snapshot."""

import enum
from dataclasses import dataclass, field

from orchestr8.model.ids import ContainerId, ContainerName, ServiceName, StackName


class EventKind(enum.StrEnum):
    """Docker's words for a container's events, so that `events` needs no translation."""

    CREATE = "create"
    START = "start"
    DIE = "die"
    OOM = "oom"
    KILL = "kill"
    STOP = "stop"
    RESTART = "restart"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    DESTROY = "destroy"
    HEALTH = "health_status"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    kind: EventKind
    stack: StackName
    service: ServiceName
    container: ContainerName
    id: ContainerId
    at: float  # Unix time, s
    attributes: dict[str, str] = field(default_factory=dict)  # e.g. {"exitCode": "1"}
