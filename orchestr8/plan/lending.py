"""`volumes_from` between the services of a stack: who lends has its mounts repeated in who borrows."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from orchestr8.errors import InvalidInput
from orchestr8.model.ids import ContainerName, ServiceName
from orchestr8.model.lending import lent, merged
from orchestr8.model.specs import LoanSpec, MountSpec, ServiceSpec
from orchestr8.plan.containers import Decision, Decisions, Fate, container_name
from orchestr8.plan.order import topological

_CONTAINER = "container:"


def lend_volumes(
    stack: str, services: Mapping[ServiceName, ServiceSpec], document: Mapping[str, Any]
) -> dict[ServiceName, ServiceSpec]:
    """The services with what they borrow, directly and through those that they borrow from. No circles are left here."""
    wanted = {
        name: [_parsed(name, text) for text in (document.get(name) or {}).get("volumes_from") or ()]
        for name in services
    }
    found = dict(services)
    edges = {name: [ServiceName(each) for each, _ in loans] for name, loans in wanted.items()}
    for name in topological(edges):
        if wanted[name]:
            found[name] = _borrowing(stack, found, name, wanted[name])
    return found


def _borrowing(
    stack: str, services: Mapping[ServiceName, ServiceSpec], name: ServiceName, wanted: Iterable[tuple[str, bool]]
) -> ServiceSpec:
    service = services[name]
    borrowed: list[MountSpec] = []
    loans: dict[ContainerName, LoanSpec] = {}
    lenders: set[ServiceName] = set()
    for source, read_only in wanted:
        if source.startswith(_CONTAINER):
            other = ContainerName(source.removeprefix(_CONTAINER))
            loans[other] = LoanSpec(container=other, read_only=read_only)
            continue
        lender = services.get(ServiceName(source))
        if lender is None:
            raise InvalidInput(f"services.{name}.volumes_from: no service is called {source!r}", code="O8-204")
        lenders.add(lender.name)
        # As with compose, the first of its containers.
        borrowed += lent(container_name(stack, lender, 1), lender.container.mounts, read_only=read_only)
        for each in lender.container.volumes_from:
            loans.setdefault(each.container, dataclasses.replace(each, read_only=each.read_only or read_only))
    container = dataclasses.replace(
        service.container,
        mounts=merged(service.container.mounts, borrowed),
        volumes_from=tuple(loans[each] for each in sorted(loans)),
    )
    return dataclasses.replace(service, container=container, lenders=tuple(sorted(lenders)))


def _parsed(name: str, text: str) -> tuple[str, bool]:
    """`SERVICE[:ro|rw]`, `container:NAME[:ro|rw]` → whose, read-only."""
    head = _CONTAINER if text.startswith(_CONTAINER) else ""
    whose, colon, mode = text.removeprefix(head).partition(":")
    if not whose or (colon and mode not in {"ro", "rw"}):
        raise InvalidInput(
            f"services.{name}.volumes_from: {text!r} is not SERVICE, SERVICE:ro or container:NAME", code="O8-305"
        )
    return head + whose, mode == "ro"


def recreate_borrowers(
    services: Mapping[ServiceName, ServiceSpec], order: Iterable[ServiceName], decisions: Decisions
) -> None:
    """Volumes without a name that are made anew are to be had by those that borrow them: they follow their lender."""
    for name in order:
        lenders = services[name].lenders if name in services else ()
        renewed = next((each for each in lenders if _is_renewed(decisions.get(each, ()))), None)
        if renewed is not None:
            for decision in decisions.get(name, ()):
                if decision.observed is not None and decision.fate in {Fate.KEEP, Fate.START, Fate.RESTART}:
                    decision.fate, decision.reason = (
                        Fate.RECREATE,
                        f"the volumes that it has from {renewed} are made anew",
                    )


def _is_renewed(decisions: Iterable[Decision]) -> bool:
    return any(each.fate is Fate.RECREATE and each.number == 1 for each in decisions)
