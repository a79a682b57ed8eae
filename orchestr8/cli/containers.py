"""A stack's containers as the engine tells them, found by service: what ps, exec and run ask for."""

from __future__ import annotations

from orchestr8.cli.documents import no_such_service
from orchestr8.errors import Conflict, NotFound

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from orchestr8.cli.context import Context


def list_containers(context: Context, services: Iterable[str] = (), *, stopped: bool) -> list[dict[str, Any]]:
    """Containers of these services, or of all, by name. Raises NotFound for a service that the stack does not have."""
    found = ask_for_services(context, "containers", services, stopped=stopped)
    return sorted(found, key=lambda each: (each["service"], each["number"], each["name"]))


def ask_for_services(
    context: Context, what: str, services: Iterable[str] = (), *, stopped: bool
) -> list[dict[str, Any]]:  # fmt: skip
    """A list that the engine has for containers of these services, or of all. Raises NotFound for a service that the
    stack does not have.
    """
    query: dict[str, Any] = {"all": 1} if stopped else {}
    if services := list(services):
        query["service"] = services
    stack = context.stack
    found: list[dict[str, Any]] = context.client.request("GET", f"/stacks/{stack}/{what}", query=query)
    for missing in set(services) - {each["service"] for each in found}:
        _check_service(context, stack, missing)
    return found


def running_container(context: Context, service: str, index: int | None) -> dict[str, Any]:
    """The container in which `exec` runs: the one with that number, or the first that runs; a one-off by its own name."""
    of_service = _of_service(context, service)
    running = [each for each in of_service if each["state"] == "running" and index in (None, each["number"])]
    if running:
        return running[0]
    which = f" container #{index}" if index is not None else ""
    raise Conflict(
        f'service "{service}" is not running{which}',
        notes=[f"{each['name']}: {each['status']}" for each in of_service],
        helps=[f"start it: orchestr8 up -d {service}"],
    )


def one_container(context: Context, service: str, index: int | None) -> dict[str, Any]:
    """The container with that number, or the first, whether it runs or not; a one-off by its own name."""
    of_service = _of_service(context, service)
    for each in of_service:
        if index in (None, each["number"]):
            return each
    which = f" #{index}" if index is not None else ""
    raise NotFound(
        f'service "{service}" has no container{which}',
        notes=[f"{each['name']}: {each['status']}" for each in of_service],
        helps=[] if of_service else [f"create it: orchestr8 up -d {service}"],
    )


def containers_to_copy(
    context: Context, service: str, index: int | None, *, one_offs: bool
) -> list[dict[str, Any]]:  # fmt: skip
    """Those of a service, or the one with that number; or the one of any stack that has this name or id."""
    try:
        found = list_containers(context, [service], stopped=True)
    except NotFound:
        try:
            described = context.client.request("GET", f"/containers/{service}/json")
        except NotFound:
            described = None
        if described is None:
            raise
        return [{"id": described["Id"], "name": described["Name"].removeprefix("/")}]
    of_service = [each for each in found if one_offs or not each["oneoff"]]
    if index is not None:
        of_service = [each for each in of_service if each["number"] == index and not each["oneoff"]]
    if not of_service:
        which = f" #{index}" if index is not None else ""
        raise NotFound(
            f'service "{service}" has no container{which}', helps=[f"create it: orchestr8 up -d {service}"]
        )  # fmt: skip
    return of_service


def _of_service(context: Context, service: str) -> list[dict[str, Any]]:
    try:
        return [each for each in list_containers(context, [service], stopped=True) if not each["oneoff"]]
    except NotFound:
        one_offs = [
            each for each in list_containers(context, stopped=True) if each["oneoff"] and each["name"] == service
        ]
        if not one_offs:
            raise
        return one_offs


def _check_service(context: Context, stack: str, service: str) -> None:
    """A service without containers is either unknown or just not up; the stack file knows, where there is one."""
    if not context.project.files:
        raise NotFound(f"no such service: {service}", notes=[f"stack {stack} has no container of it"])
    loaded = context.load()
    known = [*loaded.document["services"], *loaded.services_disabled]
    if service not in known:
        raise no_such_service(service, known)
