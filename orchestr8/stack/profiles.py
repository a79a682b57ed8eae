"""Which services are on: those without a profile, those of an active one, and those named on the command line."""

from collections.abc import Iterable

from orchestr8.stack.nodes import Mapping, Sequence


def profiles_of(service: Mapping) -> list[str]:
    node = service.items.get("profiles")
    return [str(item.plain()) for item in node.items] if isinstance(node, Sequence) else []


def active_profiles(services: Mapping, wanted: Iterable[str], named: Iterable[str]) -> set[str]:
    """The profiles that are on: asked for, and those of services named on the command line."""
    active = set(wanted)
    for name in named:
        service = services.items.get(name)
        if isinstance(service, Mapping) and not active.intersection(profiles_of(service)) and "*" not in active:
            active.update(profiles_of(service))
    return active


def disabled_services(services: Mapping, active: set[str]) -> dict[str, list[str]]:
    """Services that are off, with the profiles any of which would turn them on."""
    disabled: dict[str, list[str]] = {}
    for name, service in services.items.items():
        profiles = profiles_of(service) if isinstance(service, Mapping) else []
        if profiles and "*" not in active and not active.intersection(profiles):
            disabled[name] = profiles
    return disabled
