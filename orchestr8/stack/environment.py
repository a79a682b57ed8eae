"""Where variables come from: the process, `--env-file`, `.env` files; and what an `env_file` gives a service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestr8.errors import InvalidInput, NotFound, Span
from orchestr8.stack.dotenv import BadEnvFile, parse_dotenv, parse_raw
from orchestr8.stack.nodes import Mapping as MappingNode
from orchestr8.stack.nodes import Scalar, Sequence
from orchestr8.stack.problems import Problems
from orchestr8.stack.source import display_path, is_file, read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Environment:
    """Variables by name. The process wins over files; an earlier layer wins over a later one."""

    def __init__(self, process: Mapping[str, str]) -> None:
        self.process = process
        self.from_files: dict[str, str] = {}
        self.looked_in: list[str] = ["the shell"]
        self.files: list[str] = []

    def get(self, name: str) -> str | None:
        value = self.process.get(name)
        return self.from_files.get(name) if value is None else value

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
            found = _parse(text, shown, lambda name: self._inherited(name, layer), problems, via=via)
            layer.update(found)
            self.looked_in.append(f"{shown} ({len(found)} key{'' if len(found) == 1 else 's'})")
        for name, value in layer.items():
            self.from_files.setdefault(name, value)

    def _inherited(self, name: str, layer: Mapping[str, str]) -> str | None:
        value = self.get(name)
        return layer.get(name) if value is None else value


def _parse(
    text: str, shown: str, lookup: Any, problems: Problems, *, raw: bool = False, via: tuple[Span, ...] = ()
) -> dict[str, str]:
    try:
        return parse_raw(text, lookup) if raw else parse_dotenv(text, lookup)
    except BadEnvFile as error:
        problems.sources.setdefault(shown, text)
        lines = text.split("\n")
        width = len(lines[error.line - 1].rstrip()) if error.line <= len(lines) else 1
        problems.error(
            "O8-304", f"{shown}: {error}",
            Span(shown, error.line, 1, max(width, 1) + 1, label=error.message, via=via),
        )  # fmt: skip
        return {}


def resolve_service(
    service: MappingNode, environment: Environment, problems: Problems, working_dir: str, *, lenient: bool
) -> dict[str, str | None]:
    """A service's final variables: its env files, then its `environment`, then the caller's for a name alone.

    None stands for a name that the caller lacks: it is unset in the container. `lenient`: a missing env file is a
    warning, for a service that the command does not touch.
    """
    values: dict[str, str | None] = {}
    files = service.items.get("env_file")
    for item in files.items if isinstance(files, Sequence) else ():
        assert isinstance(item, MappingNode)
        path_node = item.items["path"]
        path = str(path_node.plain())
        if not is_file(path) and item.items["required"].plain() is False:
            continue
        try:
            text = read_text(path, "O8-304", "env file")
        except (NotFound, InvalidInput) as error:
            tell = problems.warn if lenient else problems.error
            tell("O8-304", error.message, path_node, helps=["create it, or write {path: ..., required: false}"])
            continue
        form = item.items.get("format")
        shown = display_path(path, working_dir)
        values.update(_parse(text, shown, environment.get, problems, raw=form is not None and form.plain() == "raw"))
    own = service.items.get("environment")
    for name, node in own.items.items() if isinstance(own, MappingNode) else ():
        assert isinstance(node, Scalar)
        values[name] = environment.get(name) if node.value is None else node.value
    return values


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
