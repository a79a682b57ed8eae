"""Where variables come from: the process, `--env-file`, `.env` files; and what an `env_file` gives a service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestr8.errors import InvalidInput, NotFound, Span
from orchestr8.stack.dotenv import BadEnvFile, parse_dotenv, parse_raw
from orchestr8.stack.interpolate import Lookup
from orchestr8.stack.nodes import Mapping as MappingNode
from orchestr8.stack.nodes import Node, Scalar, Sequence
from orchestr8.stack.problems import MAX_TOLD, Problems
from orchestr8.stack.source import display_path, exists, read_text

MAX_LINES = 400_000  # of the env files of all services and includes together, a file counted as often as it is read
MAX_LENGTH = 2**25  # of them, and of what variables make of them


class Spent:
    """What a run has read of env files. Few files are enough for much, when many services or includes name them."""

    def __init__(self) -> None:
        self.length = 0
        self.lines = 0
        self.told = False

    def add(self, text: str) -> None:
        self.length += len(text)
        self.lines += text.count("\n") + 1

    def add_values(self, values: Iterable[str | None]) -> None:
        self.length += sum(len(each or "") for each in values)

    def is_too_much(self, at: Node, problems: Problems) -> bool:
        """Whether it is more than any stack needs; told, the first time."""
        message = self._too_much()
        if message and not self.told:
            self.told = True
            problems.error("O8-304", message, at)
        return bool(message)

    def _too_much(self) -> str:
        if self.lines > MAX_LINES:
            return f"the env files of all services and includes together have more than {MAX_LINES} lines"
        if self.length > MAX_LENGTH:
            return f"the env files of all services and includes together are longer than {MAX_LENGTH >> 20} MiB"
        return ""


class Environment:
    """Variables by name. The process wins over files; an earlier layer wins over a later one."""

    def __init__(self, process: Mapping[str, str]) -> None:
        self.process = process
        self.from_files: dict[str, str] = {}
        self.looked_in: list[str] = ["the shell"]
        self.files: list[str] = []
        self.spent = Spent()

    def get(self, name: str) -> str | None:
        """The value of a variable. Raises InvalidInput for one that is not text."""
        value = self.process.get(name)
        if value is None:
            return self.from_files.get(name)
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):  # os.environ's escapes
            raise InvalidInput(f"the variable {name} holds bytes that are not UTF-8 text", code="O8-300")
        return value

    def names(self) -> list[str]:
        return [*self.process, *self.from_files]

    def inner(self) -> Environment:
        """The same variables for an included project, whose own files come after them."""
        from collections import ChainMap  # only for who includes

        process = ChainMap(self.process, dict(self.from_files))  # type: ignore[arg-type]  # it is only read
        found = Environment(process)
        found.looked_in = list(self.looked_in)
        found.spent = self.spent
        return found

    def read_files(
        self, paths: Iterable[str], problems: Problems, working_dir: str, via: tuple[Span, ...] = ()
    ) -> None:
        """Add one layer: files of which the later win. A file that is read already is not read again."""
        layer: dict[str, str] = {}
        for path in paths:
            if path in self.files:
                continue
            self.files.append(path)
            shown = display_path(path, working_dir)
            text = read_text(path, "O8-304", "env file")
            if via:  # a file that the command line does not name: `config --origin` lists it
                problems.sources.setdefault(shown, text)
            found = _parse(text, shown, self.get, problems, earlier=layer.get, via=via)
            self.spent.add_values(found.values())
            layer.update(found)
            self.looked_in.append(f"{shown} ({len(found)} key{'' if len(found) == 1 else 's'})")
        for name, value in layer.items():
            self.from_files.setdefault(name, value)


def _parse(
    text: str, shown: str, lookup: Lookup, problems: Problems, *, raw: bool = False, earlier: Lookup | None = None,
    via: tuple[Span, ...] = (),
) -> dict[str, str]:  # fmt: skip
    """The keys of one file; what is wrong in it is told at its line."""
    told: set[str] = set()
    numbers: list[int] = []

    def span(line: int, label: str = "") -> Span:
        problems.sources.setdefault(shown, text)
        if not numbers:
            from orchestr8.stack.lines import numbers_of_lines  # what is right needs no lines

            numbers.extend(numbers_of_lines(text))
        number = numbers[min(line, len(numbers)) - 1]
        width = len(problems.lines(shown)[number - 1].rstrip())
        return Span(shown, number, 1, max(width, 1) + 1, label=label, via=via)

    def unset(name: str, line: int) -> None:
        if name not in told and len(problems.warnings) <= MAX_TOLD:
            told.add(name)
            message = f"variable `{name}` is not set; it is taken as blank"
            problems.warn("O8-302", message, span(line), helps=[f"allow empty without a warning: ${{{name}:-}}"])

    def odd(message: str, line: int) -> None:
        if len(problems.warnings) <= MAX_TOLD:
            problems.warn("O8-304", f"{shown}: line {line}: {message}", span(line))

    try:
        if raw:
            return parse_raw(text, lookup)
        return parse_dotenv(text, lookup, earlier=earlier or _nothing, unset=unset, odd=odd)
    except BadEnvFile as error:
        problems.error("O8-304", f"{shown}: {error}", span(error.line, error.message))
        return {}


def _nothing(_: str) -> None:
    return None


def resolve_service(
    service: MappingNode, environment: Environment, problems: Problems, working_dir: str, *, lenient: bool
) -> dict[str, str | None]:
    """A service's final variables: its env files, then its `environment`, then the caller's for a name alone.

    None stands for a name that the caller lacks: it is unset in the container. `lenient`: a missing env file is a
    warning, for a service that the command does not touch. Variables in an env file are the caller's, then those of
    `environment`, then those of the lines above and of the files before it.
    """
    own: dict[str, str | None] = {}
    given = service.items.get("environment")
    for name, node in given.items.items() if isinstance(given, MappingNode) else ():
        assert isinstance(node, Scalar)
        own[name] = environment.get(name) if node.value is None else node.value
        if node.value is None:
            environment.spent.add_values([own[name]])
            environment.spent.is_too_much(node, problems)

    def lookup(name: str) -> str | None:
        value = environment.get(name)
        return own.get(name) if value is None else value

    values: dict[str, str] = {}
    files = service.items.get("env_file")
    for item in files.items if isinstance(files, Sequence) else ():
        assert isinstance(item, MappingNode)
        path_node = item.items["path"]
        path = str(path_node.plain())
        if not exists(path) and item.items["required"].plain() is False:
            continue
        text = _text(path, path_node, environment, problems, lenient=lenient)
        if text is not None:
            form = item.items.get("format")
            found = _parse(
                text, display_path(path, working_dir), lookup, problems,
                raw=form is not None and form.plain() == "raw", earlier=values.get,
            )  # fmt: skip
            environment.spent.add_values(found.values())
            environment.spent.is_too_much(path_node, problems)
            values.update(found)
    return {**values, **own}


def _text(
    path: str, at: Node, environment: Environment, problems: Problems, *, lenient: bool, what: str = "env file",
    remedy: str = "create it, or write {path: ..., required: false}",
) -> str | None:  # fmt: skip
    """The text of an env file or a label file of a service; None, and told, when it cannot be had."""
    if environment.spent.is_too_much(at, problems):
        return None
    try:
        text = read_text(path, "O8-304", what)
    except (NotFound, InvalidInput) as error:
        (problems.warn if lenient else problems.error)("O8-304", error.message, at, helps=[remedy])
        return None
    environment.spent.add(text)
    return None if environment.spent.is_too_much(at, problems) else text


def resolve_labels(
    service: MappingNode, environment: Environment, problems: Problems, working_dir: str, *, lenient: bool
) -> None:
    """Put the labels of a service's label files, of the grammar of env files, below its own."""
    files = service.items.get("label_file")
    found = MappingNode(at=files)
    for item in files.items if isinstance(files, Sequence) else ():
        path = str(item.plain())
        text = _text(
            path, item, environment, problems, lenient=lenient, what="label file", remedy="create it"
        )  # fmt: skip
        if text is None:
            continue
        labels = _parse(text, display_path(path, working_dir), environment.get, problems)
        environment.spent.add_values(labels.values())
        environment.spent.is_too_much(item, problems)
        for name, value in labels.items():
            found.set(name, Scalar(value, at=item), item)
    own = service.items.get("labels")
    for name, node in own.items.items() if isinstance(own, MappingNode) else ():
        found.set(name, node, own.keys[name] if isinstance(own, MappingNode) else node)
    if found.items:
        service.set("labels", found)
