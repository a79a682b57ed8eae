"""What /proc says of processes (proc_pid_stat(5), proc_pid_status(5)). Whose they are is `kernel.cgroup`'s to know."""

import os
from typing import Final, NamedTuple

from orchestr8.model.processes import Process

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PTS_MAJORS: Final = range(136, 144)  # Documentation/admin-guide/devices.txt: UNIX98_PTY_SLAVE
_SERIAL: Final = 64  # the first minor of major 4 that is a serial line, from there
_AFTER_NAME: Final = 3  # number of the first field that stands behind the name, in proc_pid_stat(5)


class _Stat(NamedTuple):
    parent: int
    terminal: int
    cpu_ticks: int
    start_ticks: int


def read(pid: int) -> Process | None:
    """None when it has ended meanwhile."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
        uid = _uid(pid)
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return None
    name = text[text.index(b"(") + 1 : text.rindex(b")")]
    stat = _stat(text)
    return Process(
        pid=pid,
        parent=stat.parent,
        uid=uid,
        terminal=_terminal(stat.terminal),
        cpu_s=stat.cpu_ticks / _TICKS,
        started_s=stat.start_ticks / _TICKS,
        # A process that has become nothing else yet, a kernel thread or a zombie has no arguments: ps(1) shows it so, too.
        command=" ".join(word.decode(errors="replace") for word in words) or f"[{name.decode(errors='replace')}]",
    )


def _stat(text: bytes) -> _Stat:
    fields = text[text.rindex(b")") + 2 :].split()

    def field(number: int) -> int:
        return int(fields[number - _AFTER_NAME])

    return _Stat(field(4), field(7), field(14) + field(15), field(22))


def _uid(pid: int) -> int:
    """The effective one, as ps(1) shows it."""
    with open(f"/proc/{pid}/status", "rb") as file:
        return next(int(line.split()[2]) for line in file if line.startswith(b"Uid:"))


def _terminal(number: int) -> str:
    """`pts/3` of the kernel's `tty_nr`; "" for none. Those of a container have the numbers of its own devpts."""
    if not number:
        return ""
    major, minor = os.major(number), os.minor(number)
    if major in _PTS_MAJORS:
        return f"pts/{minor + 256 * (major - _PTS_MAJORS.start)}"
    if major != 4:
        return "?"
    return f"tty{minor}" if minor < _SERIAL else f"ttyS{minor - _SERIAL}"
