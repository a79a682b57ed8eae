"""What is there after many cycles of `up` and `down` that was not there before, counted where the kernel shows it.

Everything is counted while the engine runs and no stack does, in the engine's own network namespace.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from bench.engine import OwnEngine
from bench.figures import render_table
from bench.install import TOP
from bench.memory import pss_kib
from bench.processes import run
from e2e.residue import cgroups, mounts, processes
from orchestr8.storage.blanks import READY

EXAMPLE: Final = f"{TOP}/examples/stacks/quickstart"
WARM_UP_CYCLES: Final = 3  # what is made once and kept is made in these
LEAKS_NOTHING: Final = (
    "mounts", "network namespaces", "links", "nft lines", "cgroups", "engine fds", "forkserver fds", "processes", "files",
)  # fmt: skip

Counts = Mapping[str, int]


class Counted(Protocol):
    """An engine whose state can be counted."""

    root: str
    run_dir: str
    instance: str

    def status(self) -> dict[str, Any]: ...


def count(engine: Counted) -> dict[str, int]:
    """How many of each; what stands below LEAKS_NOTHING must not grow, the rest is told."""
    status = engine.status()
    pid, forkserver = int(status["pid"]), int(status["forkserver_pid"])
    found = processes(engine.root, engine.instance)
    ruleset = subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True, text=True).stdout
    return {
        "mounts": len(mounts(engine.root, engine.instance)),
        "network namespaces": len(_network_namespaces(found)),
        "links": len(_links()),
        "nft lines": len(ruleset.splitlines()),
        "cgroups": len(cgroups(engine.instance)),
        "engine fds": len(os.listdir(f"/proc/{pid}/fd")),
        "forkserver fds": len(os.listdir(f"/proc/{forkserver}/fd")),
        "processes": len(found),
        "files": sum(len(names) + len(folders) for top in (engine.root, engine.run_dir)
                     for _, folders, names in os.walk(top)),
        "engine threads": len(os.listdir(f"/proc/{pid}/task")),
        "engine PSS KiB": pss_kib(pid),
        "forkserver PSS KiB": pss_kib(forkserver),
    }  # fmt: skip


def _network_namespaces(pids: list[int]) -> set[str]:
    """Those that a process of ours lives in or holds open."""
    found = set()
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            targets = [f"/proc/{pid}/ns/net", *(f"/proc/{pid}/fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd"))]
            for path in targets:
                with contextlib.suppress(FileNotFoundError):
                    target = os.readlink(path)
                    if target.startswith("net:["):
                        found.add(target)
    return found


def _links() -> list[str]:
    with open("/proc/thread-self/net/dev", encoding="utf-8") as file:
        return [line.partition(":")[0].strip() for line in file.readlines()[2:]]


def cycle(
    engine: OwnEngine, directory: str, cycles: int, go_on: Callable[[], bool], told: Callable[[str], None]
) -> tuple[int, dict[str, int], dict[str, int]]:
    """(cycles done, counts before, counts after) on a copy of the example."""
    stack = os.path.join(directory, "quickstart")
    shutil.copytree(EXAMPLE, stack, ignore=shutil.ignore_patterns("__pycache__"))
    words = [engine.program, "-f", f"{stack}/stack.yml"]

    def once() -> None:
        run([*words, "up", "-d", "--wait"], engine.environment)
        run([*words, "down", "-v", "-t", "2"], engine.environment)

    for _ in range(WARM_UP_CYCLES):
        once()
    before = settled(engine)
    done = 0
    while done < cycles and go_on():
        once()
        done += 1
        if done % 20 == 0:
            told(f"{done} of {cycles} cycles")
    return done, before, settled(engine)


def settled(engine: Counted) -> dict[str, int]:
    """Counts once what `down` leaves to be done after it (bridges, deleted files) is done, and what is made ahead is made: when
    two looks agree.
    """
    last: dict[str, int] = {}
    for _ in range(100):
        now = {name: number for name, number in count(engine).items() if name in LEAKS_NOTHING}
        if now == last and len(_made_ahead(engine.root)) >= READY:
            break
        last = now
    return count(engine)


def _made_ahead(root: str) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return os.listdir(f"{root}/blanks")
    return []


def leaked(before: Counts, after: Counts) -> dict[str, int]:
    """What there is more of."""
    return {name: after[name] - before[name] for name in LEAKS_NOTHING if after[name] > before[name]}


def render(done: int, before: Counts, after: Counts) -> str:
    rows = [
        [name, str(before[name]), str(after[name]), _difference(after[name] - before[name])] for name in before
    ]  # fmt: skip
    return render_table([f"after {done} up/down cycles of quickstart", "before", "after", "more"], rows, {1, 2, 3})


def _difference(number: int) -> str:
    return f"{number:+d}" if number else "0"
