"""`volumes_from`: what one container has mounted, for another. Pure; used where the lender is known.

Of a service that is while planning; of a container of another stack, when the borrower is created.
"""

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Mapping

from orchestr8.errors import NotFound
from orchestr8.model.ids import ContainerName, VolumeName
from orchestr8.model.specs import ContainerSpec, MountKind, MountSpec


def anonymous_volume(container: ContainerName, target: str) -> VolumeName:
    """The volume of a mount that names none: 64 hex digits, as Docker names them. It follows from container and place,
    so that a container which is made anew finds it again.
    """
    return VolumeName(hashlib.sha256(f"{container}:{target}".encode()).hexdigest())


def lent(container: ContainerName, mounts: Iterable[MountSpec], *, read_only: bool) -> list[MountSpec]:
    """The binds and volumes of `container` as another one mounts them; not its tmpfs, as with Docker."""
    return [
        dataclasses.replace(
            each,
            source=each.source or anonymous_volume(container, each.target),
            read_only=each.read_only or read_only,
            nocopy=each.kind is MountKind.VOLUME or each.nocopy,  # its first contents are the lender's
        )
        for each in mounts
        if each.kind is not MountKind.TMPFS
    ]


def merged(own: Iterable[MountSpec], borrowed: Iterable[MountSpec]) -> tuple[MountSpec, ...]:
    """One mount a target: the container's own before what it borrows, and of that the last. Sorted by target."""
    by_target = {os.path.normpath(each.target): each for each in [*borrowed, *own]}
    return tuple(sorted(by_target.values(), key=lambda each: each.target))


def with_loans(spec: ContainerSpec, others: Mapping[ContainerName, ContainerSpec]) -> ContainerSpec:
    """With what the containers outside of the stack have mounted now. Raises NotFound for one that does not exist."""
    borrowed: list[MountSpec] = []
    for loan in spec.volumes_from:
        if loan.container not in others:
            raise NotFound(
                f"no such container: {loan.container}, whose volumes are to be mounted",
                helps=["it must exist before; `orchestr8 -p STACK ps -a` lists those of a stack"],
            )
        borrowed += lent(loan.container, others[loan.container].mounted, read_only=loan.read_only)
    return dataclasses.replace(spec, borrowed=tuple(borrowed))
