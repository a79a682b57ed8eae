"""The processes of a container as `ps -ef` shows them, which is Docker's answer to `top`."""

import pwd
import time
from collections.abc import Sequence
from typing import Final

from orchestr8.model.processes import Process

TITLES: Final = ("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")
_DAY_S: Final = 86400.0


def rows(processes: Sequence[Process], *, now: float, uptime_s: float) -> list[list[str]]:
    """One for each, in the order of their pids. `now`: Unix time; `uptime_s`: how long this machine has been running by then."""
    return [_row(each, now, uptime_s) for each in sorted(processes, key=lambda each: each.pid)]


def _row(process: Process, now: float, uptime_s: float) -> list[str]:
    age_s = max(0.0, uptime_s - process.started_s)
    started = time.localtime(now - age_s)
    return [
        _user(process.uid),
        str(process.pid),
        str(process.parent),
        str(int(100 * process.cpu_s / age_s) if age_s else 0),
        time.strftime("%H:%M" if age_s < _DAY_S else "%b%d", started),
        process.terminal or "?",
        _clock(int(process.cpu_s)),
        process.command,
    ]


def _user(uid: int) -> str:
    """The host's name for it, where it has one, as ps(1) on the host shows it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
