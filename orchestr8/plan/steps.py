"""From decisions to steps in order: stop dependents first, start dependencies first, wait where the file says so.

One `Assembly` a plan. The verbs call its phases in the order in which a reader should see the steps.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from orchestr8.errors import InvalidInput
from orchestr8.model import labels
from orchestr8.model.actions import (
    CreateContainer,
    RemoveContainer,
    StartContainer,
    StopContainer,
    WaitFor,
)
from orchestr8.model.ids import ContainerName, NetworkName, ServiceName, StackName, VolumeName
from orchestr8.model.observed import BoundPort, ContainerState, Health, Snapshot
from orchestr8.model.specs import Condition, Dependency, Desired, MountKind, ServiceSpec
from orchestr8.plan.containers import STARTING, STOPPING, Decision, Decisions, Fate
from orchestr8.plan.order import Graph, dependents_of, write_label
from orchestr8.plan.plan import Plan, Step

_NAMED: Final = 5  # users of a wait that its reason names


class Assembly:
    """Turns `decisions` into steps of `plan`. Only services that have decisions are looked at or waited for."""

    def __init__(
        self,
        plan: Plan,
        stack: StackName,
        graph: Graph,
        decisions: Decisions,
        snapshot: Snapshot,
        desired: Desired | None = None,
        *,
        timeout_s: float | None = None,
        wait_timeout_s: float | None = None,
        remove_volumes: bool = False,
    ) -> None:
        self.plan = plan
        self.stack = stack
        self.graph = graph
        self.decisions = decisions
        self.snapshot = snapshot
        self.desired = desired
        self.timeout_s = timeout_s
        self.wait_timeout_s = wait_timeout_s
        self.remove_volumes = remove_volumes
        self.stopped: dict[ContainerName, Step] = {}
        self.removed: dict[ContainerName, Step] = {}
        self.created: dict[ContainerName, Step] = {}
        self.started: dict[ContainerName, Step] = {}
        self.waits: dict[tuple[ServiceName, Condition, bool], Step] = {}
        self._releases: list[tuple[BoundPort, ContainerName, Step]] = []  # host ports, and when they are let go

    # --- down -------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop what must not run, each service after those that depend on it, through services that go on too."""
        dependents = dependents_of(self.graph)
        barrier: dict[ServiceName, list[Step]] = {}
        for name in reversed(self.graph):
            before = list({step.number: step for each in dependents[name] for step in barrier[each]}.values())
            own = [self._stop(each, before) for each in self.decisions.get(name, ()) if self._must_stop(each)]
            barrier[name] = own or before

    @staticmethod
    def _must_stop(decision: Decision) -> bool:
        """A STOP of a container that waits for its restart policy is what ends the waiting."""
        return decision.fate is Fate.STOP or (decision.fate in STOPPING and decision.running)

    def _stop(self, decision: Decision, before: Iterable[Step]) -> Step:
        container = decision.observed
        assert container is not None
        by_user = decision.fate in {Fate.STOP, Fate.REMOVE}  # a restart cut short must not look like a user's wish
        action = StopContainer(name=container.name, timeout_s=self.timeout_s, by_user=by_user)
        step = self.stopped[container.name] = self.plan.add(action, decision.reason, *before)
        return step

    def remove(self, name: ServiceName, fates: Collection[Fate] = (Fate.REMOVE, Fate.RECREATE)) -> None:
        for decision in self.decisions.get(name, ()):
            if decision.fate in fates and decision.observed is not None:
                container = decision.observed.name
                action = RemoveContainer(name=container, volumes=self.remove_volumes)
                self.removed[container] = self.plan.add(action, decision.reason, self.stopped.get(container))

    # --- up ---------------------------------------------------------------------------------------------------

    def bring_up(
        self,
        networks: Mapping[NetworkName, Step],
        volumes: Mapping[VolumeName, Step],
        *,
        start: bool = True,
    ) -> None:
        """Remove what goes, for names and ports to be free; then create and start, in dependency order."""
        for name in self.graph:
            self.remove(name)
        self._note_released_ports()
        for name in self.graph:
            decisions = self.decisions.get(name, ())
            created = {
                each.name: self._create(each, networks, volumes)
                for each in decisions
                if each.fate in {Fate.CREATE, Fate.RECREATE}
            }
            starting = [each for each in decisions if each.fate in STARTING]
            if not start or not starting:
                continue
            needs = self.needs_of(name, by_policy=all(each.by_policy for each in starting))
            for decision in starting:
                made = [networks[each] for each in self._networks(decision) if each in networks]
                ready = created.get(decision.name) or self.stopped.get(decision.name)
                self.started[decision.name] = self.plan.add(
                    StartContainer(name=decision.name, by_policy=decision.by_policy),
                    decision.reason if decision.fate is not Fate.CREATE else "not running",
                    ready,
                    *([] if decision.name in created else made),
                    *needs,
                    *self._freed_ports(decision),
                )

    def _note_released_ports(self) -> None:
        for name, stopped in self.stopped.items():
            step = self.removed.get(name, stopped)
            self._releases += [(each, name, step) for each in self.snapshot.containers[name].ports]

    def _create(
        self, decision: Decision, networks: Mapping[NetworkName, Step], volumes: Mapping[VolumeName, Step]
    ) -> Step:
        service = self._service(decision.service)
        mounts = [each for each in service.container.mounts if each.kind is MountKind.VOLUME]
        before = [networks.get(each.network) for each in service.container.networks]
        before += [volumes.get(VolumeName(each.source)) for each in mounts]
        before.append(self.removed.get(decision.name))  # whoever had the name
        if decision.observed is not None:
            before.append(self.removed.get(decision.observed.name))
        action = create_action(self._desired(), service, decision.name, decision.number)
        lenders = [each.name for name in service.lenders for each in self.decisions.get(name, ())]
        before += [self.created.get(each) for each in lenders]
        step = self.created[decision.name] = self.plan.add(action, decision.reason, *before)
        return step

    def _networks(self, decision: Decision) -> Collection[NetworkName]:
        spec = self.snapshot.specs.get(decision.name)
        if spec is not None:
            return [each.network for each in spec.networks]
        return sorted(decision.observed.addresses) if decision.observed is not None else []

    def _freed_ports(self, decision: Decision) -> list[Step]:
        """A host port moves from one container to another only when the first has let go of it."""
        if not self._releases or self.desired is None or decision.service not in self.desired.services:
            return []
        own = decision.observed.name if decision.observed is not None else None
        return [
            step
            for port in self.desired.services[decision.service].container.ports
            for bound, holder, step in self._releases
            if holder != own
            if bound.protocol == port.protocol and port.published_first <= bound.published <= port.published_last
            if "0.0.0.0" in {bound.host_ip, port.host_ip} or bound.host_ip == port.host_ip
        ]

    # --- waiting ----------------------------------------------------------------------------------------------

    def needs_of(self, name: ServiceName, *, by_policy: bool = False) -> list[Step]:
        """The steps that a service's start waits for because of its `depends_on`.

        A restart policy does not ask how the dependencies are, only keeps the order among those that start with it.
        """
        found = []
        for each in self.graph[name]:
            if each.service not in self.decisions or not self._replicas(each.service):
                continue
            if each.condition is Condition.STARTED and each.required:
                found += self._starts(each.service)
            elif self._starts(each.service) or not (by_policy or self._holds_already(each)):
                found.append(self._wait(each, name))
        return found

    def wait_for_all(self, names: Iterable[ServiceName]) -> None:
        """`--wait`: running or healthy; for a one-shot that others wait for to complete, completed."""
        one_shots = {
            each.service for edges in self.graph.values() for each in edges if each.condition is Condition.COMPLETED
        }
        for name in names:
            condition = Condition.COMPLETED if name in one_shots else self._best_condition(name)
            aim = Dependency(service=name, condition=condition)
            if self._replicas(name) and (self._starts(name) or not self._holds_already(aim)):
                self._wait(aim)

    def _best_condition(self, name: ServiceName) -> Condition:
        if self.desired is not None and name in self.desired.services:
            return Condition.HEALTHY if self.desired.services[name].container.healthcheck else Condition.STARTED
        specs = [self.snapshot.specs.get(each.name) for each in self._replicas(name)]
        checked = any(each is not None and each.healthcheck is not None for each in specs)
        return Condition.HEALTHY if checked else Condition.STARTED

    def _wait(self, dependency: Dependency, user: ServiceName | None = None) -> Step:
        """The step that waits for it: one for all who need the same. `user`: who needs it; None: `--wait` does."""
        key = dependency.service, dependency.condition, dependency.required
        if key not in self.waits:
            if dependency.condition is Condition.HEALTHY and dependency.required:
                self._check_health_is_checked(dependency.service)
            action = WaitFor(
                service=dependency.service,
                containers=tuple(each.name for each in self._replicas(dependency.service)),
                condition=dependency.condition,
                required=dependency.required,
                timeout_s=self.wait_timeout_s,
            )
            reason = "--wait" if user is None else self._needed_by(dependency, user)
            self.waits[key] = self.plan.add(action, reason, *self._starts(dependency.service))
        return self.waits[key]

    def _check_health_is_checked(self, name: ServiceName) -> None:
        if self.desired is None or name not in self.desired.services:
            return
        if self.desired.services[name].container.healthcheck is None:
            first = self._replicas(name)[0].name
            raise InvalidInput(
                f"dependency failed to start: container {first} has no healthcheck configured",
                code="O8-607",
                helps=[f"add a `healthcheck` to services.{name}", "or depend on it with `service_started`"],
            )

    def _needed_by(self, dependency: Dependency, first: ServiceName) -> str:
        """All who will share the wait, for its one reason."""
        users = [
            name
            for name, edges in self.graph.items()
            if name == first or any(each.fate in STARTING for each in self.decisions.get(name, ()))
            for each in edges
            if (each.service, each.condition, each.required)
            == (dependency.service, dependency.condition, dependency.required)
        ]
        more = f" and {len(users) - _NAMED} more" if len(users) > _NAMED else ""
        return f"needed by {', '.join(users[:_NAMED])}{more}"

    def _holds_already(self, dependency: Dependency) -> bool:
        found = [each.observed for each in self._replicas(dependency.service)]
        match dependency.condition:
            case Condition.HEALTHY:
                return all(each is not None and each.health is Health.HEALTHY for each in found)
            case Condition.COMPLETED:
                return all(
                    each is not None and each.state is ContainerState.EXITED and each.exit_code == 0 for each in found
                )
            case Condition.STARTED:
                return all(each is not None and each.state is ContainerState.RUNNING for each in found)

    def _replicas(self, name: ServiceName) -> list[Decision]:
        gone = {Fate.REMOVE, Fate.STOP}
        return [each for each in self.decisions.get(name, ()) if each.fate not in gone]

    def _starts(self, name: ServiceName) -> list[Step]:
        return [self.started[each.name] for each in self._replicas(name) if each.name in self.started]

    def _desired(self) -> Desired:
        assert self.desired is not None, "only a document can say what to create"
        return self.desired

    def _service(self, name: ServiceName) -> ServiceSpec:
        return self._desired().services[name]


def create_action(desired: Desired, service: ServiceSpec, name: ContainerName, number: int) -> CreateContainer:
    own = {
        labels.PROJECT: desired.stack,
        labels.SERVICE: service.name,
        labels.NUMBER: str(number),
        labels.ONEOFF: "False",
        labels.CONFIG_HASH: service.config_hash,
        labels.WORKING_DIR: desired.working_dir,
        labels.CONFIG_FILES: ",".join(desired.config_files),
        labels.DEPENDS_ON: write_label(service.depends_on),
        labels.IMAGE: service.container.image,
    }
    return CreateContainer(
        name=name,
        stack=desired.stack,
        service=service.name,
        number=number,
        spec=service.container,
        config_hash=service.config_hash,
        labels=tuple(sorted({**dict(service.container.labels), **own}.items())),
    )
