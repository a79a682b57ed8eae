"""A story in steps: a command as a user types it, then checks of what is so now. A failure shows the whole scene.

For example, `scenario.step("up -d --wait", health("web", "healthy"), page(URL, "Hello"))`.
"""

import json
import shlex
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from e2e.engine import Engine, Result
from e2e.pace import SLOW

WITHIN_S: Final = 15.0 * SLOW
Check = Callable[["Scenario", Result], str]  # "" when it holds, else what is so instead


class Scenario:
    """One stack in its directory."""

    def __init__(self, engine: Engine, directory: str, environment: Mapping[str, str] | None = None) -> None:
        self.engine = engine
        self.directory = directory
        self.environment = dict(environment or {})

    def step(self, command: str, *checks: Check, code: int = 0, stdin: str = "") -> Result:
        """Run it to its end, then look."""
        result = self.run(*shlex.split(command), stdin=stdin)
        if result.code != code:
            raise AssertionError(self._scene(command, result, f"exit code {result.code}, not {code}"))
        self.check(*checks, command=command, result=result)
        return result

    def check(self, *checks: Check, command: str = "", result: Result | None = None) -> None:
        """Look, without doing anything."""
        result = result or Result(0, "", "")
        for check in checks:
            wrong = check(self, result)
            if wrong:
                raise AssertionError(self._scene(command, result, wrong))

    def run(self, *words: str, stdin: str = "") -> Result:
        """A command of this stack, whatever comes of it."""
        return self.engine.run(*words, cwd=self.directory, environment=self.environment, stdin=stdin)

    def containers(self, service: str = "") -> list[dict[str, Any]]:
        """All of them as `ps` shows them, running or not."""
        lines = self.run("ps", "-a", "--format", "json", *([service] if service else [])).out.splitlines()
        return [json.loads(line) for line in lines]

    def logs(self, service: str) -> str:
        return self.run("logs", "--no-log-prefix", service).out

    def _scene(self, command: str, result: Result, wrong: str) -> str:
        parts = {
            f"orchestr8 {command}": wrong,
            "stdout": result.out,
            "stderr": result.err,
            "ps -a": self.run("ps", "-a").out,
            "logs": "\n".join(self.run("logs", "--timestamps").out.splitlines()[-40:]),
            "engine.log": "\n".join(self.engine.log().splitlines()[-40:]),
        }
        return "\n".join(f"--- {title}\n{text.rstrip()}" for title, text in parts.items() if text.strip())


def eventually(check: Check, within_s: float = WITHIN_S) -> Check:
    """Holds now or within some seconds."""

    def wait(scenario: Scenario, result: Result) -> str:
        deadline = time.monotonic() + within_s
        while (wrong := check(scenario, result)) and time.monotonic() < deadline:
            time.sleep(0.05)  # between two looks; a story can only be watched
        return f"{wrong}, even after {within_s:.0f} s" if wrong else ""

    return wait
