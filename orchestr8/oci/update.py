"""`update`: limits of a container's group changed while it is in use, and remembered, so that a later change starts from them.

What is not named keeps its value; -1 takes a limit away. Either all of them change or none does.
"""

import argparse
import json
from typing import Any, Final

from orchestr8.errors import Conflict, InvalidInput, OperationFailed
from orchestr8.oci import document, shape
from orchestr8.oci.arguments import LIMITS
from orchestr8.oci.state import Container

_SECTIONS: Final = ("memory", "cpu", "pids", "blockIO")
_TEXTS: Final = {"--cpuset-cpus", "--cpuset-mems"}
_SIZES: Final = {"--memory", "--memory-reservation", "--memory-swap"}
_UNITS: Final = {"b": 0, "k": 10, "m": 20, "g": 30, "t": 40}


def wanted(options: argparse.Namespace) -> dict[str, Any]:
    """What a command line asks for: a file with resources (`-`: stdin), or flags."""
    if options.resources:
        found = document.read_json("/dev/stdin" if options.resources == "-" else options.resources, shape.RESOURCES)
        document.refuse(found, "resources")
        return {key: found[key] for key in _SECTIONS if found.get(key)}
    asked: dict[str, Any] = {}
    for flag, (section, key) in LIMITS.items():
        text = getattr(options, flag[2:].replace("-", "_"))
        if text:
            asked.setdefault(section, {})[key] = text if flag in _TEXTS else _number(flag, text)
    if not asked:
        raise InvalidInput("update: nothing is to be changed", helps=["--resources FILE, or a flag for each limit"])
    return asked


def _number(flag: str, text: str) -> int:
    shift = 0
    if flag in _SIZES and text[-1:].lower() in _UNITS:
        text, shift = text[:-1], _UNITS[text[-1].lower()]
    try:
        return int(text) << shift
    except ValueError as error:
        raise InvalidInput(f"update {flag} {text}: must be a number") from error


def update(container: Container, asked: dict[str, Any]) -> list[str]:
    """Set them; a sentence for each limit that this machine cannot set."""
    with container.locked():
        status = container.status()
        if status not in {"created", "running", "paused"}:
            raise Conflict(f"cannot update a {status} container")
        config = container.document()
        before = config["linux"]["resources"]
        after = {key: {**(before.get(key) or {}), **_said(asked[key])} for key in asked}
        _check(after.get("memory") or {})
        group = container.group()
        try:
            warnings = group.update(after)
        except OperationFailed:
            group.update({key: before[key] for key in after if before.get(key)})
            raise
        config["linux"]["resources"] = {**before, **after}
        container.write("config.json", json.dumps(config).encode())
    return warnings


def _said(section: dict[str, Any]) -> dict[str, Any]:
    """Callers write 0, "" or null for what they do not name (containers' and moby's Go types do)."""
    return {key: value for key, value in section.items() if value}


def _check(memory: dict[str, Any]) -> None:
    limit, swap = memory.get("limit") or 0, memory.get("swap") or 0
    if 0 < swap < limit:
        raise InvalidInput(
            f"memory and swap together ({swap}) must not be less than memory alone ({limit})",
            helps=["change both at once: --memory and --memory-swap"],
        )
