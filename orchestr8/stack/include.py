"""The documents of a project, laid over one another; and `include`, which brings in another project's.

An included project has its own directory, on which its paths stand, and its own variables, which the including one's
own beat. What both define is merged, the including file over the included one, as compose does since 2026 (the text of
the format asks for a warning). Of an included file come its services and what they use; its name and `x-…` stay behind.
"""

from __future__ import annotations

import os

from orchestr8.errors import InvalidInput, NotFound, Span
from orchestr8.stack.duplicates import tell_duplicates
from orchestr8.stack.environment import Environment
from orchestr8.stack.extends import with_extends
from orchestr8.stack.files import Document, Files, Scope, TooMuch, beside, text_of
from orchestr8.stack.fixes import remove_line
from orchestr8.stack.interpolate import Interpolation
from orchestr8.stack.nodes import RESET, Mapping, Node, Scalar, Sequence, bare, size
from orchestr8.stack.normalise import RESOURCES, resolve_paths
from orchestr8.stack.records import Named, Record
from orchestr8.stack.rules import STACK
from orchestr8.stack.services import Command
from orchestr8.stack.source import NOTHING, is_file, read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Mapping as MappingOf
    from typing import Final

    from orchestr8.stack.project import LoadOptions, Project
    from orchestr8.stack.types import Reading, Type

    Way = tuple[
        tuple[str, Span], ...
    ]  # the includes that lead to a file, outermost first: the file that holds each, and where

MAX_DEPTH: Final = 50  # includes in each other
_SECTIONS: Final = ("services", *RESOURCES)


class Assembly:
    """Makes one document of many."""

    def __init__(self, files: Files, run: Reading, project: Project, options: LoadOptions) -> None:
        self.files = files
        self.run = run
        self.project = project
        self.options = options
        self.environments: dict[str, Environment] = {}  # `secrets.NAME`, `configs.NAME` -> the variables it is given

    def scope(self, directory: str, environment: Environment, outer: Scope | None = None) -> Scope:
        """What the files of a directory are read with."""
        name = self.project.name

        def lookup(variable: str) -> str | None:
            return name if variable == "COMPOSE_PROJECT_NAME" else environment.get(variable)

        interpolation = None
        if self.options.interpolate:
            interpolation = Interpolation(
                lookup, environment.names, environment.looked_in, self.run.problems,
                outer.interpolation if outer else None,
            )  # fmt: skip
        base = None if self.options.resolve_paths else os.path.relpath(directory, self.project.directory)
        return Scope(directory, environment, interpolation, base=base)

    def together(self, documents: Iterable[Document], scope: Scope, way: Way = ()) -> Mapping:
        """The documents as one, checked and in their long form; without tags, `extends` and `include`."""
        result: Node | None = None
        for document in scope.interpolated(documents):
            if result is not None:
                document = Document(document.path, said(STACK, document.root, result))  # noqa: PLW2901
            found = self._included(self._shaped(document, scope), scope, way)
            result = found if result is None else self.run.merged(STACK, result, found)
        whole = bare(result) if self.files.tagged and result is not None else result
        assert isinstance(whole, Mapping)
        return whole

    def _shaped(self, document: Document, scope: Scope) -> Document:
        tell_duplicates(document.root, self.run.problems)
        root = STACK.read(document.root, "", self.run)
        assert isinstance(root, Mapping)
        if version := root.keys.get("version"):
            self.run.problems.warn(
                "O8-109", "`version` is obsolete and has no effect", version, helps=["remove the line"],
                fix=remove_line(version, root.items["version"], self.run.problems),
            )  # fmt: skip
            del root.items["version"]
        return with_extends(Document(document.path, root), scope, self.files, self.run)

    def _included(self, document: Document, scope: Scope, way: Way) -> Mapping:
        """The document laid over all that it includes."""
        includes = document.root.items.get("include")
        if includes is None:
            return document.root
        root = Mapping(document.root.items, document.root.keys, at=document.root)
        del root.items["include"]
        for entry in includes.items if isinstance(includes, Sequence) and includes.tag != RESET else ():
            found = self._entry(entry, document.path, scope, way)
            for section in _SECTIONS if found is not None else ():
                self._bring(section, found, root)
        return root

    def _bring(self, section: str, found: Mapping | None, root: Mapping) -> None:
        if found is None or section not in found.items:
            return
        named = found.items[section]
        if section in root.items:
            named = self.run.merged(STACK.keys[section].kind, named, root.items[section])
        root.set(section, named, root.keys.get(section) or found.keys[section])

    def _entry(self, entry: Node, including: str, scope: Scope, way: Way) -> Mapping | None:
        """What one entry of `include` brings; None, and told, when it cannot be followed."""
        said = entry.items if isinstance(entry, Mapping) else {"path": entry}
        paths = [(beside(text_of(node), scope.directory), node) for node in _each(said.get("path"))]
        if not paths:
            if "path" in said:  # else it is told by its rule
                self.run.problems.error("O8-105", "this `include` has no path", entry)
            self.run.broken.add("include")
            return None
        first, at = paths[0]
        way = (*way, (including, at.span("included here", primary=False)))
        inner = self._inner(first, said, scope)
        documents = None if self._is_circular(first, at, way) or inner is None else self._documents(paths)
        if documents is None or inner is None:
            self.run.broken.add("include")  # what it would have brought is not missed
            return None
        found = self.together(documents, inner, way) if documents else Mapping(at=entry)
        found = resolve_paths(
            found, inner.directory if inner.base is None else inner.base, inner.environment,
            interpolated=inner.interpolation is not None,
        )  # fmt: skip
        self.files.spend(size(found), at)
        return self._with_variables(found, inner.environment)

    def _documents(self, paths: Iterable[tuple[str, Node]]) -> list[Document] | None:
        read = [self.files.follow(path, node, "included here") for path, node in paths]
        return None if None in read else [document for each in read if each for document in each]

    def _is_circular(self, path: str, at: Node, way: Way) -> bool:
        """Told, when the file is one of those that led here, or the way is endless without being a circle."""
        if path in [file for file, _ in way]:
            self.run.problems.error("O8-106", "include cycle detected", at, label="which closes the circle")
        elif len(way) > MAX_DEPTH:
            self.run.problems.error("O8-106", f"more than {MAX_DEPTH} files include each other", at)
        else:
            return False
        return True

    def _inner(self, path: str, said: MappingOf[str, Node], scope: Scope) -> Scope | None:
        """What an included file is read with; None, and told, when a file of variables is not there."""
        directory = os.path.dirname(path)
        if given := text_of(said.get("project_directory")):
            directory = beside(given, scope.directory)
        named = [(beside(text_of(node), scope.directory), node) for node in _each(said.get("env_file"))
                 if text_of(node) != NOTHING]  # fmt: skip
        usual = os.path.join(directory, ".env")
        if not _each(said.get("env_file")) and is_file(usual):
            named = [(usual, _each(said["path"])[0])]
        readable = [self._is_readable(path, node, scope.environment) for path, node in named]  # all of them are told
        if not all(readable):
            return None
        environment = scope.environment.inner()
        if named:
            via = (named[0][1].span("included here", primary=False), *named[0][1].via)
            environment.read_files([path for path, _ in named], self.run.problems, self.options.working_dir, via)
        return self.scope(directory, environment, scope)

    def _is_readable(self, path: str, at: Node, environment: Environment) -> bool:
        spent = environment.spent
        try:
            if not spent.is_too_much(at, self.run.problems):
                spent.add(read_text(path, "O8-304", "env file"))
        except (NotFound, InvalidInput) as error:
            self.run.problems.error(error.code, error.message, at)
            return False
        if spent.is_too_much(at, self.run.problems):
            raise TooMuch
        return True

    def _with_variables(self, found: Mapping, environment: Environment) -> Mapping:
        """What takes its value from a variable by name only: the included project's own variables serve too."""
        for section in ("secrets", "configs"):
            group = found.items.get(section)
            for name in group.items if isinstance(group, Mapping) else ():
                self.environments.setdefault(f"{section}.{name}", environment)
        services = found.items.get("services")
        if not isinstance(services, Mapping):
            return found
        result = Mapping(at=services)
        for name, service in services.items.items():
            variables = service.items.get("environment") if isinstance(service, Mapping) else None
            if isinstance(service, Mapping) and isinstance(variables, Mapping):
                service = Mapping(service.items, service.keys, at=service)  # noqa: PLW2901
                service.set("environment", _given(variables, environment))
            result.set(name, service, services.keys[name])
        root = Mapping(found.items, found.keys, at=found)
        root.set("services", result)
        return root


def said(kind: Type, over: Mapping, base: Node) -> Mapping:
    """What a later document says. A key without a value says nothing where an earlier one has given it one.

    But for command lines, where nothing is what the image has, and the variables in mappings of them.
    """
    if not isinstance(base, Mapping) or not isinstance(kind, (Record, Named)):
        return over
    found = Mapping(at=over)
    for key, value in over.items.items():
        rule = kind.kind if isinstance(kind, Named) else kind.keys[key].kind if key in kind.keys else None
        before = base.items.get(key)
        if rule is not None and before is not None and before.tag != RESET and not isinstance(rule, Command):
            if isinstance(value, Scalar) and value.value is None and not value.tag and kind is not STACK:
                continue
            if isinstance(value, Mapping):
                value = said(rule, value, before)  # noqa: PLW2901
        found.set(key, value, over.keys[key])
    return found


def _given(variables: Mapping, environment: Environment) -> Mapping:
    given = Mapping(variables.items, variables.keys, at=variables)
    for name, node in variables.items.items():
        if isinstance(node, Scalar) and node.value is None and (value := environment.get(name)) is not None:
            given.items[name] = Scalar(value, at=node)
    return given


def _each(node: Node | None) -> list[Node]:
    """One value, or the values of a list."""
    if node is None or node.tag == RESET:
        return []
    return list(node.items) if isinstance(node, Sequence) else [node]
