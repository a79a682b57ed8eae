"""Which networks are missing, changed or somebody else's, and the steps that make them right."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from orchestr8.errors import Conflict, InvalidInput
from orchestr8.model.actions import CreateNetwork, RemoveNetwork
from orchestr8.model.ids import ContainerName, NetworkName, StackName
from orchestr8.model.observed import ObservedNetwork, Snapshot
from orchestr8.model.specs import NetworkSpec, ServiceSpec
from orchestr8.plan.plan import Plan, Step

_OURS: Final = "com.docker.compose."  # labels of ours follow from the name: a difference there is no change


def used_networks(services: Iterable[ServiceSpec], declared: Mapping[NetworkName, NetworkSpec]) -> list[NetworkSpec]:
    """The networks that `services` attach to, by name. Others are not made, as in compose."""
    names = {each.network for service in services for each in service.container.networks}
    return [declared[name] for name in sorted(names)]


def check_networks(specs: Iterable[NetworkSpec], snapshot: Snapshot) -> None:
    """Raise before anything starts when an external network is missing, or a name is taken by another stack."""
    for spec in specs:
        exists = spec.name in snapshot.networks or spec.name in snapshot.foreign_networks
        if spec.external and not exists:
            raise InvalidInput(
                f"network {spec.name} declared as external, but could not be found",
                code="O8-710",
                helps=["bring up the stack that owns it first", f"or remove `external` from networks.{spec.key}"],
            )
        if not spec.external and spec.name in snapshot.foreign_networks:
            raise Conflict(
                f"network {spec.name} belongs to another stack",
                code="O8-711",
                helps=[f"to share it, set `external: true` under networks.{spec.key}", "or give it another `name`"],
            )


def changed_networks(specs: Iterable[NetworkSpec], snapshot: Snapshot) -> dict[NetworkName, str]:
    """Networks of ours that exist with other settings than asked for, and what differs."""
    found = {}
    for spec in specs:
        observed = snapshot.networks.get(spec.name)
        reason = _difference(spec, observed) if observed is not None and not spec.external else ""
        if reason:
            found[spec.name] = reason
    return found


def _difference(spec: NetworkSpec, observed: ObservedNetwork) -> str:
    if spec.subnet != observed.requested_subnet:
        before = observed.requested_subnet or f"{observed.subnet} (chosen by the engine)"
        return f"subnet changed: {before} -> {spec.subnet or 'any'}"
    wanted = {key: value for key, value in spec.labels if not key.startswith(_OURS)}
    present = {key: value for key, value in observed.labels.items() if not key.startswith(_OURS)}
    keys = [key for key in sorted({*wanted, *present}) if wanted.get(key) != present.get(key)]
    return f"settings changed: {', '.join(f'labels.{key}' for key in keys)}" if keys else ""


def plan_networks(
    plan: Plan,
    stack: StackName,
    specs: Iterable[NetworkSpec],
    snapshot: Snapshot,
    changed: Mapping[NetworkName, str],
    stopped: Mapping[ContainerName, Step],
) -> dict[NetworkName, Step]:
    """Add steps that make `specs` exist; `stopped` are the steps that stop containers, on changed networks too.

    Returns the step after which each network is there, for those that are not there yet.
    """
    made = {}
    for spec in specs:
        if spec.external:
            continue
        if spec.name not in snapshot.networks:
            made[spec.name] = plan.add(CreateNetwork(stack, spec), "not found")
        elif spec.name in changed:
            waits = [stopped[name] for name in containers_on(spec.name, snapshot) if name in stopped]
            removed = plan.add(RemoveNetwork(spec.name), changed[spec.name], *waits)
            made[spec.name] = plan.add(CreateNetwork(stack, spec), changed[spec.name], removed)
    return made


def containers_on(network: NetworkName, snapshot: Snapshot) -> list[ContainerName]:
    """Containers of this stack with a place on `network`, running or not."""
    return [name for name in sorted(snapshot.containers) if network in networks_of(name, snapshot)]


def networks_of(container: ContainerName, snapshot: Snapshot) -> Collection[NetworkName]:
    """By the addresses it has, and by its spec: a container that never ran may have no address yet."""
    addresses = snapshot.containers[container].addresses
    spec = snapshot.specs.get(container)
    return set(addresses) | ({each.network for each in spec.networks} if spec is not None else set())
