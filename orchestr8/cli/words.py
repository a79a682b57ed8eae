"""What a command line is made of: commands, their flags, their arguments. Which there are says `table`."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Iterable


class Flag:
    """One option. `kind`: switch, text, list (may be repeated), number, index (0: none), seconds, bool (alone it is
    true, `=false` the other; a switch may be written so, too).
    """

    __slots__ = ("choices", "dest", "help", "kind", "metavar", "names")

    def __init__(
        self,
        *names: str,
        help: str,
        kind: str = "switch",
        metavar: str = "",
        choices: Iterable[str] = (),
        dest: str = "",
    ) -> None:
        self.names = names
        self.help = help
        self.kind = kind
        self.choices = tuple(choices)
        self.metavar = metavar or ("|".join(self.choices) if self.choices else "")
        self.dest = dest or names[-1].lstrip("-").replace("-", "_")

    @property
    def long(self) -> str:
        return self.names[-1]


class Argument:
    """A positional argument. `count`: one, any, or rest (everything that follows, flags included, belongs to it). One, and
    what follows, may be missing with `optional`.
    """

    __slots__ = ("count", "dest", "metavar", "optional")

    def __init__(self, metavar: str, dest: str, count: str = "any", *, optional: bool = False) -> None:
        self.optional = optional
        self.metavar = metavar
        self.dest = dest
        self.count = count


class Command:
    """A verb. `failure` is the exit code of an error of ours: `exec` and `run` keep the small numbers for the program."""

    __slots__ = ("arguments", "detail", "failure", "flags", "module", "name", "summary")

    def __init__(
        self, name: str, summary: str, *, arguments: Iterable[Argument] = (), flags: Iterable[Flag] = (),
        module: str = "", detail: str = "", failure: int = 1,
    ) -> None:  # fmt: skip
        self.name = name
        self.summary = summary
        self.arguments = tuple(arguments)
        self.flags = tuple(flags)
        self.module = module or name
        self.detail = detail
        self.failure = failure
