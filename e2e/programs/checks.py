"""What can be asked of a program beyond `e2e.checks`: how it is confined, and what is so once it was killed."""

import re
from typing import Final

from e2e.checks import health
from e2e.engine import Result
from e2e.scenario import Check, Scenario, eventually

# The lowest process whose parent is the reaper: the program itself. Those of `exec` have parents outside.
_MAIN: Final = "grep -l '^PPid:.1$' /proc/[0-9]*/status | sort -t/ -nk3 | head -n 1 | cut -d/ -f3"

_CONFINED: Final = f"""
status=/proc/$({_MAIN})/status
echo uid $(grep ^Uid $status)
echo capabilities $(grep ^CapEff $status) $(grep ^CapBnd $status)
echo privileges $(grep ^NoNewPrivs $status)
touch /etc/new 2>&1
for file in memory.max memory/memory.limit_in_bytes pids.max pids/pids.max; do
    ! test -f /sys/fs/cgroup/$file || echo $file $(cat /sys/fs/cgroup/$file)
done
"""


def confined(service: str, *, user: str, memory_bytes: int, pids: int, capabilities: int = 0) -> Check:
    """The service's program is held to all of this, as the program itself sees it, and its root cannot be written."""

    def check(scenario: Scenario, _result: Result) -> str:
        result = scenario.run("exec", "-T", service, "sh", "-c", _CONFINED)
        number = scenario.run("exec", "-T", service, "id", "-u", user).out.strip()
        wanted = (
            rf"^uid Uid:( {number}){{4}}$",
            f"^capabilities CapEff: {capabilities:016x} CapBnd: {capabilities:016x}$",
            r"^privileges NoNewPrivs: 1$",
            r"Read-only file system$",
            rf"^memory\S* {memory_bytes}$",
            rf"^pids\S* {pids}$",
        )
        missing = [each for each in wanted if not re.search(each, result.out, re.MULTILINE)]
        return f"{service} is not confined, {missing} are missing in:\n{result.out}{result.err}" if missing else ""

    return check


def kill_main(scenario: Scenario, service: str) -> None:
    """SIGKILL the service's program from inside; then another must be there, and healthy."""
    before = _begun(scenario, service)
    result = scenario.run("exec", "-T", service, "sh", "-c", f"kill -9 $({_MAIN})")
    assert result.code in {0, 137}, result.err  # the container may end before the shell does, and takes it along

    def begun_anew(scenario: Scenario, _result: Result) -> str:
        return "" if _begun(scenario, service) not in {before, ""} else f"{service} was not started again"

    scenario.check(eventually(begun_anew), eventually(health(service, "healthy")))


def _begun(scenario: Scenario, service: str) -> str:
    """When the container's first process was begun, in ticks: proc_pid_stat(5). "" when none runs."""
    return scenario.run("exec", "-T", service, "cut", "-d ", "-f22", "/proc/1/stat").out.strip()


def nothing_left(scenario: Scenario, _result: Result) -> str:
    """The engine has no stack any more. That the machine has nothing of them is looked at when the engine ends."""
    found = scenario.engine.stacks()
    return f"there still are the stacks {found}" if found else ""
