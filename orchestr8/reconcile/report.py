"""What a running plan tells: values with the exact shape of the progress lines that clients read."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestr8.errors import Orchestr8Error
from orchestr8.model.actions import (
    Action,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    KillContainer,
    PauseContainer,
    RemoveContainer,
    RemoveNetwork,
    RemoveVolume,
    StartContainer,
    StopContainer,
    UnpauseContainer,
    WaitFor,
)
from orchestr8.model.specs import Condition
from orchestr8.plan.plan import Plan, Step, kind_of, target_of


class Status(enum.StrEnum):
    """Compose's words."""

    CREATING = "Creating"
    CREATED = "Created"
    STARTING = "Starting"
    STARTED = "Started"
    WAITING = "Waiting"
    HEALTHY = "Healthy"
    COMPLETED = "Completed"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    KILLING = "Killing"
    KILLED = "Killed"
    PAUSING = "Pausing"
    PAUSED = "Paused"
    UNPAUSING = "Unpausing"
    UNPAUSED = "Unpaused"
    REMOVING = "Removing"
    REMOVED = "Removed"
    RUNNING = "Running"
    SKIPPED = "Skipped"
    ERROR = "Error"


_WORDS: dict[type, tuple[Status, Status]] = {
    CreateNetwork: (Status.CREATING, Status.CREATED),
    CreateVolume: (Status.CREATING, Status.CREATED),
    CreateContainer: (Status.CREATING, Status.CREATED),
    RemoveNetwork: (Status.REMOVING, Status.REMOVED),
    RemoveVolume: (Status.REMOVING, Status.REMOVED),
    RemoveContainer: (Status.REMOVING, Status.REMOVED),
    StartContainer: (Status.STARTING, Status.STARTED),
    StopContainer: (Status.STOPPING, Status.STOPPED),
    KillContainer: (Status.KILLING, Status.KILLED),
    PauseContainer: (Status.PAUSING, Status.PAUSED),
    UnpauseContainer: (Status.UNPAUSING, Status.UNPAUSED),
}
_MET = {
    Condition.STARTED: Status.RUNNING,  # that it was started is told by then
    Condition.HEALTHY: Status.HEALTHY,
    Condition.COMPLETED: Status.COMPLETED,
}


def begun(action: Action) -> Status:
    return Status.WAITING if isinstance(action, WaitFor) else _WORDS[type(action)][0]


def ended(action: Action) -> Status:
    return _MET[action.condition] if isinstance(action, WaitFor) else _WORDS[type(action)][1]


@dataclass(frozen=True, slots=True)
class PlanReport:
    """First of all, before anything is done."""

    plan: Plan

    def to_json(self) -> dict[str, Any]:
        return {"type": "plan", "steps": len(self.plan.steps), "text": self.plan.render()}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One thing has a new status. A wait reports each of its containers; number 0: no step was needed."""

    number: int
    kind: str
    name: str
    status: Status
    reason: str = ""
    error: Orchestr8Error | None = None

    @classmethod
    def of(cls, step: Step, status: Status, *, name: str = "", error: Orchestr8Error | None = None) -> "StepReport":
        return cls(
            number=step.number,
            kind=kind_of(step.action),
            name=name or target_of(step.action),
            status=status,
            reason=step.reason,
            error=error,
        )

    def to_json(self) -> dict[str, Any]:
        line: dict[str, Any] = {
            "type": "step",
            "number": self.number,
            "kind": self.kind,
            "name": self.name,
            "status": self.status.value,
            "reason": self.reason,
        }
        if self.error is not None:
            line["error"] = self.error.to_json()
        return line


@dataclass(frozen=True, slots=True)
class WarningReport:
    message: str
    code: str = ""
    helps: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        line: dict[str, Any] = {"type": "warning", "message": self.message, "code": self.code}
        return {**line, "helps": list(self.helps)} if self.helps else line


Report = PlanReport | StepReport | WarningReport
Reporter = Callable[[Report], None]


def ignore(_: Report) -> None:
    """For plans that nobody watches."""
