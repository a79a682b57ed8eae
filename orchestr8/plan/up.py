"""`up`, and the reconciliation of an engine that has just started: the machine is made equal to the document."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from orchestr8.errors import Conflict
from orchestr8.model import labels
from orchestr8.model.ids import ContainerName, NetworkName, ServiceName, StackName, VolumeName
from orchestr8.model.observed import ContainerState, ObservedContainer, Snapshot
from orchestr8.model.specs import Desired, ServiceSpec
from orchestr8.plan.containers import (
    Decision,
    Decisions,
    Fate,
    Rules,
    decide_service,
    kept,
    orphans,
    removed,
    restart_attached,
    restart_dependents,
    why_not_running,
)
from orchestr8.plan.networks import changed_networks, check_networks, containers_on, plan_networks, used_networks
from orchestr8.plan.options import UpOptions
from orchestr8.plan.order import Graph, containers_by_service, select, service_graph
from orchestr8.plan.plan import Plan, Step
from orchestr8.plan.steps import Assembly
from orchestr8.plan.volumes import check_volumes, plan_volumes, used_volumes


def plan_up(desired: Desired, snapshot: Snapshot, options: UpOptions = UpOptions()) -> Plan:
    """Raises NotFound for a service that is not in the document, InvalidInput or Conflict for networks and volumes
    that cannot be used: before anything has been touched.
    """
    plan = Plan()
    graph = service_graph(desired, snapshot)
    declared = {name: edges for name, edges in graph.items() if name in desired.services}
    selected = select(declared, options.services, with_dependencies=not options.no_deps)
    present = containers_by_service(snapshot)
    decisions: Decisions = {}
    for name in selected:
        force = options.force_recreate and (options.services is None or name in options.services)
        rules = Rules(force_recreate=force, no_recreate=options.no_recreate)
        service = desired.services[name]
        decisions[name] = decide_service(desired.stack, service, present.get(name, ()), snapshot, rules)
    left_over = _orphans(plan, desired, snapshot, remove=options.remove_orphans)
    for each in left_over if options.remove_orphans else ():
        decisions.setdefault(each.service, []).extend(removed([each], "its service is not in the stack file"))
    bring_up(plan, desired, snapshot, graph, selected, decisions, options)
    return plan


@dataclass(frozen=True, slots=True)
class Ground:
    """What a plan has laid so far, for steps that come after: the networks and volumes that are still to be made."""

    assembly: Assembly
    networks: dict[NetworkName, Step]
    volumes: dict[VolumeName, Step]


def bring_up(
    plan: Plan,
    desired: Desired,
    snapshot: Snapshot,
    graph: Graph,
    selected: list[ServiceName],
    decisions: Decisions,
    options: UpOptions,
    also: Iterable[ServiceSpec] = (),
) -> Ground:
    """Add the steps for `decisions`, and for the networks and volumes of the `selected` services and of `also`."""
    services = [*(desired.services[name] for name in selected), *also]
    present = containers_by_service(snapshot)
    networks = used_networks(services, desired.networks)
    volumes = used_volumes(services, desired.volumes)
    check_networks(networks, snapshot)
    check_volumes(volumes, snapshot)

    bystanders = {name: kept(present[name]) for name in graph if name in present and name not in decisions}
    everything = {**decisions, **bystanders}
    changed = {} if options.no_recreate else changed_networks(networks, snapshot)
    for network, reason in changed.items():
        attached = containers_on(network, snapshot)
        _check_one_offs(network, attached, snapshot)
        for some in everything.values():
            restart_attached(some, attached, f"network {network}: {reason}")
    restart_dependents(graph, everything)
    concerned = {name: each for name, each in everything.items() if name in decisions or _touched(each)}

    assembly = Assembly(
        plan,
        desired.stack,
        graph,
        concerned,
        snapshot,
        desired,
        timeout_s=options.timeout_s,
        wait_timeout_s=options.wait_timeout_s,
        remove_volumes=options.renew_anon_volumes,
    )
    assembly.stop()
    made = plan_networks(plan, desired.stack, networks, snapshot, changed, assembly.stopped)
    new_volumes = plan_volumes(plan, desired.stack, volumes, snapshot)
    assembly.bring_up(made, new_volumes, start=options.start)
    if options.wait and options.start:
        assembly.wait_for_all(selected)
    plan.unchanged += [
        each.name for name in selected for each in decisions[name] if each.fate is Fate.KEEP and each.running
    ]
    return Ground(assembly, made, new_volumes)


def _check_one_offs(network: NetworkName, attached: Collection[ContainerName], snapshot: Snapshot) -> None:
    """Somebody sits at the terminal of a one-off: it is not stopped on the way to something else."""
    running = [
        name
        for name in attached
        if snapshot.containers[name].oneoff and snapshot.containers[name].state is ContainerState.RUNNING
    ]
    if running:
        raise Conflict(
            f"network {network} must be replaced, but {', '.join(running)} runs on it",
            code="O8-209",
            helps=[f"end it first: orchestr8 kill or exit the program in {running[0]}"],
        )


def _touched(decisions: list[Decision]) -> bool:
    return any(each.fate is not Fate.KEEP for each in decisions)


def _orphans(plan: Plan, desired: Desired, snapshot: Snapshot, *, remove: bool) -> list[ObservedContainer]:
    found = orphans(desired, snapshot)
    if found.elsewhere:
        place = found.elsewhere[0].labels[labels.WORKING_DIR]
        plan.warnings.append(
            f"A stack of the same name, from {place}, runs beside this one "
            f"({', '.join(each.name for each in found.elsewhere)}); give one of the two another name"
        )
    if found.here and not remove:
        plan.warnings.append(
            f"Found orphan containers ({', '.join(each.name for each in found.here)}) for this project. "
            f"If their services were removed or renamed, clean up with --remove-orphans"
        )
    return found.here


def plan_reconcile(
    desired: Desired | None,
    snapshot: Snapshot,
    *,
    due: Collection[ContainerName] = (),
    stopped: Collection[ServiceName] = (),
    services: Collection[ServiceName] | None = None,
) -> Plan:
    """What the engine does of itself: start by policy what is `due`, and, given the document, finish an `up` that was
    cut short: make what is missing, replace what is out of date, start what never ran.

    `services`: those the last `up` was for; None for all. `stopped`: those that the user stopped. Whatever ran to its
    end is left to its restart policy, so a finished one-shot is not run again.
    """
    if desired is None:
        return _plan_due(snapshot, due)
    plan = Plan()
    graph = service_graph(desired, snapshot)
    declared = {name: edges for name, edges in graph.items() if name in desired.services}
    chosen = None if services is None else [name for name in services if name in declared]
    selected = [name for name in select(declared, chosen, with_dependencies=False) if name not in stopped]
    present = containers_by_service(snapshot)
    decisions = {
        name: decide_service(desired.stack, desired.services[name], present.get(name, ()), snapshot, Rules())
        for name in selected
    }
    decisions.update((name, kept(each)) for name, each in present.items() if name not in decisions)
    for decision in (each for some in decisions.values() for each in some):
        _leave_to_policy(decision, due)
    bring_up(plan, desired, snapshot, graph, selected, decisions, UpOptions())
    return plan


def _leave_to_policy(decision: Decision, due: Collection[ContainerName]) -> None:
    container = decision.observed
    if container is None or container.state is ContainerState.RUNNING:
        return
    if container.name in due and decision.fate in {Fate.START, Fate.KEEP}:
        decision.fate, decision.by_policy, decision.reason = Fate.START, True, why_not_running(container)
    elif decision.fate is Fate.START and (container.state is ContainerState.EXITED or container.error):
        decision.fate = Fate.KEEP


def _plan_due(snapshot: Snapshot, due: Collection[ContainerName]) -> Plan:
    """Start by policy, in order among themselves; services that are not due are neither touched nor waited for."""
    plan = Plan()
    found = {name: each for name, each in snapshot.containers.items() if name in due}
    decisions: Decisions = {}
    for container in sorted(found.values(), key=lambda each: (each.service, each.number)):
        if container.state is not ContainerState.RUNNING:
            (decision,) = kept([container])
            _leave_to_policy(decision, due)
            decisions.setdefault(container.service, []).append(decision)
    graph = service_graph(None, Snapshot(containers=found))
    stack = next((each.stack for each in found.values()), StackName(""))
    Assembly(plan, stack, graph, decisions, snapshot).bring_up({}, {})
    return plan
