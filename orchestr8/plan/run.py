"""`run`: what the service needs is brought up and waited for, then one container of its own is made, not started.

Starting it, its terminal and its removal belong to the engine: a client must be attached before the first byte.
"""

import dataclasses

from orchestr8.errors import NotFound
from orchestr8.model import labels
from orchestr8.model.actions import CreateContainer
from orchestr8.model.ids import ServiceName, VolumeName
from orchestr8.model.observed import Snapshot
from orchestr8.model.specs import ContainerSpec, Desired, RestartPolicy, ServiceSpec
from orchestr8.plan.containers import Decisions, Rules, decide_service
from orchestr8.plan.options import OneOff, UpOptions
from orchestr8.plan.order import containers_by_service, near, select, service_graph
from orchestr8.plan.plan import Plan
from orchestr8.plan.steps import create_action
from orchestr8.plan.up import bring_up, decide_orphans


def plan_run(desired: Desired, service_name: ServiceName, one_off: OneOff, snapshot: Snapshot) -> Plan:
    """Raises as `plan_up` does."""
    plan = Plan()
    graph = service_graph(desired, snapshot)
    declared = {name: edges for name, edges in graph.items() if name in desired.services}
    if service_name not in declared:
        raise NotFound(f"no such service: {service_name}", helps=near(service_name, declared))
    present = containers_by_service(snapshot)
    closure = [] if one_off.no_deps else select(declared, [service_name], with_dependencies=True)
    selected = [name for name in closure if name != service_name]
    decisions: Decisions = {
        name: decide_service(desired.stack, desired.services[name], present.get(name, ()), snapshot, Rules())
        for name in selected
    }
    if one_off.remove_orphans:
        decide_orphans(plan, desired, snapshot, decisions, remove=True)
    service = desired.services[service_name]
    spec = one_off_spec(service_name, service.container, one_off)
    options = UpOptions(timeout_s=one_off.timeout_s, wait_timeout_s=one_off.wait_timeout_s)
    ground = bring_up(plan, desired, snapshot, graph, selected, decisions, options, also=[service])
    needs = ground.assembly.needs_of(service_name)
    networks = [ground.networks.get(each.network) for each in spec.networks]
    volumes = [ground.volumes.get(VolumeName(each.source)) for each in spec.mounts]
    plan.add(_create(desired, service, spec, one_off), "run requested", *networks, *volumes, *needs)
    return plan


def one_off_spec(service_name: ServiceName, spec: ContainerSpec, one_off: OneOff) -> ContainerSpec:
    """The service's settings with what the command line says instead. An entrypoint of one's own drops the command,
    as in compose; a one-off takes no host ports and no names of the service unless asked to, and is never restarted.
    """
    own_entrypoint = one_off.entrypoint is not None
    command = one_off.command if one_off.command is not None or own_entrypoint else spec.command
    added = dict(one_off.environment)
    replaced = {"entrypoint", "command"} if own_entrypoint or one_off.command is not None else set()
    replaced |= {key for key in ("user", "working_dir") if getattr(one_off, key)}
    return dataclasses.replace(
        spec,
        entrypoint=one_off.entrypoint if own_entrypoint else spec.entrypoint,
        command=command,
        environment=tuple(sorted({**dict(spec.environment), **added}.items())),
        unset_environment=tuple(each for each in spec.unset_environment if each not in added),
        user=one_off.user or spec.user,
        working_dir=one_off.working_dir or spec.working_dir,
        tty=one_off.tty,
        stdin_open=one_off.stdin,
        ports=spec.ports if one_off.service_ports else (),
        networks=tuple(
            dataclasses.replace(each, aliases=(service_name, *each.aliases) if one_off.use_aliases else ())
            for each in spec.networks
        ),
        labels=tuple(sorted({**dict(spec.labels), **dict(one_off.labels)}.items())),
        restart=RestartPolicy(),
        origins=tuple(each for each in spec.origins if each[0] not in replaced),  # which stand on the command line
    )


def _create(desired: Desired, service: ServiceSpec, spec: ContainerSpec, one_off: OneOff) -> CreateContainer:
    action = create_action(desired, dataclasses.replace(service, container=spec), one_off.name, 0)
    own = {**dict(action.labels), labels.ONEOFF: "True"}
    return dataclasses.replace(action, oneoff=True, labels=tuple(sorted(own.items())))
