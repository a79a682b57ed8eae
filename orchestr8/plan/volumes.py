"""Which named volumes are missing. A volume that exists is never replaced: it holds the user's data."""

from collections.abc import Iterable, Mapping

from orchestr8.errors import InvalidInput
from orchestr8.model.actions import CreateVolume
from orchestr8.model.ids import StackName, VolumeName
from orchestr8.model.observed import Snapshot
from orchestr8.model.specs import MountKind, ServiceSpec, VolumeSpec
from orchestr8.plan.plan import Plan, Step


def used_volumes(services: Iterable[ServiceSpec], declared: Mapping[VolumeName, VolumeSpec]) -> list[VolumeSpec]:
    """The named volumes that `services` mount, by name; anonymous ones belong to their container."""
    mounts = (each for service in services for each in service.container.mounts)
    names = {VolumeName(each.source) for each in mounts if each.kind is MountKind.VOLUME and each.source}
    return [declared[name] for name in sorted(names) if name in declared]


def check_volumes(specs: Iterable[VolumeSpec], snapshot: Snapshot) -> None:
    """Raise before anything starts when an external volume does not exist."""
    for spec in specs:
        if spec.external and spec.name not in snapshot.volumes and spec.name not in snapshot.foreign_volumes:
            raise InvalidInput(
                f'external volume "{spec.name}" not found',
                code="O8-712",
                helps=["bring up the stack that owns it first", f"or remove `external` from volumes.{spec.key}"],
            )


def plan_volumes(
    plan: Plan, stack: StackName, specs: Iterable[VolumeSpec], snapshot: Snapshot
) -> dict[VolumeName, Step]:
    """Add the missing ones. One that another stack made is used as it is, with a warning, as compose does."""
    made = {}
    for spec in specs:
        if spec.external or spec.name in snapshot.volumes:
            continue
        if spec.name in snapshot.foreign_volumes:
            plan.warnings.append(
                f'volume "{spec.name}" already exists but was created by another stack; '
                f"set `external: true` under volumes.{spec.key} to say that this is meant"
            )
            continue
        made[spec.name] = plan.add(CreateVolume(stack, spec), "not found")
    return made
