"""The words of the command line: which commands there are, and the flags of each."""

import argparse
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, NoReturn

from orchestr8.errors import InvalidInput

ROOT: Final = "/run/orchestr8-oci"
_SPEC: Final = "1.2.0"
_WIDTH: Final = 120
# Limits that `update` changes, as runc calls them: section and key of OCI's `linux.resources`
LIMITS: Final = {
    "--blkio-weight": ("blockIO", "weight"),
    "--cpu-period": ("cpu", "period"),
    "--cpu-quota": ("cpu", "quota"),
    "--cpu-share": ("cpu", "shares"),
    "--cpu-rt-period": ("cpu", "realtimePeriod"),
    "--cpu-rt-runtime": ("cpu", "realtimeRuntime"),
    "--cpuset-cpus": ("cpu", "cpus"),
    "--cpuset-mems": ("cpu", "mems"),
    "--memory": ("memory", "limit"),
    "--memory-reservation": ("memory", "reservation"),
    "--memory-swap": ("memory", "swap"),
    "--pids-limit": ("pids", "limit"),
}

_NO_IMAGES: Final = "a container's processes are not written to files here"
# What runc has and this does not
_INSTEAD: Final = {
    "spec": "config.json as `runc spec` and `crun spec` write it is taken as it is",
    "events": "`state` tells PID 1, and /proc/PID/cgroup its groups, whose files have the figures",
    "checkpoint": _NO_IMAGES,
    "restore": _NO_IMAGES,
    "help": "--help, before a command or after it",
}


class _Parser(argparse.ArgumentParser):
    """Its help is as wide as it is: to ask for a terminal's width, at each flag that is added, takes milliseconds."""

    def _get_formatter(self) -> argparse.HelpFormatter:
        return argparse.HelpFormatter(self.prog, width=_WIDTH)

    def _check_value(self, action: argparse.Action, value: str) -> None:
        if action.dest == "command" and value not in COMMANDS:
            raise InvalidInput(
                f"there is no command `{value}`", helps=[_INSTEAD.get(value, f"there are {', '.join(COMMANDS)}")]
            )
        super()._check_value(action, value)

    def error(self, message: str) -> NoReturn:
        raise InvalidInput(f"{self.prog}: {message}", helps=[f"see {self.prog} --help"])


class _Version(argparse.Action):
    """Looked up for who asks: it takes longer than all else."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print versions")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("orchestr8")
        except PackageNotFoundError:  # run from its source
            number = "unknown"
        print(f"orchestr8-oci version {number}\nspec: {_SPEC}", flush=True)
        parser.exit()


def parser_of(argv: Sequence[str], prog: str) -> argparse.ArgumentParser:
    """The parser for these words. It knows the commands that are among them alone: to make all takes as long as a call."""
    parser = _Parser(
        prog=prog, description="An OCI runtime (runtime-spec 1.2), to be called by podman, containerd and others."
    )
    parser.add_argument("--version", "-v", action=_Version)
    parser.add_argument("--root", default=ROOT, help=f"where it remembers containers ({ROOT})")
    parser.add_argument("--log", default="", metavar="FILE", help="write warnings and errors there, too")
    parser.add_argument("--log-format", default="text", choices=("text", "json"))
    parser.add_argument("--debug", action="store_true", help="accepted; there is nothing more to tell")
    parser.add_argument(
        "--systemd-cgroup", action="store_true", help="cgroupsPath is slice:prefix:name; systemd is not asked"
    )
    parser.add_argument("--rootless", default="auto", help=argparse.SUPPRESS)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=_Parser, prog=prog
    )  # fmt: skip  # its own idea of `prog` costs a millisecond
    named = [name for name in COMMANDS if name in argv]
    for name in named or COMMANDS:
        command = COMMANDS[name]
        found = commands.add_parser(name, help=command.summary, description=command.summary)
        if command.of_one:
            found.add_argument("id", metavar="ID")
        command.add(found)
    return parser


def _plain(_parser: argparse.ArgumentParser) -> None:
    pass


def _start_of(parser: argparse.ArgumentParser) -> None:
    """Flags of what begins a program."""
    parser.add_argument("--console-socket", default="", metavar="SOCKET", help="where to send a terminal's master")
    parser.add_argument("--pid-file", default="", metavar="FILE")
    parser.add_argument("--preserve-fds", type=int, default=0, metavar="N", help="so many from 3 on are the program's")


def _create(parser: argparse.ArgumentParser) -> None:
    _start_of(parser)
    parser.add_argument("--bundle", "-b", default="", metavar="DIRECTORY")
    parser.add_argument(
        "--no-pivot", action="store_true", help="refused: without pivot_root the host's files can be reached"
    )
    parser.add_argument("--no-new-keyring", action="store_true")


def _run(parser: argparse.ArgumentParser) -> None:
    _create(parser)
    parser.add_argument("--detach", "-d", action="store_true", help="do not wait")
    parser.add_argument("--keep", action="store_true", help="do not delete it at the end")


def _kill(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("signal", nargs="?", default="TERM")
    parser.add_argument("--all", "-a", action="store_true", help="to every process")


def _delete(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", "-f", action="store_true", help="end it first; none is fine, too")


def _update(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resources", "-r", default="", metavar="FILE", help="OCI's resources object; -: stdin")
    for flag in LIMITS:
        parser.add_argument(flag, default="", metavar="VALUE")


def _ps(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", "-f", choices=("table", "json"), default="table")
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)


def _list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", "-f", choices=("table", "json"), default="table")
    parser.add_argument("--quiet", "-q", action="store_true", help="ids only")


def _exec(parser: argparse.ArgumentParser) -> None:
    _start_of(parser)
    parser.add_argument("--process", "-p", default="", metavar="FILE", help="OCI's process object")
    parser.add_argument("--detach", "-d", action="store_true", help="do not wait")
    parser.add_argument("--tty", "-t", action="store_true")
    parser.add_argument("--cwd", default="", metavar="DIRECTORY")
    parser.add_argument("--env", "-e", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--user", "-u", default="", metavar="UID[:GID]")
    parser.add_argument("--additional-gids", "-g", action="append", type=int, default=[], metavar="GID")
    parser.add_argument("--cap", "-c", action="append", default=[], metavar="CAPABILITY")
    parser.add_argument("--no-new-privs", action="store_true")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")


class _Command(NamedTuple):
    summary: str
    add: Callable[[argparse.ArgumentParser], None] = _plain
    of_one: bool = True  # False: its first word is no container's id


COMMANDS: Final = {
    "create": _Command("make a container; its program waits", _create),
    "run": _Command("create, start, wait, and delete", _run),
    "start": _Command("let a created container's program go"),
    "state": _Command("print a container's state as JSON"),
    "kill": _Command("send a signal, TERM unless told otherwise", _kill),
    "delete": _Command("remove a container that has ended", _delete),
    "pause": _Command("stop all processes of a container"),
    "resume": _Command("let them go on"),
    "update": _Command("change limits of a container", _update),
    "ps": _Command("list a container's processes", _ps),
    "list": _Command("list containers", _list, of_one=False),
    "features": _Command("print what this runtime can do as JSON", of_one=False),
    "exec": _Command("run a further program in a container", _exec),
}
