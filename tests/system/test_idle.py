"""Who looks after a container sleeps while it does nothing: each in a call that only an event ends, and no clock."""

import os
from pathlib import Path
from typing import Final

import pytest

from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.processes import children_of
from tests.system.runtime_fixtures import Runtime, eventually

pytestmark = [
    *(pytest.mark.system, pytest.mark.anyio, requires("root", "overlayfs"), needs_busybox),
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="knows the numbers of calls of x86_64 alone"),
]

# Number of a call → which of its arguments says for how long, and what that is when it has no end; None: nothing says.
ENDLESS: Final = {"47": None, "128": (2, 0), "232": (3, 0xFFFFFFFF)}  # recvmsg, rt_sigtimedwait, epoll_wait


def sleeps_without_end(pid: int) -> bool:
    number, *arguments = Path(f"/proc/{pid}/syscall").read_text().split()
    if number not in ENDLESS:
        return False
    limit = ENDLESS[number]
    return limit is None or int(arguments[limit[0]], 16) == limit[1]


@pytest.mark.parametrize("tty", [False, True])
async def test_nobody_wakes_up_while_a_container_does_nothing(runtime: Runtime, tty: bool) -> None:
    box = await runtime.run("sleep", "1000", tty=tty)
    assert await box.sh("echo here") == "here\n"

    def awake() -> dict[int, str]:
        looking = {box.pid, runtime.forkserver.pid, *children_of(runtime.forkserver.pid)}
        return {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in looking if not sleeps_without_end(pid)}

    await eventually(lambda: not awake(), "sleep of all of them")
    assert box.shim_pid in children_of(runtime.forkserver.pid)
