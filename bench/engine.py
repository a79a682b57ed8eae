"""An engine of ours that is measured: its own root and sockets, and what the kernel shows of its processes."""

import contextlib
import json
import os
import subprocess
from typing import Any, Final, NamedTuple

from bench.errors import Unmeasurable
from bench.processes import Sample, run
from e2e.residue import residue
from orchestr8.wire.paths import instance_hash, run_dir

_KEPT: Final = ("PATH", "HOME", "LANG")


class Processes(NamedTuple):
    """The pids behind one's containers. `helpers` of a container are what is there besides its own program."""

    daemons: dict[str, int]  # name → pid
    shims: list[int]
    inits: list[int]

    def helpers(self) -> dict[str, list[int]]:
        return {"shims": self.shims, "inits": self.inits}


class OwnEngine:
    """`program` is the installed orchestr8. Its root is made below `directory`; commands start it when they need it."""

    def __init__(self, program: str, directory: str) -> None:
        self.program = program
        self.root = os.path.realpath(directory) + "/root"
        self.environment = {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            "ORCHESTR8_ROOT": self.root,
            "ORCHESTR8_RUN_DIR": os.path.realpath(directory) + "/run",
        }
        self.instance = instance_hash(self.root)
        self.run_dir = run_dir(self.root, self.environment)

    def command(self, *words: str) -> tuple[Sample, str]:
        return run([self.program, *words], self.environment)

    def start(self) -> None:
        self.command("engine", "start")

    def stop(self) -> None:
        """End the engine and whatever it runs."""
        self.command("engine", "stop", "--containers")

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.command("engine", "status", "--format", "json")[1])
        return answer

    def processes(self) -> Processes:
        """Of the running engine; shims and PID 1s from the states that the shims wrote."""
        status = self.status()
        states = [_read_json(path) for path in self._state_files()]
        running = [state for state in states if state["state"] == "running"]
        return Processes(
            daemons={"engine": status["pid"], "forkserver": status["forkserver_pid"]},
            shims=[state["shim_pid"] for state in states],
            inits=[state["pid"] for state in running],
        )

    def _state_files(self) -> list[str]:
        containers = f"{self.root}/containers"
        return [f"{containers}/{name}/state.json" for name in sorted(os.listdir(containers))]

    def residue(self) -> list[str]:
        return residue(self.root, self.instance, self.run_dir)

    def end(self) -> list[str]:
        """After everything: stop it, and say what is left."""
        if os.path.exists(self.root):
            self.stop()
        return self.residue()


class PeerProcesses:
    """The same of docker: containerd-shim is the parent of a container's PID 1, which is docker-init."""

    def __init__(self, command: tuple[str, ...], environment: dict[str, str]) -> None:
        self._command = command
        self._environment = environment

    def processes(self, project: str) -> Processes:
        ids = self._ask("ps", "-q", "--filter", f"label=com.docker.compose.project={project}").split()
        if not ids:
            raise Unmeasurable(f"docker has no container of {project}")
        inits = [int(text) for text in self._ask("inspect", "-f", "{{.State.Pid}}", *ids).split()]
        return Processes(
            daemons={name: pid for name in ("dockerd", "containerd") for pid in pids_named(name)},
            shims=sorted({parent_of(pid) for pid in inits}),
            inits=inits,
        )

    def _ask(self, *words: str) -> str:
        result = subprocess.run(
            [*self._command, *words], env=self._environment, capture_output=True, text=True, timeout=60, check=False
        )
        if result.returncode:
            raise Unmeasurable(f"docker {words[0]} failed: {result.stderr.strip()}")
        return result.stdout


def pids_named(name: str) -> list[int]:
    """Of processes whose name, as the kernel has it, is exactly this."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{entry}/comm") as file:
                if file.read().rstrip("\n") == name:
                    found.append(int(entry))
    return found


def parent_of(pid: int) -> int:
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def _read_json(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        found: dict[str, Any] = json.load(file)
    return found
