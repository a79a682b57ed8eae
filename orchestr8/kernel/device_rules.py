"""Which devices a container may use: rules, their three spellings, and what a list of them amounts to.

Spelled as a line of cgroup v1 (`c 1:3 rwm`, also that of `device_cgroup_rules`) and as an entry of OCI's
`linux.resources.devices`. A list is read from its first rule to its last, as v1's files would be written; `settle` says
what is left of that, so that v1 and the program for v2 (`device_filter`) agree. Pure.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from orchestr8.errors import InvalidInput

ANY: Final = -1  # every major, or every minor
ALL_ACCESS: Final = "rwm"
_TEXT: Final = re.compile(r"([abc]) (\d{1,10}|\*):(\d{1,10}|\*) ([rwm]{1,3})")


class DeviceRule(NamedTuple):
    """`access` is a subset of "rwm": to read, to write, to make a node. `type` "a" is every device, whatever else is said."""

    type: str  # "a", "b", "c"
    major: int
    minor: int
    access: str
    allow: bool = True

    def __str__(self) -> str:
        """As `devices.allow` and `devices.deny` of cgroup v1 want it."""
        numbers = ":".join("*" if number == ANY else str(number) for number in (self.major, self.minor))
        return f"{self.type} {numbers} {self.access}"


EVERY_DEVICE: Final = DeviceRule("a", ANY, ANY, ALL_ACCESS)

# Docker's list: any node may be made, only harmless ones opened.
DEFAULT_DEVICES: Final = (
    DeviceRule("c", 1, 3, "rwm"),  # null
    DeviceRule("c", 1, 5, "rwm"),  # zero
    DeviceRule("c", 1, 7, "rwm"),  # full
    DeviceRule("c", 1, 8, "rwm"),  # random
    DeviceRule("c", 1, 9, "rwm"),  # urandom
    DeviceRule("c", 5, 0, "rwm"),  # tty
    DeviceRule("c", 5, 1, "rwm"),  # console
    DeviceRule("c", 5, 2, "rwm"),  # ptmx
    DeviceRule("c", 136, ANY, "rwm"),  # pts/*
    DeviceRule("c", ANY, ANY, "m"),
    DeviceRule("b", ANY, ANY, "m"),
)


class DevicePolicy(NamedTuple):
    """Every device is allowed, or none; and the other way round for what matches an exception."""

    allow: bool
    exceptions: tuple[DeviceRule, ...]


def parse(text: str) -> DeviceRule:
    """The rule of `c 10:200 rwm`. Raises InvalidInput."""
    found = _TEXT.fullmatch(text)
    if not found:
        raise InvalidInput(f"{text!r} is not a device rule such as `c 10:200 rwm`", code="O8-305")
    major, minor = (ANY if number == "*" else int(number) for number in found.groups()[1:3])
    return DeviceRule(found[1], major, minor, found[4])


def oci_devices(rules: Iterable[DeviceRule]) -> list[dict[str, Any]]:
    """`linux.resources.devices` of OCI's document: nothing but what `rules` say."""
    return [{"allow": False, "access": ALL_ACCESS}, *(_oci(rule) for rule in rules)]


def _oci(rule: DeviceRule) -> dict[str, Any]:
    entry: dict[str, Any] = {"allow": rule.allow, "access": rule.access}
    if rule.type != "a":
        numbers = {"major": rule.major, "minor": rule.minor}
        entry |= {"type": rule.type} | {key: number for key, number in numbers.items() if number != ANY}
    return entry


def from_oci(entries: Iterable[Mapping[str, Any]]) -> list[DeviceRule]:
    """The other way; what an entry leaves out is everything, as OCI's runtime-spec says."""
    return [
        DeviceRule(
            entry.get("type") or "a",
            entry.get("major", ANY),
            entry.get("minor", ANY),
            entry.get("access") or ALL_ACCESS,
            bool(entry["allow"]),
        )
        for entry in entries
    ]


def settle(rules: Sequence[DeviceRule]) -> DevicePolicy:
    """What a group allows that allowed everything before the first rule (security/device_cgroup.c).

    A rule for all devices begins anew. One against the general rule adds to the exceptions; one along with it takes away
    from the exception for exactly the same devices, and changes nothing where there is none.
    """
    allow = True
    exceptions: dict[tuple[str, int, int], set[str]] = {}
    for rule in rules:
        devices = rule.type, rule.major, rule.minor
        if rule.type == "a":
            allow = rule.allow
            exceptions.clear()
        elif rule.allow != allow:
            exceptions.setdefault(devices, set()).update(rule.access)
        elif devices in exceptions:
            exceptions[devices] -= set(rule.access)
    return DevicePolicy(
        allow,
        tuple(
            DeviceRule(*devices, "".join(sorted(access, key=ALL_ACCESS.index)), not allow)
            for devices, access in exceptions.items()
            if access
        ),
    )
