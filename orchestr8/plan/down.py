"""`down`: everything of the stack goes, in reverse order; volumes only when asked for.

The rule, since compose's own is often complained of: containers are found by what belongs to the stack, not by what the
file lists today, so those of inactive profiles and of services removed from the file go too. Two things stay unless
`remove_orphans`: a one-off that still runs, and what another directory brought up under the same stack name.
"""

from orchestr8.model import labels
from orchestr8.model.actions import RemoveContainer, RemoveNetwork, RemoveVolume, StopContainer
from orchestr8.model.ids import NetworkName, StackName, VolumeName
from orchestr8.model.observed import ContainerState, ObservedContainer, Snapshot
from orchestr8.model.specs import Desired, MountKind
from orchestr8.plan.containers import Decisions, orphans, removed
from orchestr8.plan.networks import networks_of
from orchestr8.plan.options import DownOptions
from orchestr8.plan.order import containers_by_service, select, service_graph
from orchestr8.plan.plan import Plan, Step
from orchestr8.plan.steps import Assembly

REASON = "stack goes down"


def plan_down(desired: Desired | None, snapshot: Snapshot, options: DownOptions = DownOptions()) -> Plan:
    """Raises NotFound for a service that neither the document nor the snapshot knows."""
    plan = Plan()
    graph = service_graph(desired, snapshot)
    selected = set(select(graph, options.services, with_dependencies=False))
    staying = _staying(plan, desired, snapshot, options)
    decisions: Decisions = {
        name: removed((each for each in containers if each.name not in staying), REASON)
        for name, containers in containers_by_service(snapshot).items()
        if name in selected
    }
    stack = desired.stack if desired is not None else _stack_of(snapshot)
    assembly = Assembly(
        plan, stack, graph, decisions, snapshot, timeout_s=options.timeout_s, remove_volumes=options.volumes
    )
    one_offs = (
        [] if options.services is not None else [each for each in _one_offs(snapshot) if each.name not in staying]
    )
    _stop_one_offs(plan, one_offs, assembly, options)
    assembly.stop()
    for one_off in one_offs:
        action = RemoveContainer(name=one_off.name, volumes=options.volumes)
        assembly.removed[one_off.name] = plan.add(action, REASON, assembly.stopped.get(one_off.name))
    for name in reversed(graph):
        assembly.remove(name)
    if options.services is None:
        _remove_networks(plan, snapshot, assembly)
        if options.volumes:
            _remove_volumes(plan, snapshot, assembly)
    return plan


def _stack_of(snapshot: Snapshot) -> StackName:
    names = (
        *(each.stack for each in snapshot.containers.values()),
        *(each.stack for each in snapshot.networks.values()),
        *(each.stack for each in snapshot.volumes.values()),
    )
    return snapshot.stack or next(iter(names), StackName(""))


def _one_offs(snapshot: Snapshot) -> list[ObservedContainer]:
    return sorted((each for each in snapshot.containers.values() if each.oneoff), key=lambda each: each.name)


def _staying(plan: Plan, desired: Desired | None, snapshot: Snapshot, options: DownOptions) -> set[str]:
    if options.remove_orphans:
        return set()
    busy = [each.name for each in _one_offs(snapshot) if each.state is ContainerState.RUNNING]
    elsewhere = [] if desired is None else orphans(desired, snapshot).elsewhere
    if options.services is None:
        if busy:
            plan.warnings.append(
                f"{', '.join(busy)} still runs and stays: `orchestr8 stop NAME` ends one, --remove-orphans all of them"
            )
        if elsewhere:
            names = ", ".join(each.name for each in elsewhere)
            place = elsewhere[0].labels[labels.WORKING_DIR]
            plan.warnings.append(f"{names} was brought up from {place} and stays; --remove-orphans removes it too")
    return {*busy, *(each.name for each in elsewhere)}


def _stop_one_offs(plan: Plan, one_offs: list[ObservedContainer], assembly: Assembly, options: DownOptions) -> None:
    """They are nobody's dependency, and hold on to the services that they were made from: so they go first."""
    for each in one_offs:
        if each.state is ContainerState.RUNNING:
            action = StopContainer(name=each.name, timeout_s=options.timeout_s)
            assembly.stopped[each.name] = plan.add(action, REASON)


def _remove_networks(plan: Plan, snapshot: Snapshot, assembly: Assembly) -> None:
    users: dict[NetworkName, list[Step]] = {}
    busy: dict[NetworkName, list[str]] = {name: list(guests) for name, guests in snapshot.network_guests.items()}
    for name in sorted(snapshot.containers):
        for network in networks_of(name, snapshot):
            if name in assembly.removed:
                users.setdefault(network, []).append(assembly.removed[name])
            else:
                busy.setdefault(network, []).append(name)
    for network in sorted(snapshot.networks):
        if network in busy:
            plan.warnings.append(f"network {network} is still in use by {', '.join(busy[network])} and stays")
        else:
            plan.add(RemoveNetwork(network), REASON, *users.get(network, ()))


def _remove_volumes(plan: Plan, snapshot: Snapshot, assembly: Assembly) -> None:
    users: dict[VolumeName, list[Step]] = {}
    busy: dict[VolumeName, list[str]] = {name: list(guests) for name, guests in snapshot.volume_guests.items()}
    for name, spec in snapshot.specs.items():
        for mount in spec.mounted:
            if mount.kind is MountKind.VOLUME and mount.source and name in snapshot.containers:
                if name in assembly.removed:
                    users.setdefault(VolumeName(mount.source), []).append(assembly.removed[name])
                else:
                    busy.setdefault(VolumeName(mount.source), []).append(name)
    for volume in sorted(snapshot.volumes):
        if volume in busy:
            plan.warnings.append(f"volume {volume} is still in use by {', '.join(busy[volume])} and stays")
        else:
            # Whose an anonymous volume is does not stand in a spec, though who borrows it does.
            known = users.get(volume) if snapshot.volumes[volume].key else None
            plan.add(RemoveVolume(volume), "--volumes", *(known or assembly.removed.values()))
