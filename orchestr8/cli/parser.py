"""From the words of the command line to a command and its options, by the table; and the help, from the same table.

Flags that hold for every command stand before it, as compose's do, or after it where the command has none of that name.
Only the parser of the command that was called is built.
"""

from __future__ import annotations

import argparse

from orchestr8.cli.table import COMMANDS, GLOBAL_FLAGS, HELP
from orchestr8.cli.words import Argument, Command, Flag
from orchestr8.errors import InvalidInput

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Final, NoReturn

HELP_WIDTH: Final = 100


class UsageError(InvalidInput):
    """The command line itself is wrong: exit code 2."""


class Options(argparse.Namespace):
    """What was given, by the table's `dest`; None, False or [] where nothing was.

    `turned_off`: switches that were given as `--switch=false`.
    """

    turned_off: frozenset[str] = frozenset()


class _Parser(argparse.ArgumentParser):
    """argparse's parser, with our errors. Its own help is never printed, and its look for a terminal's width costs 5 ms."""

    def __init__(self, name: str) -> None:
        super().__init__(
            prog=name, usage=name, add_help=False, allow_abbrev=False,
            formatter_class=lambda prog: argparse.HelpFormatter(prog, width=HELP_WIDTH),
        )  # fmt: skip

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, helps=[f"see {self.prog} --help"])


def parse(argv: Sequence[str]) -> tuple[Command, Options]:
    """The command that was called and its options, the global ones among them. No command, or --help: `help`."""
    before, name, after = split(argv)
    options = (
        _parser("orchestr8", GLOBAL_FLAGS, ()).parse_args(before, Options()) if before else _defaults(GLOBAL_FLAGS)
    )
    if not name:
        return COMMANDS["help"], _with(options, services=[])
    if name not in COMMANDS:
        raise no_such_command(name)
    command = COMMANDS[name]
    parser = _parser(f"orchestr8 {name}", command.flags, command.arguments)
    own = {word for flag in command.flags for word in flag.names}
    for flag in (*GLOBAL_FLAGS, HELP):
        if flag.long not in own:
            _add(
                parser,
                [each for each in flag.names if each not in own],
                flag,
                default=[*getattr(options, flag.dest, ())] if flag.kind == "list" else argparse.SUPPRESS,
            )
    bools = {word for flag in command.flags if flag.kind == "bool" for word in flag.names}
    rest = any(argument.count == "rest" for argument in command.arguments)
    if not rest:
        after = [f"{word}=true" if word in bools else word for word in after]
    after, turned_off = _without_values(after, command, to_the_end=not rest)
    parse_known = parser.parse_known_args if rest else parser.parse_known_intermixed_args
    if HELP.names[0] in after[:1] or HELP.names[1] in after[:1]:
        return COMMANDS["help"], _with(options, services=[name])  # before a missing argument is an error
    # What may be repeated is added to a copy of what is there, which has to be a list.
    known = {dest: list(value) if isinstance(value, tuple) else value for dest, value in vars(options).items()}
    given, unknown = parse_known(after, _with(Options(), **known))
    if getattr(given, HELP.dest, False):
        return COMMANDS["help"], _with(options, services=[name])
    if unknown:
        raise _unknown(unknown[0], command)
    return command, _with(given, turned_off=turned_off) if turned_off else given


def _without_values(words: Sequence[str], command: Command, *, to_the_end: bool) -> tuple[list[str], frozenset[str]]:
    """`--switch=true` as the switch, and `--switch=false` left out and named, in Go's words as compose takes them.

    Not `to_the_end`: no further than the first argument, after which words are another program's.
    """
    known = {name: flag for flag in (*command.flags, *GLOBAL_FLAGS) for name in reversed(flag.names)}
    found: list[str] = []
    off: set[str] = set()
    index = 0
    while index < len(words):
        word = words[index]
        name, equals, value = word.partition("=")
        flag = known.get(name)
        if word == "--" or (not to_the_end and not word.startswith("-")):
            break
        index += 1
        if flag and flag.kind == "switch" and equals:
            try:
                on = _bool(value)
            except argparse.ArgumentTypeError as error:
                raise UsageError(f"{name}: {error}", helps=[f"see orchestr8 {command.name} --help"]) from None
            if on:
                off.discard(flag.dest)
                found.append(name)
            else:
                off.add(flag.dest)
            continue
        found.append(word)
        if flag and flag.kind not in {"switch", "bool"} and not equals and index < len(words):
            found.append(words[index])
            index += 1
    return [*found, *words[index:]], frozenset(off)


def split(argv: Sequence[str]) -> tuple[list[str], str, list[str]]:
    """The words before the command, the command ("" if there is none), and the words after it."""
    takes_value = {name: flag.kind != "switch" for flag in GLOBAL_FLAGS for name in flag.names}
    index = 0
    while index < len(argv) and argv[index].startswith("-"):
        word = argv[index]
        name = word.partition("=")[0]
        if name in HELP.names:
            return list(argv[:index]), "help", [each for each in argv[index + 1 :] if each in COMMANDS][:1]
        if name in ("--version", "-v"):
            return list(argv[:index]), "version", []
        if name not in takes_value and word[:2] not in takes_value:
            command = next((each for each in argv[index + 1 :] if each in COMMANDS), "")
            behind = any(name in flag.names for flag in COMMANDS[command].flags) if command else False
            helps = (
                [f"it is one of `{command}`: orchestr8 {command} {name}"] if behind else close_names(name, takes_value)
            )
            raise UsageError(f"there is no flag `{name}` before the command", helps=[*helps, "see orchestr8 --help"])
        attached = "=" in word or (not word.startswith("--") and len(word) > 2)  # --file=x, -fx
        index += 1 if attached or not takes_value[name] else 2
    return list(argv[:index]), *((argv[index], list(argv[index + 1 :])) if index < len(argv) else ("", []))


def _parser(name: str, flags: Iterable[Flag], arguments: Iterable[Argument]) -> _Parser:
    parser = _Parser(name)
    for flag in flags:
        _add(parser, flag.names, flag, default=[] if flag.kind == "list" else None)
    for argument in arguments:
        one = "?" if argument.optional else None
        nargs = {"one": one, "any": "*", "rest": argparse.REMAINDER}[argument.count]
        parser.add_argument(argument.dest, metavar=argument.metavar, nargs=nargs)
    return parser


def _add(parser: _Parser, names: Iterable[str], flag: Flag, default: object) -> None:
    if flag.kind == "switch":
        parser.add_argument(*names, dest=flag.dest, action="store_true", default=default or False)
    elif flag.kind == "list":
        parser.add_argument(*names, dest=flag.dest, action="append", default=default, metavar=flag.metavar)
    else:
        kinds: dict[str, Callable[[str], object]] = {
            "text": str, "number": _number, "index": _index, "seconds": _seconds, "bool": _bool,
        }  # fmt: skip
        kind = _one_of(flag.choices) if flag.choices else kinds[flag.kind]
        parser.add_argument(*names, dest=flag.dest, type=kind, default=default, metavar=flag.metavar)


def _one_of(choices: Sequence[str]) -> Callable[[str], str]:
    """As argparse's `choices`, whose words differ from one Python to the next."""

    def check(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"`{text}` is none of {', '.join(choices)}")
        return text

    return check


def _bool(text: str) -> bool:
    """In Go's words, as compose takes them."""
    found = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}.get(text.lower())
    if found is None:
        raise argparse.ArgumentTypeError(f"`{text}` is neither true nor false")
    return found


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"`{text}` is not a whole number")
    return int(text)


def _index(text: str) -> int | None:
    """Of a replica, from 1 on; 0 is as good as none, as with compose."""
    return _number(text) or None


def _seconds(text: str) -> float:
    """A number of seconds, as compose has it, or with a unit: 10, 1.5, 90s, 2m."""
    from orchestr8.cli.times import parse_duration

    try:
        return parse_duration(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text}` is not a time, such as 10 or 1m30s") from None


def _defaults(flags: Iterable[Flag]) -> Options:
    empty = {"switch": False, "list": ()}
    return _with(Options(), **{flag.dest: empty.get(flag.kind) for flag in flags})


def _with(options: Options, **values: object) -> Options:
    for name, value in values.items():
        setattr(options, name, value)
    return options


def _unknown(word: str, command: Command) -> UsageError:
    usage = f"see orchestr8 {command.name} --help"
    if not word.startswith("-"):
        return UsageError(f"`{command.name}` takes no argument `{word}`", helps=[usage])
    name = word.partition("=")[0]
    known = [each for flag in (*command.flags, *GLOBAL_FLAGS) for each in flag.names]
    from orchestr8.cli.elsewhere import FLAGS  # only errors need it

    helps = [FLAGS[name]] if name in FLAGS else close_names(name, known)
    return UsageError(f"`{command.name}` has no flag `{name}`", helps=[*helps, usage])


def no_such_command(name: str) -> UsageError:
    from orchestr8.cli.elsewhere import about  # only errors need it

    message, helps = about(name)
    return UsageError(message, helps=[*(helps or close_names(name, COMMANDS)), "see orchestr8 --help"])


def close_names(word: str, known: Iterable[str]) -> list[str]:
    from orchestr8.stack.suggest import did_you_mean  # only errors need it

    return did_you_mean(word, known)


def help_text(command: Command | None) -> str:
    """The help of a command, or of the whole program."""
    if command is None:
        rows = [(each.name, each.summary) for each in COMMANDS.values()]
        return (
            "Usage: orchestr8 [flags] COMMAND …\n\n"
            "Runs the containers of a stack.yml, or of any Compose file, on this machine.\n\n"
            f"Commands:\n{_columns(rows)}\nFlags:\n{_flags(GLOBAL_FLAGS)}\n"
            "See orchestr8 COMMAND --help for the flags of a command.\n"
        )
    parts = [f"Usage: orchestr8 {command.name}", "[flags]" if command.flags else ""]
    shapes = {"one": "{}", "any": "[{}…]", "rest": "{}…"}
    for argument in command.arguments:
        shown = shapes[argument.count].format(argument.metavar)
        parts.append(f"[{shown}]" if argument.optional else shown)
    text = f"{' '.join(part for part in parts if part)}\n\n{command.summary[0].upper()}{command.summary[1:]}.\n"
    if command.detail:
        text += f"{command.detail}\n"
    if command.flags:
        text += f"\nFlags:\n{_flags(command.flags)}"
    return f"{text}\nFlags of every command: see orchestr8 --help.\n"


def _flags(flags: Iterable[Flag]) -> str:
    rows = []
    for flag in (*flags, HELP):
        short = f"{flag.names[0]}, " if len(flag.names) > 1 else "    "
        rows.append((f"{short}{flag.long}{' ' + flag.metavar if flag.metavar else ''}", flag.help))
    return _columns(rows)


def _columns(rows: Sequence[tuple[str, str]]) -> str:
    width = max(len(left) for left, _ in rows)
    return "".join(f"  {left:<{width}}  {right}\n" for left, right in rows)
