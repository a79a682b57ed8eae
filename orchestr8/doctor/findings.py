"""What is told of one thing that was tried, and for whom it was. Pure."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from orchestr8.errors import Orchestr8Error


class Verdict(enum.StrEnum):
    OK = "ok"
    WARNING = "warning"  # containers run, and something that a stack may ask for does not work
    MISSING = "missing"  # no container runs without it
    UNTRIED = "untried"  # whoever asks may not try it


@dataclass(frozen=True, slots=True)
class Finding:
    """`found` is what was seen, in a line; `remedy` what to do about it, "" where there is nothing to be done."""

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Whose engine is meant, and who asks."""

    root: str  # its state directory, which need not exist
    socket: str
    environ: Mapping[str, str]
    privileged: bool  # may make namespaces, mounts and groups: CAP_SYS_ADMIN


def ok(name: str, found: str) -> Finding:
    return Finding(name, Verdict.OK, found)


def warning(name: str, found: str, remedy: str = "") -> Finding:
    return Finding(name, Verdict.WARNING, found, remedy)


def missing(name: str, found: str, remedy: str = "") -> Finding:
    return Finding(name, Verdict.MISSING, found, remedy)


def untried(name: str) -> Finding:
    return Finding(name, Verdict.UNTRIED, "only root can try it")


def why(error: Exception) -> tuple[str, str]:
    """An error in a line, and its remedy where it has one."""
    if isinstance(error, Orchestr8Error):
        return error.message, "; ".join(error.helps)
    remedy = str(getattr(error, "remedy", ""))
    return str(error).removesuffix(f" ({remedy})") if remedy else str(error), remedy
