"""Processes on their way into a container, hunted by programs that are there already.

From its fork to its execve such a process has rights and sights of the host. CVE-2016-9962: what a program can trace it
owns; what it can only look into, by /proc/PID/root, cwd and fd, it can walk out through. A hostile program may have
CAP_SYS_PTRACE, which debuggers are given: against that no dumpable flag helps, only not being there.
"""

import time
from pathlib import Path

import pytest

from orchestr8.model.specs import IsolationSpec
from tests.requires import requires
from tests.system.runtime_fixtures import Box, Runtime, needs_busybox

pytestmark = [pytest.mark.system, pytest.mark.anyio, requires("root", "overlayfs"), needs_busybox]

TRIES = 500
TRIES_CAP_S = 8.0
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
    allowed = "socket:*" if caps else "none"  # that to the shim, which takes what it hears there for a stranger's word
    script = HUNT.replace("MARK", str(mark)).replace("ALLOWED", allowed)
    box = await runtime.run("sh", "-c", script, isolation=isolation)
    await box.until_log("hunting")
    return box


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
