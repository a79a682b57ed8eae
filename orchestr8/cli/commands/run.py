"""`run`: a one-off container of a service, after what the service depends on is up, connected to the caller."""

from __future__ import annotations

import json
import os
import shlex

from orchestr8.cli.documents import remove_orphans, sent_document
from orchestr8.cli.follow import exit_code_of
from orchestr8.cli.output import YELLOW
from orchestr8.cli.parser import UsageError
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
    if options.quiet:
        context.progress_mode = "quiet"
    tty = not options.detach and wants_terminal(wanted=options.tty, no_tty=options.no_tty)
    stdin = not options.detach and "interactive" not in options.turned_off
    both = _capabilities(options.cap_add) & _capabilities(options.cap_drop)
    if both:
        raise UsageError(f"--cap-add and --cap-drop both have {min(both)}")
    if options.publish and options.service_ports:
        raise UsageError("-p gives ports, and -P takes the service's")
    document = sent_document(context, [options.service], acting=True, complete=True, over=_laid_over(options))
    _take_sides(document["services"][options.service], options)
    stack = document["name"]
    wanted = {
        "command": options.command or None,
        "entrypoint": None if options.entrypoint is None else shlex.split(options.entrypoint),
        "environment": {
            **_of_files(context, options.env_from_file),
            **_pairs(environment_list(options.env, context.environ, tty=tty)),
        },
        "user": options.user or "",
        "working_dir": options.workdir or "",
        "tty": tty,
        "stdin": stdin,
        "no_deps": options.no_deps,
        "name": options.name or "",
        "labels": _pairs(options.labels),
        "service_ports": options.service_ports or bool(options.publish),
        "use_aliases": options.use_aliases,
        "remove_orphans": remove_orphans(options, context.environ),
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
        return _attached(context, there, tty=tty, stdin=stdin, removed=options.rm)
    except BaseException:
        if options.rm:
            _remove(context.client, there)
        raise


def _laid_over(options: Options) -> str:
    """What flags say of the service in the words of a stack file, so that they are read and checked as one."""
    said = {
        "cap_add": options.cap_add,
        "cap_drop": options.cap_drop,
        "volumes": [_from_here(text) for text in options.volume],
        "ports": options.publish,
    }
    keys = [
        f"{key}: {'!override ' if key == 'ports' else ''}{json.dumps(texts, ensure_ascii=False).replace('$', '$$')}"
        for key, texts in said.items()
        if texts
    ]
    return f"services: {{{json.dumps(options.service)}: {{{', '.join(keys)}}}}}\n" if keys else ""


def _from_here(text: str) -> str | dict[str, Any]:
    """A volume whose source starts where the caller stands, not at the stack's directory; long where that has a colon."""
    here = os.getcwd()
    if not text.startswith("."):
        return text
    if ":" not in here:
        return os.path.join(here, text)
    from orchestr8.stack.mounts import BadMount, parse_mount

    try:
        mount = parse_mount(text)
    except BadMount:
        return text  # told when it is read
    return {**mount, "source": os.path.join(here, mount["source"])} if "source" in mount else text


def _take_sides(service: dict[str, Any], options: Options) -> None:
    """A capability that a flag adds is not one that the file drops, and the other way round."""
    for key, flags in (("cap_drop", options.cap_add), ("cap_add", options.cap_drop)):
        if key in service:
            service[key] = [each for each in service[key] if not _capabilities([each]) & _capabilities(flags)]


def _capabilities(names: list[str]) -> set[str]:
    return {name.upper().removeprefix("CAP_") for name in names}


def _of_files(context: Context, paths: list[str]) -> dict[str, str]:
    """The variables of env files, of which the later ones win. Raises InvalidStack with all that is wrong in them."""
    if not paths:
        return {}
    from orchestr8.stack.environment import Environment
    from orchestr8.stack.problems import Problems

    problems, found, here = Problems(), Environment(context.environ), os.getcwd()
    found.read_files([os.path.join(here, path) for path in paths], problems, here)
    problems.raise_errors()
    context.warn(problems.warnings, problems.sources)
    return found.from_files


def _start(context: Context, there: str) -> None:
    answer = context.client.request("POST", f"{there}/start", timeout_s=None)
    for lack in answer["Warnings"] if answer else ():
        context.err.write(f"{context.err.paint('warning', YELLOW)}: {lack}\n")


def _attached(context: Context, there: str, *, tty: bool, stdin: bool, removed: bool) -> int:
    """Attach and wait first, then start: so no byte of its output is lost, nor its exit code. `removed`: wait for that."""
    client = context.client

    def forward(number: signal.Signals) -> None:
        client.request("POST", f"{there}/kill", query={"signal": number.name})

    with (
        client.upgrade("POST", f"{there}/attach", query={"stdin": int(stdin)}) as stream,
        client.open("POST", f"{there}/wait", query={"condition": "removed" if removed else "next-exit"}) as end,
    ):
        if tty:
            resize(client, there)  # so that the program never sees another size
        _start(context, there)
        left = interact(client, stream, there, tty=tty, stdin=stdin, forward=forward)
        if left is None:
            return exit_code_of(client, end, there, tell=context.err.write)
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
