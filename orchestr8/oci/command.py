"""The command line, as runc has it: `orchestr8-oci [global flags] COMMAND [flags] ID …`.

An error is one line on the standard error and, with `--log`, one in that file, where podman and containerd look for it; the
exit code is 1, and the program's own for `run` and `exec`. `--systemd-cgroup` is done by the files of the cgroup alone.

Each verb imports what it needs: most of a call's time is Python's, and `state` makes nothing.
"""

import argparse
import contextlib
import gc
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

from orchestr8.errors import Conflict, InvalidInput, NotFound, OperationFailed, Orchestr8Error
from orchestr8.oci import state
from orchestr8.oci.arguments import parser_of
from orchestr8.oci.state import Container

_FAILED: Final = 1
_EXEC_FAILED: Final = 255  # as runc and crun: smaller numbers are the program's

Options = argparse.Namespace
_Verb = Callable[["_Call", Options], int]


class _Call:
    """One call of this program: its global flags, and where it tells what went wrong."""

    def __init__(self, options: Options) -> None:
        self.options = options
        if options.log:
            try:
                os.close(os.open(options.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644))
            except OSError as error:
                raise InvalidInput(f"--log {options.log}: {error.strerror}") from error

    @property
    def root(self) -> str:
        return str(self.options.root)

    def container(self) -> Container:
        return Container.opened(self.root, self.options.id)

    def tell(self, level: str, message: str) -> None:
        text = " ".join(message.split())
        if self.options.log:
            self._log(level, text)
        if level != "debug" and (level == "error" or not self.options.log):
            sys.stderr.write(f"{text}\n")

    def warn(self, message: str) -> None:
        self.tell("warning", message)

    def _log(self, level: str, text: str) -> None:
        import time

        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = json.dumps({"level": level, "msg": text, "time": now})
        if self.options.log_format == "text":
            line = f"time={json.dumps(now)} level={level} msg={json.dumps(text)}"
        with open(self.options.log, "a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def main() -> NoReturn:
    gc.disable()  # a call is over before there is anything to collect, and it costs imports a tenth of their time
    code = run(sys.argv[1:])
    with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
        sys.stdout.flush()
    os._exit(code)


def run(argv: Sequence[str], prog: str = "orchestr8-oci") -> int:
    """One call, to its exit code."""
    failed = _FAILED
    call = _Call(Options(log="", log_format="text"))
    try:
        options = parser_of(argv, prog).parse_args(list(argv))
        call = _Call(options)
        failed = _EXEC_FAILED if options.command == "exec" else _FAILED
        return _VERBS[options.command](call, options)
    except Orchestr8Error as error:
        call.tell("error", "; ".join([error.message, *error.notes, *error.helps]))
        return failed
    except OSError as error:
        call.tell("error", str(error))
        return failed


def _make(call: _Call, options: Options, console: int, size: dict[str, int] | None = None) -> tuple[Container, int]:
    from orchestr8.oci import create

    if options.no_pivot:
        raise InvalidInput("--no-pivot is not supported: without pivot_root the host's files can be reached")
    bundle = os.path.abspath(options.bundle or ".")
    sockets = _listening()
    order = create.Order(
        bundle=bundle, console=console, size=size or {}, pid_file=options.pid_file, preserved=options.preserve_fds + sockets,
        listening=sockets, keyring=not options.no_new_keyring, systemd=options.systemd_cgroup, warn=call.warn,
    )  # fmt: skip
    container = Container(call.root, options.id)
    return container, create.create(container, order)


def _listening() -> int:
    """So many sockets, from 3 on, are for this process by systemd's rule (sd_listen_fds(3)); they are passed on."""
    given = os.environ.get("LISTEN_FDS", "")
    return int(given) if given.isdecimal() and os.environ.get("LISTEN_PID") == str(os.getpid()) else 0


def _console(path: str) -> int:
    """A descriptor connected to the console socket; -1 for no path."""
    import socket

    if not path:
        return -1
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.connect(path)
    except OSError as error:
        listener.close()
        raise OperationFailed(f"console socket {path}: {error.strerror}") from error
    return listener.detach()


def _create(call: _Call, options: Options) -> int:
    _make(call, options, _console(options.console_socket))
    return 0


def _run(call: _Call, options: Options) -> int:
    from orchestr8.oci import document, lifecycle
    from orchestr8.oci.relay import Relay

    if options.detach or options.console_socket:
        container, _ = _make(call, options, _console(options.console_socket))
        lifecycle.start(container, call.warn)
        return 0
    bundle = os.path.abspath(options.bundle or ".")
    relay = Relay(terminal=document.wants_terminal(bundle))
    container, pid = _make(call, options, relay.console, relay.size())
    try:
        lifecycle.start(container, call.warn)
        return relay.wait(pid, container.signal)
    finally:
        if not options.keep:
            lifecycle.delete(container, force=True, warn=call.warn)


def _start(call: _Call, _options: Options) -> int:
    from orchestr8.oci import lifecycle

    lifecycle.start(call.container(), call.warn)
    return 0


def _state(call: _Call, _options: Options) -> int:
    _print_json(call.container().report())
    return 0


def _kill(call: _Call, options: Options) -> int:
    import signal

    container, number = call.container(), _signal(options.signal)
    with container.locked():
        if options.all:
            for pid in container.group().pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            return 0
        if not container.signal(number):
            raise Conflict("container not running")
        if number == signal.SIGKILL:
            from orchestr8.oci import document

            if "pid" not in document.fresh(container.document()):
                container.group().kill()  # no namespace ends with PID 1
            elif container.status() == "paused":
                container.group().thaw()
    return 0


def _signal(text: str) -> int:
    import signal

    if text.isdigit() and int(text) in {0, *signal.valid_signals()}:  # 0: is it there?
        return int(text)
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    if name not in signal.Signals.__members__:
        raise InvalidInput(f"unknown signal {text!r}")
    return signal.Signals[name]


def _delete(call: _Call, options: Options) -> int:
    from orchestr8.oci import lifecycle

    try:
        lifecycle.delete(call.container(), force=options.force, warn=call.warn)
    except NotFound:
        if not options.force:
            raise
    return 0


def _pause(call: _Call, options: Options) -> int:
    container = call.container()
    wanted, there = ("running", "paused") if options.command == "pause" else ("paused", "running")
    if (status := container.status()) != wanted:
        raise Conflict(
            f"container not {wanted}: it is {status}" if status != there else f"container is {there} already"
        )
    if options.command == "pause":
        container.group().freeze()
    else:
        container.group().thaw()
    return 0


def _update(call: _Call, options: Options) -> int:
    from orchestr8.oci.update import update, wanted

    for warning in update(call.container(), wanted(options)):
        call.warn(warning)
    return 0


def _ps(call: _Call, options: Options) -> int:
    pids = call.container().group().pids()
    if options.format == "json":
        _print_json(pids)
        return 0
    print("PID      CMD")
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
            print(f"{pid:<8} {file.read().replace(bytes(1), b' ').decode(errors='replace').strip()}")
    return 0


def _list(call: _Call, options: Options) -> int:
    found = []
    for each in state.every(call.root):
        with contextlib.suppress(NotFound):  # it is being deleted
            found.append(each.report())
    if options.quiet:
        for report in found:
            print(report["id"])
    elif options.format == "json":
        _print_json(found)
    else:
        rows = [["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]]
        rows += [[str(report[key.lower()]) for key in rows[0]] for report in found]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            print("   ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _features(_call: _Call, _options: Options) -> int:
    from orchestr8.oci.features import features

    _print_json(features())
    return 0


def _exec(call: _Call, options: Options) -> int:
    from orchestr8.oci import enter
    from orchestr8.oci.relay import Relay

    container = call.container()
    process = _process(call, container, options)
    relay = Relay(terminal=process["terminal"] and not options.detach and not options.console_socket)
    console = _console(options.console_socket) if options.console_socket else relay.console
    if console == relay.console >= 0:
        process["consoleSize"] = process.get("consoleSize") or relay.size()
    pid = enter.execute(container, enter.Order(process, console, options.pid_file, options.preserve_fds + _listening()))
    if options.detach:
        return 0

    def send(number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # our child: its number is its own until it is waited for
            os.kill(pid, number)

    return relay.wait(pid, send)


def _process(call: _Call, container: Container, options: Options) -> dict[str, Any]:
    from orchestr8.oci import document, shape

    if options.process:
        return document.process(document.read_json(options.process, shape.PROCESS), call.warn)
    base: dict[str, Any] = container.document()["process"]
    words = options.words[1:] if options.words[:1] == ["--"] else options.words
    base |= {"args": words, "terminal": options.tty, "env": [*base["env"], *options.env]}
    if options.cwd:
        base["cwd"] = options.cwd
    if options.user:
        numbers = options.user.split(":")
        if len(numbers) > 2 or not all(each.isascii() and each.isdigit() for each in numbers):
            raise InvalidInput(f"--user {options.user}: must be UID or UID:GID")
        base["user"] = {"uid": int(numbers[0]), "gid": int(numbers[-1]) if len(numbers) == 2 else 0}
    if options.additional_gids:
        base["user"]["additionalGids"] = options.additional_gids
    for name in options.cap:
        for kind in ("bounding", "effective", "permitted"):
            base["capabilities"].setdefault(kind, []).append(name)
    base["noNewPrivileges"] = base.get("noNewPrivileges") or options.no_new_privs
    return document.process(base, call.warn)


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))


_VERBS: Final[dict[str, _Verb]] = {
    "create": _create, "run": _run, "start": _start, "state": _state, "kill": _kill, "delete": _delete,
    "pause": _pause, "resume": _pause, "update": _update, "ps": _ps, "list": _list, "features": _features, "exec": _exec,
}  # fmt: skip
