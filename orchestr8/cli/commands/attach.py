"""`attach`: the caller's terminal or streams on the stdio of a container that runs, until that ends or the caller leaves."""

from __future__ import annotations

from orchestr8.cli.containers import running_container
from orchestr8.cli.detach import DEFAULT, DetachKeys
from orchestr8.cli.follow import exit_code_of
from orchestr8.cli.terminal import interact, resize

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    import signal

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options


def run(context: Context, options: Options) -> int:
    """The container's exit code; 0 where the caller left by the keys, 128 + n by a signal."""
    keys = DetachKeys(options.detach_keys or DEFAULT)
    passes_signals = options.sig_proxy is not False
    container = running_container(context, options.service, options.index)
    there, client = f"/containers/{container['id']}", context.client

    def forward(number: signal.Signals) -> None:
        client.request("POST", f"{there}/kill", query={"signal": number.name})

    stdin = not options.no_stdin
    this_run = {"run": repr(container["started_at"])}  # a policy may begin another one at its end
    with (
        client.open("POST", f"{there}/wait", query=this_run) as end,
        client.upgrade("POST", f"{there}/attach", query={"stdin": int(stdin), "guest": 1}) as stream,
    ):
        tty = not stream.framed
        if tty:
            resize(client, there)
        left = interact(
            client, stream, there, tty=tty, stdin=stdin, forward=forward if passes_signals and not tty else None,
            keys=keys if tty else None,
        )  # fmt: skip
        if left is None:
            return exit_code_of(client, end, there, this_run, context.err.write)
    context.err.write(f"detached: {container['name']} goes on\n")
    return 128 + left if left else 0
