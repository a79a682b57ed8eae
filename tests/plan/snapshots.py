"""Snapshots as a backend would give them after `plan_up` of a document: everything runs, and what is checked is healthy."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from orchestr8.model.actions import CreateContainer
from orchestr8.model.ids import ContainerId, ContainerName
from orchestr8.model.observed import (
    ContainerState,
    Health,
    ObservedContainer,
    ObservedNetwork,
    ObservedVolume,
    Snapshot,
)
from orchestr8.model.specs import ContainerSpec, Desired
from orchestr8.plan.verbs import plan_up


def snapshot_of(desired: Desired, services: Mapping[str, dict[str, Any]] | None = None) -> Snapshot:
    """`services`: changes to each container of a service, such as {"web": {"state": EXITED}}."""
    snapshot = Snapshot(
        networks={
            each.name: ObservedNetwork(
                name=each.name,
                stack=desired.stack,
                key=each.key,
                subnet=each.subnet or "10.201.0.0/24",
                requested_subnet=each.subnet,
                labels=dict(each.labels),
            )
            for each in desired.networks.values()
            if not each.external
        },
        volumes={
            each.name: ObservedVolume(
                name=each.name, stack=desired.stack, key=each.key, path=f"/v/{each.name}", labels=dict(each.labels)
            )
            for each in desired.volumes.values()
            if not each.external
        },
    )
    for step in plan_up(desired, snapshot).steps:
        if isinstance(step.action, CreateContainer):
            container = _running(step.action, len(snapshot.containers))
            container = dataclasses.replace(container, **(services or {}).get(container.service, {}))
            snapshot.containers[container.name] = container
            snapshot.specs[container.name] = step.action.spec
    return snapshot


def changed(
    snapshot: Snapshot,
    containers: Mapping[ContainerName, dict[str, Any]] | None = None,
    *,
    remove: Collection[ContainerName] = (),
    specs: Mapping[ContainerName, ContainerSpec] | None = None,
) -> Snapshot:
    found = {
        name: dataclasses.replace(each, **(containers or {}).get(name, {}))
        for name, each in snapshot.containers.items()
        if name not in remove
    }
    return dataclasses.replace(snapshot, containers=found, specs={**snapshot.specs, **(specs or {})})


def _running(action: CreateContainer, index: int) -> ObservedContainer:
    return ObservedContainer(
        id=ContainerId(f"{index:012x}"),
        name=action.name,
        stack=action.stack,
        service=action.service,
        number=action.number,
        image=action.spec.image,
        command=action.spec.command or (),
        config_hash=action.config_hash,
        oneoff=action.oneoff,
        state=ContainerState.RUNNING,
        pid=1000 + index,
        health=Health.HEALTHY if action.spec.healthcheck else None,
        started_at=1.0,
        addresses={each.network: (f"10.201.0.{index + 2}",) for each in action.spec.networks},
        labels=dict(action.labels),
    )
