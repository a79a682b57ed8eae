"""Processes on their way into a container, hunted by programs that are there already.

From its fork to its execve such a process has rights and sights of the host. CVE-2016-9962: what a program can trace it
owns; what it can only look into, by /proc/PID/root, cwd and fd, it can walk out through. A hostile program may have
CAP_SYS_PTRACE, which debuggers are given: against that no dumpable flag helps, only not being there.
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from e2e.pace import SLOW
from orchestr8.errors import OperationFailed
from orchestr8.kernel.namespaces import CloneFlag, unshare
from orchestr8.model.specs import IsolationSpec
from orchestr8.runtime.sharing import open_processes
from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.processes import alive, children_of, status_of
from tests.system.runtime_fixtures import Box, Runtime, eventually

pytestmark = [pytest.mark.system, pytest.mark.anyio, requires("root", "overlayfs"), needs_busybox]

InChild = Callable[[Callable[[], Any]], Any]
TRIES = 500
TRIES_CAP_S = 8.0 * SLOW
CAPS = pytest.mark.parametrize("caps", [(), ("CAP_SYS_PTRACE",)])
HUNT = """
mine=$(grep CapEff: /proc/self/status | cut -f 2)
echo hunting
while :; do
    for pid in /proc/[0-9]*; do
        case $pid in /proc/1|/proc/2|/proc/$$) continue;; esac
        for place in root cwd; do [ -e $pid/$place/MARK ] && echo ESCAPED $pid/$place; done
        for fd in $pid/fd/*; do
            case $fd in */[012]) continue;; esac
            name=$(readlink $fd) && case $name in ALLOWED) ;; *) echo HOLDS $fd $name;; esac
        done
        while read key value; do
            case $key$value in
                Seccomp:2|CapEff:$mine|CapEff:0000000000000000) ;;
                Seccomp:*|CapEff:*) echo BARE $pid $key $value;;
            esac
        done < $pid/status
    done
done 2> /dev/null
"""


async def hunter(runtime: Runtime, mark: Path, caps: tuple[str, ...]) -> Box:
    """A container that looks into every process it sees: for the host's `mark`, for descriptors that lead anywhere, and
    for rights that it has not.
    """
    mark.touch()
    isolation = IsolationSpec(cap_add=caps)
    # Its socket to the shim, which takes what it hears there for a stranger's word; and what is its container's own.
    allowed = "socket:*|/memfd:orchestr8-init*|/dev/null|/dev/pts/0" if caps else "none"
    script = HUNT.replace("MARK", str(mark)).replace("ALLOWED", allowed)
    box = await runtime.run("sh", "-c", script, isolation=isolation)
    await box.until_log("hunting")
    return box


async def start_with(joining: Box, owner: Box, kind: str) -> None:
    """Start `joining` in the owner's namespace of that kind."""
    pidfd = os.pidfd_open(owner.pid)
    try:
        await joining.shim.start({kind: pidfd})
    finally:
        os.close(pidfd)


@CAPS
async def test_an_exec_is_not_there_before_it_is_one_of_the_container(
    runtime: Runtime, tmp_path: Path, caps: tuple[str, ...]
) -> None:
    box = await hunter(runtime, tmp_path / "mark", caps)
    deadline = time.monotonic() + TRIES_CAP_S
    for number in range(TRIES):
        assert await box.run("true", user=("", "app")[number % 2]) == (0, "")
        if time.monotonic() > deadline:
            break
    assert number > 50
    assert box.log() == "hunting\n"


@CAPS
async def test_one_that_shares_the_pid_namespace_is_not_there_before_it_is_confined(
    runtime: Runtime, tmp_path: Path, caps: tuple[str, ...]
) -> None:
    """Its whole set-up happens out of the sight of who is there already, and its own root is all that can be found then."""
    box = await hunter(runtime, tmp_path / "mark", caps)
    isolation = IsolationSpec(cap_add=caps, pid="service:hunter")
    kinds = [(init, tty) for init in (False, True) for tty in (False, True)]
    joining = [await runtime.create("true", isolation=isolation, init=init, tty=tty) for init, tty in kinds]
    deadline = time.monotonic() + TRIES_CAP_S
    for number in range(TRIES):
        one = joining[number % len(joining)]
        await start_with(one, box, "pid")
        assert await one.wait(run=number // len(joining) + 1) == 0
        if time.monotonic() > deadline:
            break
    assert number > 10
    assert box.log() == "hunting\n"


SHARING = IsolationSpec(pid="service:web")
TROUBLE = IsolationSpec(cap_add=("CAP_SYS_ADMIN", "CAP_SYS_PTRACE"))


def unfiltered(document: dict[str, Any]) -> None:
    """So that it may mount."""
    document["annotations"]["org.orchestr8.seccomp"] = ""


@pytest.mark.parametrize("init", [True, False])
async def test_who_shares_a_pid_namespace_sees_it_and_ends_with_its_own_shim(runtime: Runtime, init: bool) -> None:
    box = await runtime.run("sleep", "4711")
    joining = await runtime.create("sh", "-c", "echo $$; sleep 4712; true", isolation=SHARING, init=init)
    await start_with(joining, box, "pid")
    assert "sleep 4711" in await joining.sh("ps -o args")
    joining.pid = (await joining.status()).pid
    inside = status_of(joining.pid)["NSpid"].split()
    assert inside[-1] != "1"
    assert (await box.sh(f"cat /proc/{inside[-1]}/comm")).strip() == ("orchestr8-init" if init else "sh")
    assert status_of(joining.pid)["PPid"] == str(joining.shim_pid), "nothing stands between"
    family = [joining.pid, *(children_of(joining.pid) if init else ())]
    os.kill(joining.shim_pid, signal.SIGKILL)
    await joining.lost.wait()
    await eventually(
        lambda: not any(map(alive, family)), "the end of PID 1 and the program"
    )  # the rest is the engine's
    assert alive(box.pid)


@pytest.mark.parametrize("by_option", [True, False])
async def test_the_processes_that_are_shared_are_shown_by_either_way(
    runtime: Runtime, in_child: InChild, by_option: bool
) -> None:
    box = await runtime.run("sleep", "1000")

    def look() -> list[str]:
        pidfd = os.pidfd_open(box.pid)
        unshare(CloneFlag.NEWNS)
        tree = open_processes(pidfd, by_option=by_option)
        return sorted(filter(str.isdigit, os.listdir(f"/proc/self/fd/{tree}")))

    assert in_child(look) == ["1", "2"]


FORGED = "pid=$(readlink /proc/1/ns/pid); mount -t tmpfs none /proc; mkdir -p /proc/1/ns; ln -s $pid /proc/1/ns/pid"


@pytest.mark.parametrize(
    "trick", ["mount -t tmpfs none /proc", "mount --bind /proc/self /proc", "umount -l /proc", FORGED]
)
async def test_a_proc_that_is_not_theirs_is_not_taken_for_it(runtime: Runtime, in_child: InChild, trick: str) -> None:
    box = await runtime.run("sleep", "1000", isolation=TROUBLE, change=unfiltered)
    await box.sh(trick)

    def look() -> str:
        pidfd = os.pidfd_open(box.pid)
        unshare(CloneFlag.NEWNS)
        try:
            os.close(open_processes(pidfd, by_option=False))
        except (OSError, OperationFailed) as error:
            return str(error)
        return "taken"

    assert in_child(look) != "taken"


@pytest.mark.parametrize("target", ["/", "/proc/1/root/etc", "../../../../tmp", "missing"])
async def test_shared_memory_that_has_become_a_link_is_not_followed(runtime: Runtime, target: str) -> None:
    box = await runtime.run("sleep", "1000", isolation=TROUBLE, change=unfiltered)
    await box.sh(f"umount -l /dev/shm && rmdir /dev/shm && ln -s {target} /dev/shm")
    joining = await runtime.create("ls", "-a", "/dev/shm", isolation=IsolationSpec(ipc="service:web"))
    with pytest.raises(OperationFailed, match="Too many levels of symbolic links"):
        await start_with(joining, box, "ipc")
