"""A plan: numbered steps, what each waits for, and why it is there. What is printed is what is executed.

Who adds which steps is decided by the verbs (`plan.verbs`); running them is `reconcile.execute`'s.
"""

from dataclasses import dataclass, field
from typing import Any

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
from orchestr8.model.ids import ContainerName

NOTHING_TO_DO = "nothing to do"
LONG_REASON = 72  # characters: a longer one is written once for each target, and referred to after that


@dataclass(frozen=True, slots=True)
class Step:
    number: int  # from 1; a step waits only for lower numbers
    action: Action
    reason: str
    after: tuple[int, ...] = ()

    def __str__(self) -> str:
        return self.line(self.reason)

    def line(self, reason: str) -> str:
        after = f" after {', '.join(map(str, self.after))}" if self.after else ""
        return f"{self.number}. {self.action}{after} -- {reason}"


@dataclass(slots=True)
class Plan:
    """Steps in an order that can be followed from top to bottom; `after` says what may go side by side."""

    steps: list[Step] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unchanged: list[ContainerName] = field(default_factory=list)  # run already, and are as they should be

    def add(self, action: Action, reason: str, *after: Step | int | None) -> Step:
        """Append a step that waits for the steps in `after`; None stands for a step that was not needed."""
        numbers = {each if isinstance(each, int) else each.number for each in after if each is not None}
        step = Step(len(self.steps) + 1, action, reason, tuple(sorted(numbers)))
        if numbers and max(numbers) >= step.number:
            raise ValueError(f"step {step.number} waits for a later step: {sorted(numbers)}")
        self.steps.append(step)
        return step

    @property
    def empty(self) -> bool:
        return not self.steps

    def render(self) -> str:
        """One line a step, stable for equal worlds: what `plan` prints and what tests compare."""
        told: dict[tuple[str, str], int] = {}
        lines = []
        for step in self.steps:
            first = told.setdefault((target_of(step.action), step.reason), step.number)
            again = first != step.number and len(step.reason) > LONG_REASON
            lines.append(step.line(f"as step {first}" if again else step.reason))
        return "\n".join(lines) or NOTHING_TO_DO

    def to_json(self) -> dict[str, Any]:
        steps = [
            {
                "number": step.number,
                "action": type(step.action).__name__,
                "kind": kind_of(step.action),
                "target": target_of(step.action),
                "reason": step.reason,
                "after": list(step.after),
            }
            for step in self.steps
        ]
        return {"steps": steps, "text": self.render(), "warnings": list(self.warnings)}


_KINDS: dict[type, str] = {
    CreateNetwork: "Network",
    RemoveNetwork: "Network",
    CreateVolume: "Volume",
    RemoveVolume: "Volume",
}


def kind_of(action: Action) -> str:
    """Container, Network or Volume: the words of compose's progress lines."""
    return _KINDS.get(type(action), "Container")


def target_of(action: Action) -> str:
    """The name of what the action is done to; for a wait, the service that is waited for."""
    match action:
        case CreateNetwork() | CreateVolume():
            return action.spec.name
        case RemoveNetwork() | RemoveVolume():
            return action.name
        case WaitFor():
            return action.service
        case CreateContainer() | RemoveContainer() | StartContainer() | StopContainer() | KillContainer():
            return action.name
        case PauseContainer() | UnpauseContainer():
            return action.name


def containers_of(action: Action) -> tuple[ContainerName, ...]:
    """The containers that an action changes; none for a wait, which only looks."""
    match action:
        case CreateContainer() | RemoveContainer() | StartContainer() | StopContainer() | KillContainer():
            return (action.name,)
        case PauseContainer() | UnpauseContainer():
            return (action.name,)
        case _:
            return ()
