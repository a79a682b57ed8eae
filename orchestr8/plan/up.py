"""`up`: the machine is made equal to the document."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from orchestr8.errors import Conflict
from orchestr8.model import labels
from orchestr8.model.ids import ContainerName, NetworkName, ServiceName, VolumeName
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
)
from orchestr8.plan.lending import recreate_borrowers
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
    decide_orphans(plan, desired, snapshot, decisions, remove=options.remove_orphans)
    bring_up(plan, desired, snapshot, graph, selected, decisions, options)
    return plan


def decide_orphans(
    plan: Plan, desired: Desired, snapshot: Snapshot, decisions: Decisions, *, remove: bool
) -> None:  # fmt: skip
    """Containers of services that the stack does not have: to be removed, or told."""
    left_over = _orphans(plan, desired, snapshot, remove=remove)
    for each in left_over if remove else ():
        decisions.setdefault(each.service, []).extend(removed([each], "its service is not in the stack file"))


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
        _check_guests(network, snapshot)
        for some in everything.values():
            restart_attached(some, attached, f"network {network}: {reason}")
    if options.renew_anon_volumes:
        recreate_borrowers(desired.services, graph, decisions)
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


def _check_guests(network: NetworkName, snapshot: Snapshot) -> None:
    """Containers of other stacks are not ours to stop."""
    guests = snapshot.network_guests.get(network, ())
    if guests:
        raise Conflict(
            f"network {network} must be replaced, but {', '.join(guests)} of another stack runs on it",
            code="O8-209",
            helps=[f"stop {guests[0]} first"],
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
