"""`engine status|start|stop|logs`: the process behind all stacks of this root."""

from __future__ import annotations

import json
import os
import select
import time

from orchestr8.cli.commands.logs import tail
from orchestr8.cli.follow import await_next_engine
from orchestr8.cli.parser import UsageError
from orchestr8.errors import NotFound, Unavailable, Unheard
from orchestr8.wire.client import Client
from orchestr8.wire.durations import human_duration

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Any, Final

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options


RESTART_S: Final = 3.0  # in which the forkserver starts an engine in the place of one that was killed


def run(context: Context, options: Options) -> int:
    actions = {"status": _status, "start": _start, "stop": _stop, "logs": _logs}
    if options.action not in actions:
        raise UsageError(f"`engine` has no action `{options.action}`", helps=[f"one of: {', '.join(actions)}"])
    return actions[options.action](context, options)


def _running(client: Client) -> dict[str, Any] | None:
    """What the engine that runs says of itself; None when nobody listens."""
    try:
        state: dict[str, Any] = client.request("GET", "/engine")
    except Unheard:
        return None
    return state


def _status(context: Context, options: Options) -> int:
    state = _running(context.running_engine())
    if options.format == "json":
        told = {"state": "running", **state} if state else {"state": "stopped", "root": context.root}
        context.out.write(json.dumps(told) + "\n")
        return 0 if state else 1
    if not state:
        context.out.write(f"not running\n  root        {context.root}\n")
        return 1
    lines = [
        ("root", state["root"]),
        ("socket", state["socket"]),
        ("version", state["version"]),
        ("pid", f"{state['pid']}, forkserver {state['forkserver_pid'] or '-'}"),
        ("started", f"{human_duration(time.time() - state['started_at'])} ago"),
        ("stacks", state["stacks"]),
        ("containers", f"{state['containers']}, {state['running']} running"),
        ("memory", f"{state['memory_pss_bytes'] / 2**20:.1f} MiB"),
    ]
    context.out.write("running\n" + "".join(f"  {name:<11} {value}\n" for name, value in lines))
    return 0


def _start(context: Context, _options: Options) -> int:
    engine = context.client.request("GET", "/engine")
    context.err.write(f"engine running, pid {engine['pid']}\n")
    return 0


def _stop(context: Context, options: Options) -> int:
    client = context.running_engine()
    state = _running(Client(client.path, lambda: await_next_engine(client.path, RESTART_S)))
    if not state:
        context.err.write("no engine runs\n")
        return 0
    watch = _watch(int(state["pid"]))
    try:
        client.request("POST", "/engine/stop", body={"containers": options.containers}, timeout_s=None)
        if watch >= 0:
            poll = select.poll()
            poll.register(watch, select.POLLIN)
            poll.poll()  # readable once the process has ended
    finally:
        if watch >= 0:
            os.close(watch)
    running = (
        ""
        if options.containers or not state["running"]
        else f"; {state['running']} containers go on, and find no names until the next command starts it"
    )
    context.err.write(f"engine stopped{running}\n")
    return 0


def _watch(pid: int) -> int:
    """A descriptor of the process, by which its end can be waited for; -1 when it is gone already."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return -1


def _logs(context: Context, options: Options) -> int:
    wanted = tail(options.tail or "all")
    client = context.running_engine()
    if _running(client):
        query: dict[str, Any] = {"tail": wanted, **({"follow": 1} if options.follow else {})}
        with client.open("GET", "/engine/logs", query=query) as response:
            while (data := response.receive()) is not None:
                context.out.write_bytes(data)
        return 0
    if options.follow:
        raise Unavailable("no engine runs, so there is nothing to follow", helps=["orchestr8 engine logs, without -f"])
    path = os.path.join(context.root, "engine.log")
    try:
        with open(path, "rb") as log:
            lines = log.read().splitlines(keepends=True)
    except FileNotFoundError:
        raise NotFound(f"there is no log: no engine has run with root {context.root}") from None
    context.out.write_bytes(b"".join(lines if wanted == "all" else lines[len(lines) - min(int(wanted), len(lines)) :]))
    return 0
