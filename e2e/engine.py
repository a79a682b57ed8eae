"""One engine of a test's own, with its own root and sockets, spoken with by the program as a user does.

The engine starts with the first command that needs one, in the network namespace of the caller.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, NamedTuple

import orchestr8
from e2e.pace import SLOW
from e2e.residue import cgroups, mounts, processes, residue
from orchestr8.wire.paths import instance_hash, run_dir

COMMAND_S: Final = 50.0 * SLOW  # how long one command may take; a test has 60 s


class Result(NamedTuple):
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


class Started(subprocess.Popen[str]):
    """A command that runs. As a context it is waited for, unless the test has failed: then it is killed."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, error, place)


class Engine:
    """`directory` is where the root goes. Nothing runs until a command is given."""

    def __init__(self, directory: str) -> None:
        self.root = os.path.realpath(directory) + "/root"
        self._run_parent = tempfile.mkdtemp(prefix="o8-")  # a unix socket's path is short, a test's directory is not
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": "/root",
            "XDG_CACHE_HOME": f"{self._run_parent}/cache",
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.path.dirname(os.path.dirname(orchestr8.__file__)),  # a checkout need not be installed
            "ORCHESTR8_ROOT": self.root,
            "ORCHESTR8_RUN_DIR": self._run_parent,
        }
        self.instance = instance_hash(self.root)
        self.run_dir = run_dir(self.root, self.environment)

    # --- commands -------------------------------------------------------------------------------------------------

    def run(self, *words: str, cwd: str = "/", environment: Mapping[str, str] | None = None, stdin: str = "") -> Result:
        """One command from start to end."""
        with self.start(*words, cwd=cwd, environment=environment) as process:
            try:
                out, err = process.communicate(stdin, timeout=COMMAND_S)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                err += f"[killed: it took longer than {COMMAND_S:.0f} s]\n"
        return Result(process.returncode, out, err)

    def start(self, *words: str, cwd: str = "/", environment: Mapping[str, str] | None = None) -> "Started":
        """One command, running: for what stays (`up`, `logs -f`) and for what gets signals."""
        return Started(
            [sys.executable, "-m", "orchestr8", *words],
            cwd=cwd,
            env={**self.environment, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def status(self) -> dict[str, Any]:
        """What `engine status` says; its `state` is running or stopped."""
        answer: dict[str, Any] = json.loads(self.run("engine", "status", "--format", "json").out)
        return answer

    def log(self) -> str:
        """What the engine wrote, and its forkserver and shims with it."""
        try:
            with open(f"{self.root}/engine.log", encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    # --- the end --------------------------------------------------------------------------------------------------

    def close(self) -> list[str]:
        """Bring every stack down, end the engine, and return what is left of it all: [] when it did its work."""
        left = self._end() if os.path.exists(self.root) else []
        left += residue(self.root, self.instance, self.run_dir)
        if left:
            left += [f"engine.log: {line}" for line in self.log().splitlines()[-20:]]
            self.destroy()
        shutil.rmtree(self._run_parent, ignore_errors=True)
        shutil.rmtree(self.root, ignore_errors=True)
        return left

    def _end(self) -> list[str]:
        """By its own commands; complaints of those that fail."""
        commands = [["engine", "stop"]]
        if self.status()["state"] == "running":
            commands = [*(["-p", name, "down", "-v", "-t", "1"] for name in self.stacks()), *commands]
        results = [(words, self.run(*words)) for words in commands]
        return [f"`{' '.join(words)}` failed: {result.err}" for words, result in results if result.code]

    def ask(self, path: str, **query: str | int) -> Any:
        """What the engine's HTTP interface tells. Raises OSError or Orchestr8Error; starts nothing."""
        from orchestr8.wire.client import Client

        return Client(f"{self.run_dir}/engine.sock").request("GET", path, query=query)

    def stacks(self) -> list[str]:
        """The names of all stacks that this engine has."""
        return [each["name"] for each in self.ask("/stacks")]

    def destroy(self) -> None:
        """By force, after a failure, so that the next test finds a clean machine."""
        deadline = time.monotonic() + 10
        while (pids := processes(self.root, self.instance)) and time.monotonic() < deadline:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)  # until they are gone: a killed engine may just have started another
        for mount in reversed(mounts(self.root, self.instance)):
            subprocess.run(["umount", "-l", mount], check=False)
        for directory in cgroups(self.instance):
            with contextlib.suppress(OSError):
                os.rmdir(directory)


@contextlib.contextmanager
def own_engine(directory: str) -> Iterator[Engine]:
    """An engine that must leave nothing behind. Raises AssertionError with what it left."""
    engine = Engine(directory)
    try:
        yield engine
    except BaseException as failure:
        left = engine.close()
        if left:
            failure.add_note("left behind:\n  " + "\n  ".join(left))
        raise
    left = engine.close()
    assert not left, "left behind:\n  " + "\n  ".join(left)
