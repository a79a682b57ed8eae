"""Where variables come from: the process, `--env-file`, `.env` files; and what an `env_file` gives a service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestr8.errors import InvalidInput, NotFound, Span
from orchestr8.stack.dotenv import BadEnvFile, parse_dotenv, parse_raw
from orchestr8.stack.interpolate import MAX_TOTAL, Lookup
from orchestr8.stack.nodes import Mapping as MappingNode
from orchestr8.stack.nodes import Node, Scalar, Sequence
from orchestr8.stack.problems import Problems
from orchestr8.stack.source import display_path, exists, read_text

MAX_KEYS = 400_000  # variables that all services together have from their env files


class Environment:
    """Variables by name. The process wins over files; an earlier layer wins over a later one."""

    def __init__(self, process: Mapping[str, str]) -> None:
        self.process = process
        self.from_files: dict[str, str] = {}
        self.looked_in: list[str] = ["the shell"]
        self.files: list[str] = []
        self.length = 0  # of the env files of services that were read with it
        self.keys = 0  # that they gave

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
        found = Environment({**self.from_files, **self.process})
        found.looked_in = list(self.looked_in)
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

    def span(line: int, label: str = "") -> Span:
        problems.sources.setdefault(shown, text)
        lines = text.split("\n")
        width = len(lines[line - 1].rstrip()) if line <= len(lines) else 1
        return Span(shown, line, 1, max(width, 1) + 1, label=label, via=via)

    def unset(name: str, line: int) -> None:
        if name not in told:
            told.add(name)
            message = f"variable `{name}` is not set; it is taken as blank"
            problems.warn("O8-302", message, span(line), helps=[f"allow empty without a warning: ${{{name}:-}}"])

    def odd(message: str, line: int) -> None:
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

    def lookup(name: str) -> str | None:
        value = environment.get(name)
        return own.get(name) if value is None else value

    values: dict[str, str] = {}
    files = service.items.get("env_file")
    for item in files.items if isinstance(files, Sequence) else ():
        assert isinstance(item, MappingNode)
        path_node = item.items["path"]
        path = str(path_node.plain())
        if environment.keys > MAX_KEYS:  # which is told
            break
        if not exists(path) and item.items["required"].plain() is False:
            continue
        text = _text(path, path_node, environment, problems, lenient=lenient)
        if text is not None:
            form = item.items.get("format")
            before = len(values)
            values.update(_parse(
                text, display_path(path, working_dir), lookup, problems,
                raw=form is not None and form.plain() == "raw", earlier=values.get,
            ))  # fmt: skip
            environment.keys += len(values) - before
            if environment.keys > MAX_KEYS:
                message = f"the env files of all services together give more than {MAX_KEYS} variables"
                problems.error("O8-304", message, path_node)
                return own
    return {**values, **own}


def _text(path: str, at: Node, environment: Environment, problems: Problems, *, lenient: bool) -> str | None:
    """The text of an env file of a service; None, and told, when it cannot be had."""
    tell = problems.warn if lenient else problems.error
    try:
        text = read_text(path, "O8-304", "env file")
    except (NotFound, InvalidInput) as error:
        tell("O8-304", error.message, at, helps=["create it, or write {path: ..., required: false}"])
        return None
    environment.length += len(text)
    if environment.length > MAX_TOTAL:
        problems.error("O8-304", f"the env files of all services together are longer than {MAX_TOTAL >> 20} MiB", at)
        return None
    return text


def resolve_labels(
    service: MappingNode, environment: Environment, problems: Problems, working_dir: str, *, lenient: bool
) -> None:
    """Put the labels of a service's label files, of the grammar of env files, below its own."""
    files = service.items.get("label_file")
    found = MappingNode(at=files)
    for item in files.items if isinstance(files, Sequence) else ():
        path = str(item.plain())
        try:
            text = read_text(path, "O8-304", "label file")
        except (NotFound, InvalidInput) as error:
            (problems.warn if lenient else problems.error)("O8-304", error.message, item, helps=["create it"])
            continue
        for name, value in _parse(text, display_path(path, working_dir), environment.get, problems).items():
            found.set(name, Scalar(value, at=item), item)
    own = service.items.get("labels")
    for name, node in own.items.items() if isinstance(own, MappingNode) else ():
        found.set(name, node, own.keys[name] if isinstance(own, MappingNode) else node)
    if found.items:
        service.set("labels", found)
