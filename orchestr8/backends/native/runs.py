"""One run of a container's program, as its shim told it. Who is told, and what follows from it, is `containers`' to say."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

from orchestr8.model.observed import ContainerState
from orchestr8.model.records import ContainerRecord


@dataclasses.dataclass(slots=True)
class RunState:
    """The last run as its shim told it."""

    state: ContainerState = ContainerState.CREATED
    pid: int = 0
    exit_code: int | None = None
    oom_killed: bool = False
    started_at: float = 0.0
    finished_at: float = 0.0
    log_lost_bytes: int = 0  # as far as it was told: when a loss began, and when it was over
    execs_used: tuple[int, int] = (0, 0)  # bytes read from block devices and written to them, by ended execs

    @classmethod
    def from_status(cls, status: Mapping[str, Any]) -> "RunState":
        return cls(
            ContainerState(status["state"]),
            **{name: status[name] for name in ("pid", "exit_code", "oom_killed", "started_at", "finished_at")},
            log_lost_bytes=status.get("log_lost_bytes", 0),
            execs_used=(status.get("execs_read_bytes", 0), status.get("execs_written_bytes", 0)),
        )


class Owner(Protocol):
    """Whose runs they are, as its parts see it."""

    run: RunState

    @property
    def record(self) -> ContainerRecord: ...

    @property
    def running(self) -> bool: ...

    @property
    def bundle(self) -> str: ...
