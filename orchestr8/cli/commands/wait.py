"""`wait`: until containers have ended; with --down-project, until the first has, and then the stack goes."""

from __future__ import annotations

from orchestr8.cli.containers import chosen_containers, list_containers
from orchestr8.cli.follow import exit_code_of
from orchestr8.cli.loop import Loop
from orchestr8.errors import Conflict, NotFound

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Any

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options
    from orchestr8.wire.client import Response


def run(context: Context, options: Options) -> int:
    """The exit code of the container that ended last; with --down-project, first."""
    containers = _chosen(context, options.services)
    ended = sorted(
        (each for each in containers if each["state"] == "exited"), key=lambda each: each.get("finished_at", 0.0)
    )
    running = [each for each in containers if each["state"] == "running"]
    if not ended and not running:
        raise Conflict(
            "none of these containers has been started", helps=[f"start them: orchestr8 up -d {' '.join(options.services)}"]
        )  # fmt: skip
    code = 0
    for each in ended[:1] if options.down_project else ended:
        code = _tell(context, each, each.get("exit_code") or 0)
    if running and not (ended and options.down_project):
        code = _Waiting(context, running, first_only=options.down_project).run()
    if options.down_project:
        _bring_down(context)
    return code


def _chosen(context: Context, names: list[str]) -> list[dict[str, Any]]:
    """Of these services, or with these names; or those of all services."""
    known = list_containers(context, stopped=True)
    if not names:
        return [each for each in known if not each["oneoff"]]
    chosen = {name: chosen_containers(known, name) for name in names}
    missing = sorted(name for name, found in chosen.items() if not found)
    if missing:
        list_containers(context, missing, stopped=True)  # which tells of services that the stack does not have
        raise NotFound(
            f"{', '.join(missing)}: there is no container to wait for",
            helps=[f"start it: orchestr8 up -d {' '.join(missing)}"],
        )
    return list({each["id"]: each for found in chosen.values() for each in found}.values())


class _Waiting:
    """For several containers at once."""

    def __init__(self, context: Context, containers: list[dict[str, Any]], *, first_only: bool) -> None:
        self._context = context
        self._first_only = first_only
        self._loop = Loop()
        self._left = len(containers)
        self._code = 0
        self._open: list[Response] = []
        for each in containers:
            self._ask(each)

    def _ask(self, container: dict[str, Any]) -> None:
        there = f"/containers/{container['id']}"
        response = self._context.client.open("POST", f"{there}/wait", query={"condition": "not-running"})
        self._open.append(response)

        def take() -> None:
            self._loop.forget(response)
            code = exit_code_of(self._context.client, response, there, {"condition": "not-running"})
            self._code = _tell(self._context, container, code)
            self._left -= 1
            if not self._left or self._first_only:
                self._loop.stop()

        self._loop.watch(response, take)

    def run(self) -> int:
        try:
            self._loop.run(lambda: None)
        finally:
            for each in self._open:
                each.close()
        return self._code


def _tell(context: Context, container: dict[str, Any], code: int) -> int:
    context.out.write(f"{container['name']} exited with status code {code}\n")
    return code


def _bring_down(context: Context) -> None:
    """As `down` does, without any of its flags."""
    from orchestr8.cli.commands import down
    from orchestr8.cli.parser import parse

    down.run(context, parse(["down"])[1])
