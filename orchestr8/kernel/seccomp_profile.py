"""A seccomp profile as people write it: Docker's JSON, or OCI's `linux.seccomp`, which is a part of it. Pure.

What depends on the container's capabilities, on the machine or on the kernel's version is settled here, so that
`kernel.seccomp` gets plain rules. Format: docs.docker.com/engine/security/seccomp, runtime-spec config-linux.md.
"""

import errno
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from orchestr8.errors import InvalidInput
from orchestr8.kernel.seccomp_rules import Compare

ACTIONS: Final = {  # <linux/seccomp.h>
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
_WITH_NUMBER: Final = {"SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"}
OPERATORS: Final = {  # enum scmp_compare of <seccomp.h>
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64"}  # as profiles call them
_ARGUMENTS: Final = 6
_NAME: Final = re.compile(r"[a-z0-9_]{1,64}")


class Rule(NamedTuple):
    """`action` for each of `names` when all conditions of one of the `alternatives` hold; one empty alternative: always."""

    names: tuple[str, ...]
    action: int
    alternatives: tuple[tuple[Compare, ...], ...]


class Profile(NamedTuple):
    default_action: int
    rules: tuple[Rule, ...]


def parse(profile: Any, capabilities: Iterable[str], machine: str, kernel: tuple[int, int]) -> Profile:
    """The rules that hold for a container with `capabilities` on this machine. Raises InvalidInput, naming the place."""
    if not isinstance(profile, Mapping):
        raise _wrong("the profile", "a mapping", profile)
    held = frozenset(capabilities)
    default = _action(profile, "defaultAction", "defaultErrnoRet", "the profile")
    rules = []
    for number, entry in enumerate(_list(profile, "syscalls", "the profile")):
        where = f"syscalls[{number}]"
        if not isinstance(entry, Mapping):
            raise _wrong(where, "a mapping", entry)
        if _applies(entry, held, machine, kernel, where):
            rules.append(_rule(entry, where))
    return Profile(default, tuple(rules))


def _rule(entry: Mapping[str, Any], where: str) -> Rule:
    names = [*_list(entry, "names", where), *([entry["name"]] if entry.get("name") else [])]
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise _wrong(f"{where}.names", "names of system calls", name)
    conditions = [_condition(each, f"{where}.args[{at}]") for at, each in enumerate(_list(entry, "args", where))]
    # Two conditions on one argument cannot both be in a rule of libseccomp's; runc takes each as a rule of its own.
    together = len({each.argument for each in conditions}) == len(conditions)
    alternatives = (tuple(conditions),) if together else tuple((each,) for each in conditions)
    return Rule(tuple(names), _action(entry, "action", "errnoRet", where), alternatives)


def _action(entry: Mapping[str, Any], key: str, number_key: str, where: str) -> int:
    name = entry.get(key)
    if not isinstance(name, str) or name not in ACTIONS:
        raise _wrong(f"{where}.{key}", f"one of {', '.join(ACTIONS)}", name)
    if name not in _WITH_NUMBER:
        return ACTIONS[name]
    number = entry.get(number_key)
    return ACTIONS[name] | (errno.EPERM if number is None else _integer(number, 0xFFFF, f"{where}.{number_key}"))


def _condition(entry: Any, where: str) -> Compare:
    if not isinstance(entry, Mapping):
        raise _wrong(where, "a mapping", entry)
    operator = entry.get("op")
    if not isinstance(operator, str) or operator not in OPERATORS:
        raise _wrong(f"{where}.op", f"one of {', '.join(OPERATORS)}", operator)
    index = _integer(entry.get("index"), _ARGUMENTS - 1, f"{where}.index")
    value = _integer(entry.get("value", 0), 2**64 - 1, f"{where}.value")
    second = _integer(entry.get("valueTwo") or 0, 2**64 - 1, f"{where}.valueTwo")
    return Compare(index, OPERATORS[operator], value, second)


def _applies(entry: Mapping[str, Any], held: frozenset[str], machine: str, kernel: tuple[int, int], where: str) -> bool:
    """All that it includes, nothing that it excludes (moby profiles/seccomp)."""
    includes, excludes = _conditions_of(entry, "includes", where), _conditions_of(entry, "excludes", where)
    here = _MACHINES.get(machine, machine)
    if excludes.caps & held or here in excludes.machines:
        return False
    if excludes.kernel and kernel >= excludes.kernel:
        return False
    if includes.machines and here not in includes.machines:
        return False
    return includes.caps <= held and kernel >= includes.kernel


class _When(NamedTuple):
    caps: frozenset[str]
    machines: frozenset[str]
    kernel: tuple[int, ...]


def _conditions_of(entry: Mapping[str, Any], key: str, where: str) -> _When:
    when = entry.get(key) or {}
    if not isinstance(when, Mapping):
        raise _wrong(f"{where}.{key}", "a mapping", when)
    version = str(when.get("minKernel") or "")
    if version and not re.fullmatch(r"\d+\.\d+", version):
        raise _wrong(f"{where}.{key}.minKernel", "a version such as 4.8", version)
    return _When(
        frozenset(map(str, _list(when, "caps", where))),
        frozenset(map(str, _list(when, "arches", where))),
        tuple(int(part) for part in version.split(".")) if version else (),
    )


def _list(entry: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = entry.get(key) or []
    if not isinstance(value, list):
        raise _wrong(f"{where}.{key}", "a list", value)
    return value


def _integer(value: Any, most: int, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise _wrong(where, f"a number from 0 to {most}", value)
    return value


def _wrong(where: str, wanted: str, found: Any) -> InvalidInput:
    return InvalidInput(f"seccomp profile: {where} must be {wanted}, found {found!r}"[:500], code="O8-614")
