"""What /proc says of processes."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path


def status_of(pid: int | str) -> dict[str, str]:
    """/proc/PID/status as a mapping."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def may_raise() -> bool:
    """Does this process have CAP_SYS_RESOURCE: may it go beyond limits, and below scores, that it was given?"""
    return bool(int(status_of("self")["CapEff"], 16) >> 24 & 1)


def alive(pid: int) -> bool:
    try:
        return status_of(pid)["State"][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children_of(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def descriptors(pid: int) -> dict[int, str]:
    found = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found[int(fd)] = os.readlink(f"/proc/{pid}/fd/{fd}")
    return found


def sockets_of(pid: int) -> int:
    return len([path for path in descriptors(pid).values() if path.startswith("socket:")])


def pids_in(files: Sequence[str]) -> set[int]:
    found: set[int] = set()
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            found.update(map(int, Path(file).read_text(encoding="ascii").split()))
    return found


def mentioning(text: str) -> list[str]:
    """Processes that have `text` in their command line or run in a root below it."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            if text in command or text in os.readlink(f"/proc/{pid}/root"):
                found.append(f"{pid} {command}")
    return found
