"""Who wakes up while nothing happens: context switches of every thread, before and after some time of rest."""

import contextlib
import os
import time
from collections.abc import Mapping
from typing import NamedTuple

from bench.engine import Processes
from bench.figures import render_table


class Thread(NamedTuple):
    role: str  # engine, forkserver, shims, …
    pid: int
    tid: int
    name: str


Switches = Mapping[Thread, int]


def switches(processes: Processes) -> dict[Thread, int]:
    """How often each thread was switched to and from until now, willingly or not."""
    roles = {**{name: [pid] for name, pid in processes.daemons.items()}, **processes.helpers()}
    counted = {}
    for role, pids in roles.items():
        for pid in pids:
            for tid in os.listdir(f"/proc/{pid}/task"):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
                    with open(f"/proc/{pid}/task/{tid}/status", encoding="utf-8", errors="replace") as file:
                        name, count = parse_status(file.read())
                    counted[Thread(role, pid, int(tid), name)] = count
    return counted


def parse_status(text: str) -> tuple[str, int]:
    """(name, context switches of both kinds) of proc_pid_status(5)."""
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    count = int(fields["voluntary_ctxt_switches"]) + int(fields["nonvoluntary_ctxt_switches"])
    return fields["Name"].strip(), count


def difference(before: Switches, after: Switches) -> dict[Thread, int]:
    """Threads that were switched, with how often; one that appeared in between counts with all it has."""
    changes = {thread: count - before.get(thread, 0) for thread, count in after.items()}
    return {thread: count for thread, count in changes.items() if count}


def watch(processes: Mapping[str, Processes], seconds: float) -> dict[str, dict[Thread, int]]:
    """By program: what woke up in that time."""
    before = {program: switches(each) for program, each in processes.items()}
    time.sleep(seconds)
    return {program: difference(before[program], switches(each)) for program, each in processes.items()}


def render(woken: Mapping[str, Mapping[Thread, int]], seconds: float, containers: int) -> str:
    rows = []
    for program, threads in woken.items():
        by_role: dict[str, int] = {}
        for thread, count in threads.items():
            by_role[thread.role] = by_role.get(thread.role, 0) + count
        rows.append([program, str(sum(threads.values())), ", ".join(f"{role} {n}" for role, n in by_role.items())])
    header = [f"context switches in {seconds:.0f} s, {containers} idle containers", "all", "by"]
    return render_table(header, rows, right={1})


def to_json(woken: Mapping[str, Mapping[Thread, int]]) -> dict[str, list[dict[str, object]]]:
    return {
        program: [{**thread._asdict(), "switches": count} for thread, count in threads.items()]
        for program, threads in woken.items()
    }
