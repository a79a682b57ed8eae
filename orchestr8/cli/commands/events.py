"""`events`: what happens to a stack's containers, as it happens, with compose's fields."""

from __future__ import annotations

import json
import time

from orchestr8.cli.containers import list_containers
from orchestr8.cli.follow import NEXT_ENGINE_S, await_next_engine
from orchestr8.cli.times import moment_of
from orchestr8.errors import Unavailable
from orchestr8.wire.client import Client, Lines

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Any

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options
    from orchestr8.wire.client import Response


def run(context: Context, options: Options) -> int:
    query: dict[str, Any] = {"stack": context.stack}
    for name in ("since", "until"):
        if (text := getattr(options, name)) is not None:
            query[name] = f"{moment_of(f'--{name}', text):.6f}"
    if options.services:
        list_containers(context, options.services, stopped=True)  # which tells of unknown ones
    path = context.client.path
    following = Client(path, lambda: await_next_engine(path, NEXT_ENGINE_S))
    response = context.client.open("GET", "/events", query=query)
    query.pop("since", None)
    while not _follow(context, options, response):
        # What ended was perhaps killed. One that has ended in order is not started for this, which is told as an error.
        response = following.open("GET", "/events", query=query)
        context.err.write("the engine was killed: what happened until the next one came is not shown\n")
    return 0


def _follow(context: Context, options: Options, response: Response) -> bool:
    """Until the moment that was asked for; False: until the engine ended."""
    with response:
        try:
            for event in Lines(response):
                _show(context, options, event)
        except Unavailable:
            return False
        return options.until is not None


def _show(context: Context, options: Options, event: dict[str, Any]) -> None:
    if event.get("missed"):
        context.err.write("this was read too slowly: some events are not shown\n")
        return
    if options.services and event["service"] not in options.services:
        return
    seconds, microseconds = divmod(round(event["at"] * 1e6), 1_000_000)
    attributes = {**event.get("attributes", {}), "name": event["container"]}
    if options.json:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{microseconds:06d}Z"
        told = {
            "action": event["kind"], "attributes": attributes, "id": event["id"], "service": event["service"],
            "time": moment, "type": "container",
        }  # fmt: skip
        text = json.dumps(told, ensure_ascii=False)
    else:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) + f".{microseconds:06d}"
        details = ", ".join(f"{key}={value}" for key, value in sorted(attributes.items()))
        text = f"{moment} container {event['kind']} {event['id']} ({details})"
    context.out.write(f"{text}\n")
