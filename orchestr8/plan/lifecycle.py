"""start, stop, restart, kill, pause, unpause: verbs on containers that exist. They apply no changed settings; `up` does."""

from collections.abc import Iterator

from orchestr8.errors import NotFound
from orchestr8.model.actions import KillContainer, PauseContainer, StopContainer, UnpauseContainer
from orchestr8.model.ids import ContainerName, ServiceName, StackName
from orchestr8.model.observed import ContainerState, ObservedContainer, Snapshot
from orchestr8.model.signals import signal_number
from orchestr8.model.specs import Desired, RestartMode
from orchestr8.plan.containers import Decision, Decisions, Fate, kept, restart_dependents, why_not_running
from orchestr8.plan.diff import is_stale
from orchestr8.plan.options import KillOptions, PauseOptions, RestartOptions, Services, StartOptions, StopOptions
from orchestr8.plan.order import Graph, containers_by_service, select, service_graph
from orchestr8.plan.plan import Plan
from orchestr8.plan.steps import Assembly


def plan_start(desired: Desired | None, snapshot: Snapshot, options: StartOptions = StartOptions()) -> Plan:
    """Start what exists and does not run, dependencies too. Raises NotFound where there is nothing to start."""
    plan = Plan()
    graph = service_graph(desired, snapshot)
    selected = select(graph, options.services, with_dependencies=True)
    present = containers_by_service(snapshot)
    _check_present(desired, snapshot, selected if options.services is not None else None, present)
    decisions = {name: kept(present[name]) for name in selected if name in present}
    for decision in _all(decisions):
        if not decision.running and decision.observed is not None:
            decision.fate, decision.reason = Fate.START, why_not_running(decision.observed)
    assembly = _assembly(plan, graph, decisions, snapshot, desired, wait_timeout_s=options.wait_timeout_s)
    assembly.bring_up({}, {})
    if options.wait:
        assembly.wait_for_all(selected)
    plan.unchanged += [each.name for each in _all(decisions) if each.fate is Fate.KEEP]
    return plan


def plan_stop(desired: Desired | None, snapshot: Snapshot, options: StopOptions = StopOptions()) -> Plan:
    """Stop in reverse order; also those that wait for their restart policy. One-offs are stopped when they are named."""
    plan = Plan()
    graph = service_graph(desired, snapshot)
    present = containers_by_service(snapshot)
    services, named = _named(graph, snapshot, options.services)
    if replicas := [each.name for each in named if not each.oneoff]:  # what goes first is decided by services
        raise NotFound(
            f"no such service: {replicas[0]}",
            helps=[f"all of its service: orchestr8 stop {snapshot.containers[replicas[0]].service}"],
        )
    for each in named:
        if each.state is ContainerState.RUNNING:
            plan.add(StopContainer(name=each.name, timeout_s=options.timeout_s, by_user=True), "stop requested")
    decisions = {name: kept(present.get(name, ())) for name in select(graph, services, with_dependencies=False)}
    for decision in _all(decisions):
        if decision.running or _may_run_again(decision, snapshot):
            decision.fate, decision.reason = Fate.STOP, "stop requested"
    _assembly(plan, graph, decisions, snapshot, desired, timeout_s=options.timeout_s).stop()
    return plan


def _may_run_again(decision: Decision, snapshot: Snapshot) -> bool:
    container = decision.observed
    if container is None or container.state is not ContainerState.EXITED or container.stopped_by_user:
        return False
    spec = snapshot.specs.get(decision.name)
    return spec is not None and spec.restart.mode is not RestartMode.NO


def plan_restart(desired: Desired | None, snapshot: Snapshot, options: RestartOptions = RestartOptions()) -> Plan:
    """Stop in reverse order and start in order, waiting as `depends_on` says, and say so when settings have changed."""
    plan = Plan()
    graph = service_graph(desired, snapshot)
    present = containers_by_service(snapshot)
    selected = select(graph, options.services, with_dependencies=False)
    _check_present(desired, snapshot, selected if options.services is not None else None, present)
    everything = {name: kept(present[name]) for name in graph if name in present}
    for decision in _all({name: everything.get(name, []) for name in selected}):
        decision.fate, decision.reason = Fate.RESTART, "restart requested"
    if not options.no_deps:
        restart_dependents(graph, everything)
    decisions = {name: each for name, each in everything.items() if any(some.fate is Fate.RESTART for some in each)}
    assembly = _assembly(plan, graph, decisions, snapshot, desired, timeout_s=options.timeout_s)
    assembly.stop()
    assembly.bring_up({}, {})
    _warn_of_drift(plan, desired, snapshot, selected, present)
    return plan


def _warn_of_drift(
    plan: Plan,
    desired: Desired | None,
    snapshot: Snapshot,
    selected: list[ServiceName],
    present: dict[ServiceName, list[ObservedContainer]],
) -> None:
    for name in selected if desired is not None else ():
        service = desired.services.get(name) if desired is not None else None
        if service is not None and any(
            is_stale(service, each, snapshot.specs.get(each.name)) for each in present.get(name, ())
        ):
            plan.warnings.append(f"the settings of {name} have changed since it was created; `up` applies them")


def plan_kill(desired: Desired | None, snapshot: Snapshot, options: KillOptions = KillOptions()) -> Plan:
    """One signal to everything that runs, at once. Raises InvalidInput for what is no signal."""
    signal_number(options.signal)
    plan = Plan()
    for container in _running(desired, snapshot, options.services):
        plan.add(KillContainer(name=container.name, signal=options.signal), "kill requested")
    return plan


def plan_pause(desired: Desired | None, snapshot: Snapshot, options: PauseOptions = PauseOptions()) -> Plan:
    """Pause what runs, all at once."""
    plan = Plan()
    for container in _running(desired, snapshot, options.services):
        if not container.paused:
            plan.add(PauseContainer(name=container.name), "pause requested")
    return plan


def plan_unpause(desired: Desired | None, snapshot: Snapshot, options: PauseOptions = PauseOptions()) -> Plan:
    plan = Plan()
    for container in _running(desired, snapshot, options.services):
        if container.paused:
            plan.add(UnpauseContainer(name=container.name), "unpause requested")
    return plan


def _running(desired: Desired | None, snapshot: Snapshot, services: Services) -> Iterator[ObservedContainer]:
    present = containers_by_service(snapshot)
    graph = service_graph(desired, snapshot)
    services, named = _named(graph, snapshot, services)
    of_services = [each for name in select(graph, services, with_dependencies=False) for each in present.get(name, ())]
    for each in dict.fromkeys(each.name for each in (*of_services, *named)):
        if snapshot.containers[each].state is ContainerState.RUNNING:
            yield snapshot.containers[each]


def _named(graph: Graph, snapshot: Snapshot, names: Services) -> tuple[Services, list[ObservedContainer]]:
    """What a command line names: services, and containers by their own names."""
    found = {name: snapshot.containers.get(ContainerName(name)) for name in names or () if name not in graph}
    containers = {name: each for name, each in found.items() if each is not None}
    return None if names is None else tuple(each for each in names if each not in containers), [*containers.values()]


def _check_present(
    desired: Desired | None,
    snapshot: Snapshot,
    named: Services | list[ServiceName],
    present: dict[ServiceName, list[ObservedContainer]],
) -> None:
    """Raise where a user would otherwise wait for something that cannot happen."""
    helps = ["`up` creates and starts it"]
    if named is None:
        if not present:
            stack = desired.stack if desired is not None else _stack_of(snapshot)
            raise NotFound(f'no container found for project "{stack}": not found', helps=helps)
        return
    for name in named:
        wanted = desired is None or name not in desired.services or desired.services[name].replicas > 0
        if name not in present and wanted:
            raise NotFound(f'service "{name}" has no container to start', helps=helps)


def _assembly(
    plan: Plan,
    graph: Graph,
    decisions: Decisions,
    snapshot: Snapshot,
    desired: Desired | None,
    *,
    timeout_s: float | None = None,
    wait_timeout_s: float | None = None,
) -> Assembly:
    stack = desired.stack if desired is not None else _stack_of(snapshot)
    return Assembly(
        plan, stack, graph, decisions, snapshot, desired, timeout_s=timeout_s, wait_timeout_s=wait_timeout_s
    )


def _stack_of(snapshot: Snapshot) -> StackName:
    return snapshot.stack or next((each.stack for each in snapshot.containers.values()), StackName(""))


def _all(decisions: Decisions) -> list[Decision]:
    return [each for some in decisions.values() for each in some]
