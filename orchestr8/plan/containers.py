"""What is to become of each container: kept, started, restarted, re-created, removed, or made new; and why.

The steps that follow from these decisions, and their order, are `plan.steps`'.
"""

import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from orchestr8.model import labels
from orchestr8.model.ids import ContainerName, ServiceName
from orchestr8.model.observed import ContainerState, ObservedContainer, Snapshot, lack_of_memory
from orchestr8.model.specs import Desired, ServiceSpec
from orchestr8.plan.diff import is_stale, why_stale
from orchestr8.plan.order import Graph


class Fate(enum.Enum):
    KEEP = "kept"
    CREATE = "created"
    START = "started"
    RESTART = "restarted"
    RECREATE = "recreated"
    STOP = "stopped"
    REMOVE = "removed"


STOPPING = frozenset({Fate.RESTART, Fate.RECREATE, Fate.STOP, Fate.REMOVE})
STARTING = frozenset({Fate.CREATE, Fate.START, Fate.RESTART, Fate.RECREATE})


@dataclass(slots=True, kw_only=True)
class Decision:
    service: ServiceName
    name: ContainerName  # the container's afterwards; `observed.name` before
    number: int
    fate: Fate
    reason: str = ""
    observed: ObservedContainer | None = None
    by_policy: bool = False  # started by its restart policy: counts as a restart

    @property
    def running(self) -> bool:
        return self.observed is not None and self.observed.state is ContainerState.RUNNING


Decisions = dict[ServiceName, list[Decision]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a verb treats containers that exist."""

    force_recreate: bool = False
    no_recreate: bool = False


def decide_service(
    stack: str, service: ServiceSpec, observed: Iterable[ObservedContainer], snapshot: Snapshot, rules: Rules
) -> list[Decision]:
    """One decision a container: surplus ones go, the missing are made, the rest is compared with the service."""
    present = sorted(observed, key=lambda each: each.number)
    stale = {each.name for each in present if is_stale(service, each, snapshot.specs.get(each.name))}
    surplus = _surplus(present, stale, service.replicas)
    decisions = [_removed(each, f"scaled to {service.replicas}") for each in present if each.name in surplus]
    kept = [each for each in present if each.name not in surplus]
    decisions += [_compared(stack, service, each, each.name in stale, snapshot, rules) for each in kept]
    taken = {each.number for each in kept}
    numbers = (number for number in range(1, service.replicas + len(taken) + 1) if number not in taken)
    for number, _ in zip(numbers, range(service.replicas - len(kept)), strict=False):
        name = container_name(stack, service, number)
        decisions.append(Decision(service=service.name, name=name, number=number, fate=Fate.CREATE, reason="not found"))
    return sorted(decisions, key=lambda each: (each.number, each.name))


def container_name(stack: str, service: ServiceSpec, number: int) -> ContainerName:
    return service.container_name or ContainerName(f"{stack}-{service.name}-{number}")


def _surplus(present: list[ObservedContainer], stale: Collection[str], replicas: int) -> set[ContainerName]:
    """Those out of date go first, then the highest numbers, as compose has it."""
    order = sorted(present, key=lambda each: (each.name not in stale, -each.number))
    return {each.name for each in order[: max(0, len(present) - replicas)]}


def _removed(container: ObservedContainer, reason: str) -> Decision:
    return Decision(
        service=container.service,
        name=container.name,
        number=container.number,
        fate=Fate.REMOVE,
        reason=reason,
        observed=container,
    )


def _compared(
    stack: str, service: ServiceSpec, container: ObservedContainer, stale: bool, snapshot: Snapshot, rules: Rules
) -> Decision:
    decision = Decision(
        service=service.name, name=container.name, number=container.number, fate=Fate.KEEP, observed=container
    )
    if rules.force_recreate or (stale and not rules.no_recreate):
        changed = why_stale(service, container, snapshot.specs.get(container.name)) if stale else "--force-recreate"
        decision.fate, decision.reason = Fate.RECREATE, changed
        decision.name = container_name(stack, service, container.number)
    elif container.state is not ContainerState.RUNNING:
        decision.fate, decision.reason = Fate.START, why_not_running(container)
    return decision


def kept(containers: Iterable[ObservedContainer]) -> list[Decision]:
    """Decisions that leave everything as it is, for services which a command does not concern."""
    return [
        Decision(service=each.service, name=each.name, number=each.number, fate=Fate.KEEP, observed=each)
        for each in containers
    ]


def removed(containers: Iterable[ObservedContainer], reason: str) -> list[Decision]:
    return [_removed(each, reason) for each in containers]


@dataclass(frozen=True, slots=True)
class Orphans:
    """Containers of services that the stack file does not have. Two directories may hold stacks of one name: what
    another directory brought up is somebody's.
    """

    here: list[ObservedContainer]
    elsewhere: list[ObservedContainer]


def orphans(desired: Desired, snapshot: Snapshot) -> Orphans:
    found = Orphans([], [])
    for name in sorted(snapshot.containers):
        container = snapshot.containers[name]
        if not (container.oneoff or container.service in desired.services or container.service in desired.disabled):
            place = container.labels.get(labels.WORKING_DIR, "")
            ours = not place or not desired.working_dir or place == desired.working_dir
            (found.here if ours else found.elsewhere).append(container)
    return found


def why_not_running(container: ObservedContainer) -> str:
    """`exited with code 137, out of memory: 64M limit`, `not started yet`, `last start failed: …`."""
    if container.error:
        return f"last start failed: {container.error}"
    if container.state is ContainerState.CREATED:
        return "not started yet"
    return ", ".join(filter(None, (f"exited with code {container.exit_code}", lack_of_memory(container))))


def restart_dependents(graph: Graph, decisions: Mapping[ServiceName, list[Decision]]) -> None:
    """`depends_on.restart: true`: those who run go down and up with a dependency that a command replaces or restarts."""
    cause: dict[ServiceName, Fate] = {}
    for name, edges in graph.items():
        replaced = next((each.service for each in edges if each.restart and each.service in cause), None)
        if replaced is not None:
            for decision in decisions.get(name, ()):
                if decision.fate is Fate.KEEP and decision.running:
                    decision.fate = Fate.RESTART
                    decision.reason = f"{replaced} is {cause[replaced].value}"
        fates = [each.fate for each in decisions.get(name, ())]
        found = next((fate for fate in (Fate.RECREATE, Fate.RESTART) if fate in fates), None)
        if found is not None:
            cause[name] = found


def restart_attached(decisions: Iterable[Decision], names: Collection[ContainerName], reason: str) -> None:
    """A network can only be replaced while nothing runs on it."""
    for decision in decisions:
        if decision.name in names and decision.fate is Fate.KEEP and decision.running:
            decision.fate, decision.reason = Fate.RESTART, reason
