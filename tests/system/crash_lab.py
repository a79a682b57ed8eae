"""One engine and its successors, taken through many faults: what `test_crash` is told with.

A fault is written to a file that every fault point reads (`orchestr8.reconcile.faults`), so one life of a root sees
many crashes. Beside the stack under test there is another, `rock`, which nobody touches: it must not notice anything.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Final

from e2e.engine import Engine, Result
from e2e.residue import cgroups, mounts, processes, waiting
from e2e.scenario import Scenario
from orchestr8.errors import Orchestr8Error

WITHIN_S: Final = 20.0
CRASHES_A_LIFE: Final = 4  # the forkserver starts engines that keep dying later and later: begin anew before that
_ALIKE: Final = 10  # looks, 10 ms and more apart, until it is taken for at rest
STEP: Final = re.compile(r"^\d+\. (\w+) (\S+)", re.MULTILINE)

SHOP: Final = """
services:
  db:
    image: rootfs:/
    command: [sh, -c, "echo begun; touch /data/ready; exec sleep infinity"]
    restart: always
    stop_grace_period: 5s
    volumes: ["data:/data"]
    healthcheck: {test: [CMD, test, -e, /data/ready], interval: 30s, start_period: 30s, start_interval: 50ms}
  migrate:
    image: rootfs:/
    command: [sh, -c, "echo begun; cat /data/ready; sleep 0.1; echo done"]
    volumes: ["data:/data:ro"]
    depends_on: {db: {condition: service_healthy}}
  web:
    image: rootfs:/
    command: [sh, -c, "echo begun; echo hello > /tmp/index.html; exec busybox httpd -f -p 80 -h /tmp"]
    restart: always
    stop_grace_period: 5s
    ports: ["8080:80"]
    healthcheck: {test: [CMD, busybox, nc, -z, db.invalid, "80"], disable: true}
    depends_on:
      db: {condition: service_healthy}
      migrate: {condition: service_completed_successfully}
volumes:
  data:
"""

ROCK: Final = """
name: rock
services:
  rock:
    image: rootfs:/
    command: [sh, -c, "n=0; while sleep 0.05; do n=$$((n + 1)); echo line $$n; done"]
    ports: ["9090:90"]
    volumes: ["rock:/rock"]
    restart: always
    stop_grace_period: 0s
volumes:
  rock:
"""

SERVICES: Final = ("db", "migrate", "web")
AS_ASKED: Final = {
    "shop-db-1": ("running", 0, "healthy"),
    "shop-migrate-1": ("exited", 0, None),
    "shop-web-1": ("running", 0, None),
}


@dataclass(frozen=True, slots=True)
class Fault:
    moment: str
    action: str
    target: str
    victim: str = "engine"

    def __str__(self) -> str:
        return f"{self.moment}:{self.action}:{self.target}:{self.victim}"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one container."""

    id: str
    pid: int
    started_at: float


class CrashLab:
    def __init__(self, engine: Engine, directory: str) -> None:
        self.engine = engine
        self._fault = f"{directory}/fault"
        environment = {"ORCHESTR8_FAULT": f"@{self._fault}"}
        self.shop = self._stack(f"{directory}/shop", SHOP, environment)
        self._rock = self._stack(f"{directory}/rock", ROCK, environment)
        self._crashes = 0
        self._rock.step("up -d")
        self._rock_run = self.runs("rock")
        self._footprint = self._settled()

    def _stack(self, directory: str, text: str, environment: dict[str, str]) -> Scenario:
        os.mkdir(directory)
        with open(f"{directory}/stack.yml", "w", encoding="utf-8") as file:
            file.write(text)
        return Scenario(self.engine, directory, environment)

    # --- faults ---------------------------------------------------------------------------------------------------

    def actions(self, command: str) -> list[tuple[str, str]]:
        """Every step of what the command would do now: (Action, target)."""
        steps = STEP.findall(self.shop.step(f"{command} --dry-run").out)
        assert steps, f"`{command}` has nothing to do"
        return steps

    def strike(self, command: str, fault: Fault) -> Result:
        """Give the command with this fault ahead; returns once it has struck, and once an engine answers again."""
        if self._crashes == CRASHES_A_LIFE:
            self.shop.step("engine stop")
            self._crashes = 0
        before = self._engine_pids()
        with open(f"{self._fault}.new", "w", encoding="utf-8") as file:
            file.write(str(fault))
        os.rename(f"{self._fault}.new", self._fault)
        result = self.shop.run(*command.split())
        self.eventually(lambda: not os.path.exists(self._fault), f"{fault} is not reached")
        if fault.victim == "shim":
            return result
        self._crashes += fault.victim == "engine"
        which = ("engine", "forkserver").index(fault.victim)
        self.eventually(lambda: self._engine_pids()[which] not in {0, before[which]}, f"no {fault.victim} comes back")
        now = self._engine_pids()
        assert now[1 - which] == before[1 - which], f"{fault} took more than the {fault.victim}: {before} -> {now}"
        return result

    def strike_at(self, command: str, after_s: float, *victims: str) -> None:
        """Give the command and kill after a while, wherever it is by then; returns once the command has ended."""
        self.shop.step("engine start")
        pids = dict(zip(("engine", "forkserver"), self._engine_pids(), strict=True))
        with self.engine.start(*command.split(), cwd=self.shop.directory, environment=self.shop.environment) as process:
            time.sleep(after_s)  # chance is the point
            for victim in victims:
                os.kill(pids[victim], signal.SIGKILL)
            process.communicate(timeout=WITHIN_S)

    def _engine_pids(self) -> tuple[int, int]:
        """(engine, forkserver), each 0 while there is none; starts an engine only when none was to be there."""
        try:
            found = self.engine.ask("/engine")
        except (OSError, Orchestr8Error):
            if self._crashes:
                return 0, 0
            self.shop.step("engine start")
            found = self.engine.ask("/engine")
        return found["pid"], found["forkserver_pid"]

    # --- looking --------------------------------------------------------------------------------------------------

    def containers(self, stack: str = "shop") -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in self.engine.ask(f"/stacks/{stack}/containers", all=1)}

    def runs(self, stack: str = "shop") -> dict[str, Run]:
        """The containers that run."""
        return {
            name: Run(each["id"], each["pid"], each["started_at"])
            for name, each in self.containers(stack).items()
            if each["state"] == "running"
        }

    def shim_pid(self, container: str) -> int:
        """0 when it has none, or when that is a dead one's."""
        with open(f"{self.engine.root}/containers/{self.containers()[container]['id']}/state.json", "rb") as file:
            pid = int(json.load(file)["shim_pid"])
        return pid if os.path.exists(f"/proc/{pid}") else 0

    def traces(self, container_id: str) -> list[str]:
        """What the kernel and the run directory have of a container that does not run: nothing."""
        found = [*cgroups(self.engine.instance), *os.listdir(f"{self.engine.run_dir}/shims")]
        return [each for each in found if each.endswith(container_id)]

    def ids(self) -> set[str]:
        return {each["id"] for each in self.containers().values()}

    def states(self) -> dict[str, tuple[str, int, str | None]]:
        """What the engine says of each container; {} while none answers."""
        return {
            name: (each["state"], each["exit_code"] or 0, each["health"]) for name, each in self.containers().items()
        }

    def begun(self) -> dict[str, int]:
        """How often each container's program ran."""
        return {name: self.shop.step(f"logs --no-log-prefix {name}").out.count("begun\n") for name in SERVICES}

    def footprint(self) -> dict[str, list[str]]:
        """All that the kernel and the disk hold for this engine, apart from what each engine has anew."""
        root, instance = self.engine.root, self.engine.instance
        with open("/proc/thread-self/net/dev", encoding="utf-8") as file:
            links = [line.partition(":")[0].strip() for line in file.readlines()[2:]]
        nft = subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True, text=True).stdout
        return {
            "links": sorted(links),
            "nft": sorted(line.strip() for line in nft.splitlines()),
            "cgroups": sorted(cgroups(instance)),
            "mounts": sorted(mounts(root, instance)),
            "processes": [str(len([pid for pid in processes(root, instance) if not waiting(pid)]))],
            "shims": sorted(os.listdir(f"{self.engine.run_dir}/shims")),
            **{name: _listed(f"{root}/{name}") for name in ("containers", "volumes", "trash")},
            "stacks": sorted(each["name"] for each in self.engine.ask("/stacks")),
        }

    def _settled(self) -> dict[str, list[str]]:
        """The footprint once it stands still: between its birth and its title what waits for the next start counts as a shim."""
        seen: list[dict[str, list[str]]] = []

        def stands_still() -> bool:
            seen.append(self.footprint())
            return seen[-_ALIKE:].count(seen[-1]) == _ALIKE

        self.eventually(stands_still, "the lab does not come to rest")
        return seen[-1]

    # --- checks ---------------------------------------------------------------------------------------------------

    def eventually(self, holds: Callable[[], object], sentence: str, show: Callable[[], object] | None = None) -> None:
        deadline = time.monotonic() + WITHIN_S
        while not _quietly(holds):
            if time.monotonic() > deadline:
                shown = f": {_quietly(show or holds)}"
                raise AssertionError(f"{sentence}{shown}\n{self.engine.log()}")
            time.sleep(0.01)  # between two looks

    def check_up(self, where: object) -> None:
        """The stack is as its file says, and answers."""
        self.eventually(lambda: self.states() == AS_ASKED, f"{where}: the stack is not brought up", self.states)
        self.eventually(self._page, f"{where}: the page does not answer")
        self.check_rock(where)

    def _page(self) -> bool:
        from urllib.request import urlopen

        with urlopen("http://127.0.0.1:8080/", timeout=5) as answer:
            return bool(answer.read() == b"hello\n")

    def check_gone(self, where: object) -> None:
        """Of the stack nothing is left, anywhere."""
        self.eventually(
            lambda: self.footprint() == self._footprint,
            f"{where}: something is left",
            lambda: _difference(self._footprint, self.footprint()),
        )
        self.check_rock(where)

    def check_rock(self, where: object) -> None:
        assert self.runs("rock") == self._rock_run, f"{where}: another stack was touched"

    def check_rock_log(self) -> None:
        lines = self._rock.logs("rock").splitlines()
        assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
        assert lines


def _listed(directory: str) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return sorted(os.listdir(directory))
    return []


def _quietly(holds: Callable[[], object]) -> object:
    try:
        return holds()
    except (
        OSError,
        HTTPException,
        Orchestr8Error,
    ):  # no engine answers at this moment, or a program is just being killed
        return None


def _difference(before: dict[str, list[str]], now: dict[str, list[str]]) -> list[str]:
    found = []
    for key, value in now.items():
        found += [f"{key}: + {each}" for each in value if each not in before[key]]
        found += [f"{key}: - {each}" for each in before[key] if each not in value]
    return found
