"""One whole process from its start to its end, as a user waits for it."""

import contextlib
import os
import select
import shlex
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from bench.errors import Unmeasurable

LIMIT_S: Final = 180.0
_TOLD_LINES: Final = 8


class Sample(NamedTuple):
    """`wall_s` from before the spawn to after the wait; the rest as wait4(2) tells it, of waited-for children too."""

    wall_s: float
    user_s: float = 0.0
    system_s: float = 0.0
    max_rss_kib: int = 0

    @property
    def cpu_s(self) -> float:
        return self.user_s + self.system_s


def run(
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdin: str = os.devnull,
    stdout: str = "",
    limit_s: float = LIMIT_S,
    code: int = 0,
) -> tuple[Sample, str]:
    """The sample, and what it wrote to its standard output, unless `stdout` is a file for that.

    Raises Unmeasurable unless it ends, with `code`.
    """
    out, err = os.memfd_create("out"), os.memfd_create("err")
    try:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, stdin, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, stdout, os.O_WRONLY, 0) if stdout else (os.POSIX_SPAWN_DUP2, out, 1),
            (os.POSIX_SPAWN_DUP2, err, 2),
        ]
        begun = time.monotonic()
        pid = os.posix_spawnp(argv[0], list(argv), environment, file_actions=actions)
        ended_in_time = _wait_for_end(pid, limit_s)
        _, status, usage = os.wait4(pid, 0)
        wall_s = time.monotonic() - begun
        found = os.waitstatus_to_exitcode(status)
        if found != code or not ended_in_time:
            how = f"ended with {found}" if ended_in_time else f"did not end within {limit_s:.0f} s"
            said = (_read_all(err) + _read_all(out)).strip().splitlines()[-_TOLD_LINES:]
            raise Unmeasurable("\n  ".join([f"`{shlex.join(argv)}` {how}", *said]))
        return Sample(wall_s, usage.ru_utime, usage.ru_stime, usage.ru_maxrss), _read_all(out)
    finally:
        os.close(out)
        os.close(err)


def _wait_for_end(pid: int, limit_s: float) -> bool:
    """Whether it ended by itself; one that did not is killed."""
    pidfd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if poll.poll(limit_s * 1000):
            return True
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        return False
    finally:
        os.close(pidfd)


def _read_all(fd: int) -> str:
    return os.pread(fd, os.fstat(fd).st_size, 0).decode(errors="replace")
