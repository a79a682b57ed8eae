"""`exec`: run a further program in a running container, connected to the caller's terminal or streams."""

from __future__ import annotations

from orchestr8.cli.containers import running_container
from orchestr8.cli.follow import ask_until_answered
from orchestr8.cli.parser import UsageError
from orchestr8.cli.terminal import environment_list, interact, terminal_size, wants_terminal

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options


def run(context: Context, options: Options) -> int:
    if not options.command:
        raise UsageError("`exec` needs a command to run", helps=[f"orchestr8 exec {options.service} sh"])
    detached = bool(options.detach)
    tty = bool(options.tty) if detached else wants_terminal(wanted=options.tty, no_tty=options.no_tty)
    stdin = not detached and "interactive" not in options.turned_off
    container = running_container(context, options.service, options.index)
    body = {
        "Cmd": options.command,
        "Env": environment_list(options.env, context.environ, tty=tty),
        "User": options.user or "",
        "WorkingDir": options.workdir or "",
        "Tty": tty,
        "AttachStdin": stdin,
        "Privileged": bool(options.privileged),
    }
    if tty and not detached:
        body["ConsoleSize"] = terminal_size(1)
    made = context.client.request("POST", f"/containers/{container['id']}/exec", body=body)
    there = f"/exec/{made['Id']}"
    if detached:
        context.client.request("POST", f"{there}/start", body={"Detach": True}, timeout_s=None)
        return 0
    with context.client.upgrade("POST", f"{there}/start", body={"Tty": tty}) as stream:
        ended_by = interact(context.client, stream, there, tty=tty, stdin=stdin, forward=None)
    if ended_by is not None:
        return 128 + ended_by
    # Its shim knows, whatever becomes of engines.
    state = ask_until_answered(context.client, f"{there}/json", {"wait": 1})
    return int(state["ExitCode"])
