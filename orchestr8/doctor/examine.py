"""All that is tried, in the order in which it is told."""

from collections.abc import Callable, Iterator
from typing import Final

from orchestr8.doctor import files, groups, installed, limits, network, system
from orchestr8.doctor.findings import Finding, Host, warning, why
from orchestr8.errors import Orchestr8Error

_CHECKS: Final[dict[str, tuple[Callable[[Host], Iterator[Finding]], ...]]] = {
    "program": (installed.program, installed.interpreter, installed.engine),
    "kernel": (system.kernel, system.rights, system.namespaces, system.seccomp, system.security_modules),
    "control groups": (groups.groups,),
    "files": (files.root, files.layers),
    "network": (network.links, network.packet_filter, network.forwarding),
    "limits": (limits.inotify, limits.descriptors, limits.processes, limits.namespace_counts),
}


def examine(host: Host) -> dict[str, list[Finding]]:
    """What was found, by part. That something cannot even be tried is a finding, too."""
    return {part: [finding for check in checks for finding in _found(check, host)] for part, checks in _CHECKS.items()}


def _found(check: Callable[[Host], Iterator[Finding]], host: Host) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(check(host))
    except (OSError, Orchestr8Error) as error:
        found.append(warning(check.__name__.replace("_", " "), f"this cannot be tried: {why(error)[0]}", why(error)[1]))
    return found
