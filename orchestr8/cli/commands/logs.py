"""`logs`: what a stack's containers wrote, merged in the order of time; with -f, what they write until the last ends."""

from __future__ import annotations

from orchestr8.cli.follow import FollowedLogs
from orchestr8.cli.logview import LogView
from orchestr8.cli.loop import Loop
from orchestr8.cli.parser import UsageError
from orchestr8.cli.times import moment_of

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options
    from orchestr8.wire.client import Stream


def run(context: Context, options: Options) -> int:
    query: dict[str, Any] = {"service": options.services}
    if options.index is not None:
        if len(options.services) != 1:
            raise UsageError("--index needs one service")
        query["index"] = options.index
    if options.tail is not None:
        query["tail"] = tail(options.tail)
    if options.since is not None:
        query["since"] = f"{moment_of('--since', options.since):.6f}"
    if options.until is not None:
        query["until"] = f"{moment_of('--until', options.until) + 2e-6:.6f}"  # a line's own time includes that line
    timed = options.timestamps or options.format == "json"
    if timed:
        query["timestamps"] = 1
    make_view = _view_maker(context, options, timed=timed)
    if options.follow:
        _follow(context, query, make_view)
        return 0
    with context.client.upgrade("GET", f"/stacks/{context.stack}/logs", query=query) as stream:
        _show(make_view(stream))
    return 0


def _view_maker(context: Context, options: Options, *, timed: bool) -> Callable[[Stream], LogView]:
    """How what the engine sends is shown."""
    write, colour, prefix, pick = context.out.write_bytes, context.colour_logs(), not options.no_log_prefix, None

    def say(text: str) -> None:
        context.err.write(f"{text}\n")

    if options.grep is not None or options.format == "json":
        from orchestr8.cli.logpick import JsonLines, matching  # few ask for it

        if options.grep is not None:
            pick = matching(options.grep, timed=timed)
        if options.format == "json":
            return lambda stream: JsonLines(stream, write, say, pick=pick)
    return lambda stream: LogView(stream, write, say, colour=colour, prefix=prefix, pick=pick)


def _follow(context: Context, query: dict[str, Any], make_view: Callable[[Stream], LogView]) -> None:
    logs = FollowedLogs(context, context.stack, query, make_view)
    try:
        _show(logs.view)
        while logs.go_on():
            _show(logs.view)
    finally:
        logs.close()


def _show(view: LogView) -> None:
    """Until it ends."""
    loop = Loop()

    def take() -> None:
        view.take()
        if view.ended:
            loop.stop()

    loop.watch(view, take)
    loop.run(lambda: None)


def tail(text: str) -> str:
    """Docker's and Podman's commands mean all lines by -1, and compose's by whatever is below zero."""
    if text[:1] == "-" and text[1:].isascii() and text[1:].isdigit():
        return "all"
    if text != "all" and not (text.isascii() and text.isdigit()):
        raise UsageError(f"--tail {text} is neither a number nor `all`")
    return text
