"""`run`: a one-off container of a service, after what the service depends on is up, connected to the caller."""

from __future__ import annotations

import shlex

from orchestr8.cli.documents import sent_document
from orchestr8.cli.output import YELLOW
from orchestr8.cli.terminal import environment_list, interact, resize, wants_terminal
from orchestr8.cli.work import do_work
from orchestr8.errors import NotFound

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    import signal
    from typing import Any

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options
    from orchestr8.wire.client import Client


def run(context: Context, options: Options) -> int:
    tty = not options.detach and wants_terminal(wanted=options.tty, no_tty=options.no_tty)
    document = sent_document(context, [options.service], acting=True, complete=True)
    stack = document["name"]
    wanted = {
        "command": options.command or None,
        "entrypoint": None if options.entrypoint is None else shlex.split(options.entrypoint),
        "environment": _pairs(environment_list(options.env, context.environ, tty=tty)),
        "user": options.user or "",
        "working_dir": options.workdir or "",
        "tty": tty,
        "stdin": not options.detach,
        "no_deps": options.no_deps,
        "name": options.name or "",
        "labels": _pairs(options.labels),
        "service_ports": options.service_ports,
        "rm": options.rm,
    }
    body = {"document": document, "service": options.service, "options": wanted}
    made = do_work(context, f"run {stack} {options.service}", f"/stacks/{stack}/run", body, resumable=False)
    there = f"/containers/{made['container']}"
    try:
        if options.detach:
            _start(context, there)
            context.out.write(f"{made['name']}\n")
            return 0
        return _attached(context, there, tty=tty, removed=options.rm)
    except BaseException:
        if options.rm:
            _remove(context.client, there)
        raise


def _start(context: Context, there: str) -> None:
    answer = context.client.request("POST", f"{there}/start", timeout_s=None)
    for lack in answer["Warnings"] if answer else ():
        context.err.write(f"{context.err.paint('warning', YELLOW)}: {lack}\n")


def _attached(context: Context, there: str, *, tty: bool, removed: bool) -> int:
    """Attach and wait first, then start: so no byte of its output is lost, nor its exit code. `removed`: wait for that."""
    client = context.client

    def forward(number: signal.Signals) -> None:
        client.request("POST", f"{there}/kill", query={"signal": number.name})

    with (
        client.upgrade("POST", f"{there}/attach", query={"stdin": 1}) as stream,
        client.open("POST", f"{there}/wait", query={"condition": "removed" if removed else "next-exit"}) as end,
    ):
        if tty:
            resize(client, there)  # so that the program never sees another size
        _start(context, there)
        left = interact(client, stream, there, tty=tty, stdin=True, forward=forward)
        if left is None:
            return int(end.value()["StatusCode"])
    if removed:
        _remove(client, there)
    return 128 + left


def _remove(client: Client, there: str) -> None:
    """Whatever it does. The engine removes a container of `--rm` that has ended, so it may be gone already."""
    try:
        client.request("DELETE", there, query={"force": 1}, timeout_s=None)
    except NotFound:
        return


def _pairs(texts: list[str]) -> dict[str, Any]:
    return {name: value for name, _, value in (text.partition("=") for text in texts)}
