"""`extends`: a service laid over another one, of its own document or of another file.

Followed document by document, before documents are merged: in an override file, `extends` sees that file's services
only, as with compose. What comes from another file has its paths resolved where that file stands; what it needs beside
itself (dependencies, volumes, networks) is not brought along. Of another file only the services that are asked for are
looked at; those it includes are not.
"""

from __future__ import annotations

import os

from orchestr8.stack.files import Document, Files, Scope, beside, text_of
from orchestr8.stack.nodes import RESET, Mapping, Node, Scalar, came_by, size
from orchestr8.stack.normalise import resolve_paths
from orchestr8.stack.records import unknown_name
from orchestr8.stack.rules import SERVICE, STACK
from orchestr8.stack.source import display_path
from orchestr8.stack.types import merge, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestr8.stack.types import Reading


def with_extends(document: Document, scope: Scope, files: Files, run: Reading) -> Document:
    """The document, checked and in its long form, with its services' `extends` followed and gone."""
    services = document.root.items.get("services")
    if not isinstance(services, Mapping) or not any(_extends(each) for each in services.items.values()):
        return document
    following = _Following(scope, files, run)
    own = _OwnServices(document.path, services)
    result = Mapping(at=services)
    for name in services.items:
        result.set(name, following.resolved(own, name), services.keys[name])
    root = Mapping(document.root.items, document.root.keys, at=document.root)
    root.set("services", result)
    return Document(document.path, root)


def _extends(service: Node) -> Mapping | None:
    """What a service extends; None when it stands for itself."""
    found = service.items.get("extends") if isinstance(service, Mapping) else None
    if not isinstance(found, Mapping) or found.tag == RESET or "service" not in found.items:
        return None  # what lacks a service is told by its rule
    return found


class _OwnServices:
    """The services of a document whose `extends` are followed."""

    def __init__(self, path: str, services: Mapping) -> None:
        self.path = path
        self.directory = ""  # relative paths start where the project's do
        self.named = services

    def names(self) -> list[str]:
        return list(self.named.items)

    def get(self, name: str) -> Node | None:
        return self.named.items.get(name)


class _OtherServices(_OwnServices):
    """The services of another file, each looked at when it is asked for."""

    def __init__(self, path: str, documents: list[Document], scope: Scope, run: Reading) -> None:
        self.path = path
        self.directory = os.path.dirname(path)
        self.named = Mapping()
        self.written = [
            services for each in documents if isinstance(services := each.root.items.get("services"), Mapping)
        ]
        self.scope = scope
        self.run = run

    def names(self) -> list[str]:
        return list(dict.fromkeys(name for services in self.written for name in services.items))

    def get(self, name: str) -> Node | None:
        if name not in self.named.items and any(name in services.items for services in self.written):
            self.named.items[name] = self._looked_at(name)
        return self.named.items.get(name)

    def _looked_at(self, name: str) -> Node:
        """A service of all documents of the file together, in its long form, its paths resolved."""
        root: Node | None = None
        for services in self.written:
            if name not in services.items:
                continue
            written = services.items[name]
            found = None if _is_null(written) else read(SERVICE, written, f"services.{name}", self.run)
            key = services.keys[name]
            service = Mapping({name: found or Mapping(at=written)}, {name: key}, at=services)
            layer = Mapping({"services": service}, {"services": key}, at=services)
            root = merge(STACK, root, layer) if root else layer
        assert isinstance(root, Mapping)
        if self.scope.base is not None:
            base = os.path.normpath(
                os.path.join(self.scope.base, os.path.relpath(self.directory, self.scope.directory))
            )
        else:
            base = self.directory
        root = resolve_paths(
            root, base, self.scope.environment, interpolated=self.scope.interpolation is not None
        )  # fmt: skip
        services_node = root.items["services"]
        assert isinstance(services_node, Mapping)
        return services_node.items[name]


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


class _Following:
    """Follows `extends` from service to service. Each service is resolved once, a chain in one go: it may be long."""

    def __init__(self, scope: Scope, files: Files, run: Reading) -> None:
        self.scope = scope
        self.files = files
        self.run = run
        self.done: dict[tuple[str, str], Node] = {}  # file and service -> the service
        self.others: dict[str, _OtherServices | None] = {}  # None: not there, or not YAML, which is told

    def resolved(self, source: _OwnServices, name: str) -> Node:
        links: list[tuple[_OwnServices, str, Mapping, Mapping]] = []  # from the service up: itself and its `extends`
        passed: dict[tuple[str, str], int] = {}  # the places of the links, and which link it is
        base: Node | None = None
        while True:
            if (source.path, name) in self.done:
                base = self.done[source.path, name]
                break
            service = source.get(name)
            assert service is not None
            extends = _extends(service)
            if extends is None or not isinstance(service, Mapping):
                base = self.done[source.path, name] = service
                break
            passed[source.path, name] = len(links)
            links.append((source, name, service, extends))
            following = self._target(source, name, extends)
            if following is None or self._closes_a_circle(links, passed.get((following[0].path, following[1]))):
                break
            source, name = following
        for link_source, link_name, service, extends in reversed(links):
            base = self._laid_over(base, link_name, service, extends)
            self.done[link_source.path, link_name] = base
        assert base is not None
        return base

    def _target(self, source: _OwnServices, name: str, extends: Mapping) -> tuple[_OwnServices, str] | None:
        """Where the service that is extended stands; None, and told, when there is none."""
        wanted = extends.items["service"]
        target = text_of(wanted)
        if (file := extends.items.get("file")) is not None and file.tag != RESET:
            other = self._other(beside(text_of(file), source.directory or self.scope.directory), name, file)
            if other is None:
                self._broken(name)
                return None
            source = other
        if source.get(target) is not None:
            return source, target
        message, helps = unknown_name("service", target, [each for each in source.names() if each != name])
        notes = ["`extends` without `file` looks in its own file, and there in its own document"]
        if isinstance(source, _OtherServices):
            notes = ["the file has no services"] if not source.names() else []
            message += f" in {display_path(source.path, self.files.working_dir)}"
        self.run.problems.error(
            "O8-203", message, wanted, label=f"in services.{name}.extends", notes=notes, helps=helps
        )  # fmt: skip
        self._broken(name)
        return None

    def _other(self, path: str, name: str, at: Node) -> _OtherServices | None:
        if path not in self.others:
            documents = self.files.follow(path, at, f"extended by `services.{name}` here")
            self.others[path] = None if documents is None else _OtherServices(
                path, self.scope.interpolated(documents), self.scope, self.run
            )  # fmt: skip
        return self.others[path]

    def _broken(self, name: str) -> None:
        """What it would have brought is not missed."""
        self.run.broken.add(f"services.{name}.extends")

    def _closes_a_circle(self, links: list[tuple[_OwnServices, str, Mapping, Mapping]], first: int | None) -> bool:
        """Told, when what comes next is the `first` of these links again."""
        if first is None:
            return False
        circle = links[first:]
        names = [name for _, name, _, _ in circle]
        spans = [
            extends.items["service"].span(f"{number}: {name} extends {following_name}", primary=number == 1)
            for number, ((_, name, _, extends), following_name) in enumerate(
                zip(circle, [*names[1:], names[0]], strict=True), 1
            )
        ]
        self.run.problems.error(
            "O8-106", f"circular `extends`: {' -> '.join([*names, names[0]])}", spans,
            helps=["move what they share to a service that extends none of them"],
        )  # fmt: skip
        for name in names:
            self._broken(name)
        return True

    def _laid_over(self, base: Node | None, name: str, service: Mapping, extends: Mapping) -> Node:
        own = Mapping(service.items, service.keys, at=service)
        del own.items["extends"], own.keys["extends"]
        if not isinstance(base, Mapping):
            return own
        self.files.spend(size(base), extends)
        span = extends.items["service"].span(f"extended by `services.{name}` here", primary=False)
        own.tag = ""  # `!override` replaces the service of an earlier file, not what this one extends
        found = self.run.merged(SERVICE, came_by(base, span), own)
        found.tag = service.tag
        return found
