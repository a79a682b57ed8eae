"""A stack's containers as the engine tells them, found by service: what ps, exec and run ask for."""

from __future__ import annotations

from orchestr8.cli.documents import no_such_service
from orchestr8.errors import Conflict, NotFound

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from orchestr8.cli.context import Context


def list_containers(context: Context, services: Iterable[str] = (), *, stopped: bool) -> list[dict[str, Any]]:
    """Containers of these services, or with these names, or all. Raises NotFound for what the stack does not have."""
    found = ask_for_services(context, "containers", services, stopped=stopped)
    return sorted(found, key=lambda each: (each["service"], each["number"], each["name"]))


def ask_for_services(
    context: Context, what: str, services: Iterable[str] = (), *, stopped: bool
) -> list[dict[str, Any]]:  # fmt: skip
    """A list that the engine has for containers of these services, or with these names, or for all. Raises NotFound for
    what the stack does not have.
    """
    query: dict[str, Any] = {"all": 1} if stopped else {}
    if services := list(services):
        query["service"] = services
    stack = context.stack
    found: list[dict[str, Any]] = context.client.request("GET", f"/stacks/{stack}/{what}", query=query)
    for missing in set(services) - {each[key] for each in found for key in ("service", "name")}:
        _check_service(context, stack, missing)
    return found


def chosen_containers(
    known: Sequence[dict[str, Any]], name: str, *, one_offs: bool = False
) -> list[dict[str, Any]]:  # fmt: skip
    """Of those that are known: the service's of this name, one-offs among them or not; or the one that is called so itself."""
    of_service = [each for each in known if each["service"] == name and (one_offs or not each["oneoff"])]
    return of_service or [each for each in known if each["name"] == name]


def running_container(context: Context, name: str, index: int | None) -> dict[str, Any]:
    """The container in which `exec` runs: the one with that number, or the first that runs; or the one of that name."""
    found = _chosen(context, name)
    running = [each for each in found if each["state"] == "running" and index in (None, each["number"])]
    if running:
        return running[0]
    by_name = bool(found) and found[0]["service"] != name
    service = found[0]["service"] if by_name else name
    which = f" container #{index}" if index is not None else ""
    helps = [f"start it: orchestr8 up -d {service}"]
    if by_name and found[0]["oneoff"]:
        helps = []
    elif index is not None and found and all(each["number"] != index for each in found):
        numbers = ", ".join(f"#{each['number']}" for each in found)
        helps = [f"there is: {numbers}; `orchestr8 up -d --scale {service}=N` makes more"]
    raise Conflict(
        f'{"container" if by_name else "service"} "{name}" is not running{which}',
        notes=[f"{each['name']}: {each['status']}" for each in found],
        helps=helps,
    )


def one_container(context: Context, name: str, index: int | None) -> dict[str, Any]:
    """The container with that number, or the first, whether it runs or not; or the one of that name."""
    found = _chosen(context, name)
    for each in found:
        if index in (None, each["number"]):
            return each
    if found and found[0]["service"] != name:
        raise NotFound(f'container "{name}" is not #{index}')
    which = f" #{index}" if index is not None else ""
    raise NotFound(
        f'service "{name}" has no container{which}',
        notes=[f"{each['name']}: {each['status']}" for each in found],
        helps=[] if found else [f"create it: orchestr8 up -d {name}"],
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
    of_service = chosen_containers(found, service, one_offs=one_offs)
    there = of_service
    if index is not None:
        of_service = [each for each in there if each["number"] == index and not each["oneoff"]]
    if not of_service:
        which = f" #{index}" if index is not None else ""
        raise NotFound(
            f'service "{service}" has no container{which}',
            notes=[f"{each['name']}: {each['status']}" for each in there],
            helps=[] if there else [f"create it: orchestr8 up -d {service}"],
        )
    return of_service


def _chosen(context: Context, name: str) -> list[dict[str, Any]]:
    """None: the service has no container, or only one-offs. Raises NotFound for what the stack does not have."""
    return chosen_containers(list_containers(context, [name], stopped=True), name)


def _check_service(context: Context, stack: str, service: str) -> None:
    """A service without containers is either unknown or just not up; the stack file knows, where there is one."""
    if not context.project.files:
        raise NotFound(f"no such service: {service}", notes=[f"stack {stack} has no container of it"])
    loaded = context.load()
    known = [*loaded.document["services"], *loaded.services_disabled]
    if service not in known:
        raise no_such_service(service, known)
