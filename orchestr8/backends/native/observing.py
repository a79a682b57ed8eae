"""What exists on this machine, as a snapshot: of records, and of what shims have told of runs. Nothing is asked for here."""

from collections.abc import Collection

from orchestr8.backends.native.containers import Container
from orchestr8.model.ids import StackName
from orchestr8.model.observed import ObservedNetwork, ObservedVolume, Snapshot, guests
from orchestr8.model.records import Registry
from orchestr8.storage.volumes import VolumeStore


def snapshot(
    stack: StackName | None, containers: Collection[Container], registry: Registry, volume_store: VolumeStore
) -> Snapshot:
    """Of one stack, and of the others what it may run into; None: of all."""
    networks, volumes = registry.networks.values(), registry.volumes.values()
    mine = [each for each in containers if stack in {None, each.record.stack}]
    others = [each for each in containers if stack not in {None, each.record.stack}]
    return Snapshot(
        stack=stack or StackName(""),
        containers={each.record.name: each.observed() for each in mine},
        networks={
            each.name: ObservedNetwork(
                name=each.name,
                stack=each.stack,
                key=each.key,
                subnet=each.subnet,
                requested_subnet=each.requested_subnet,
                bridge=each.bridge,
                labels=dict(each.labels),
            )
            for each in networks
            if stack in {None, each.stack}
        },
        volumes={
            each.name: ObservedVolume(
                name=each.name,
                stack=each.stack,
                key=each.key,
                path=volume_store.path(each.name),
                labels=dict(each.labels),
            )
            for each in volumes
            if stack in {None, each.stack}
        },
        foreign_networks=frozenset(each.name for each in networks if each.stack != stack),
        foreign_volumes=frozenset(each.name for each in volumes if each.stack != stack),
        network_guests=guests(
            [each.name for each in networks if each.stack == stack],
            {each.record.name: each.record.addresses.keys() for each in others if each.running},
        ),
        volume_guests=guests(
            [each.name for each in volumes if each.stack == stack],
            {each.record.name: [mount.source for mount in each.record.spec.mounted] for each in others},
        ),
        specs={each.record.name: each.record.spec for each in mine},
    )
