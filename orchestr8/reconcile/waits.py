"""When a `WaitFor` is over: pure judgement of one container, and the texts that users know from compose."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from orchestr8.errors import OperationFailed
from orchestr8.model.actions import WaitFor
from orchestr8.model.ids import ContainerName
from orchestr8.model.observed import ContainerState, Health, ObservedContainer, lack_of_memory
from orchestr8.model.specs import Condition
from orchestr8.reconcile.execute import WaitFailed

PROOF_S: Final = 0.5


class Verdict(enum.Enum):
    MET = "met"
    PENDING = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is known of one container while somebody waits for it."""

    container: ObservedContainer | None  # with its health filled in; None: it is gone
    has_check: bool = False
    restarts_soon: bool = False  # it ended, and its restart policy will start it again
    check: Sequence[str] = ()  # the health check and its last result, as notes


def judge(action: WaitFor, name: ContainerName, look: Look) -> Verdict:
    """Raises WaitFailed when the condition cannot be met any more."""
    container = look.container
    if container is None:
        raise WaitFailed(f"dependency failed to start: container {name} was removed", name, code="O8-605")
    if container.state is ContainerState.CREATED:
        because = f": {container.error}" if container.error else ""
        raise WaitFailed(f"dependency failed to start: container {name} is not started{because}", name, code="O8-605")
    if container.state is ContainerState.RUNNING:
        return _judge_running(action, container, look)
    if container.exit_code == 0 and action.condition is not Condition.HEALTHY:
        return Verdict.MET
    if look.restarts_soon:
        return Verdict.PENDING
    raise _ended(action, container)


def crash(action: WaitFor, look: Look) -> str:
    """What to tell, once, of a container that ended while it is waited for, and is started again; else nothing.

    Without it, waiting for a program that ends at each start looks like waiting for one that is slow.
    """
    container = look.container
    if container is None or container.state is not ContainerState.EXITED or not look.restarts_soon:
        return ""
    memory = f", {lack_of_memory(container)}" if container.oom_killed else ""
    return (
        f"container {container.name} exited ({container.exit_code}{memory}) and will be started again,"
        f" while others wait for it {AIMS[action.condition]}"
    )


def missing_proof_s(action: WaitFor, look: Look, now: float) -> float:
    """How much longer a program that `--wait` finds running must go on before that is believed.

    It cannot say by itself that it works; compose looks for the first time after as long. Without this, one that fails
    at once would pass or not as the machine is fast. Who needs it only started (`depends_on`) does not wait for it.
    """
    if action.condition is not Condition.STARTED or not action.required or look.container is None:
        return 0.0
    if look.container.state is not ContainerState.RUNNING:
        return 0.0
    return min(PROOF_S, max(0.0, look.container.started_at + PROOF_S - now))


def _judge_running(action: WaitFor, container: ObservedContainer, look: Look) -> Verdict:
    match action.condition:
        case Condition.STARTED:
            return Verdict.MET
        case Condition.COMPLETED:
            return Verdict.PENDING
        case Condition.HEALTHY:
            if not look.has_check:
                raise WaitFailed(
                    f"dependency failed to start: container {container.name} has no healthcheck configured",
                    container.name,
                    code="O8-607",
                )
            if container.health is Health.UNHEALTHY:
                message = f"dependency failed to start: container {container.name} is unhealthy"
                raise WaitFailed(message, container.name, notes=list(look.check))
            return Verdict.MET if container.health is Health.HEALTHY else Verdict.PENDING


def _ended(action: WaitFor, container: ObservedContainer) -> WaitFailed:
    notes = [lack_of_memory(container)] if container.oom_killed else []
    if action.condition is Condition.COMPLETED:
        message = f'service "{action.service}" didn\'t complete successfully: exit {container.exit_code}'
    else:
        message = f"dependency failed to start: container {container.name} exited ({container.exit_code})"
    failed = WaitFailed(message, container.name, code="O8-605", notes=notes)
    failed.helps.append(f"see why: orchestr8 logs {container.service}")
    return failed


def timed_out(action: WaitFor, name: ContainerName, look: Look) -> OperationFailed:
    """Compose's sentence, and what was waited for."""
    notes = [f"container {name}: {_state(look)}, waited for it {AIMS[action.condition]}", *look.check]
    return WaitFailed(f"application not healthy after {action.timeout_s:g}s", name, code="O8-606", notes=notes)


AIMS = {
    Condition.STARTED: "to run",
    Condition.HEALTHY: "to be healthy",
    Condition.COMPLETED: "to complete",
}


def _state(look: Look) -> str:
    if look.container is None:
        return "not there"
    if look.container.health is not None:
        return f"{look.container.state.value} ({look.container.health.value})"
    return look.container.state.value
