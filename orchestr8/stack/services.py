"""Kinds of values that only a service has: command lines, dependencies, networks, health checks, env files, restart."""

from __future__ import annotations

import re

from orchestr8.stack import patterns
from orchestr8.stack.lists import ListOf, NamesOr
from orchestr8.stack.mounts import Mount, mount_target
from orchestr8.stack.nodes import Mapping, Node, Scalar, Sequence
from orchestr8.stack.problems import Problems
from orchestr8.stack.records import Named, Record, now
from orchestr8.stack.scalars import split_command, to_text
from orchestr8.stack.suggest import did_you_mean
from orchestr8.stack.types import AsText, Choice, Duration, Flag, Number, Reading, Schema, Text, Type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

CONDITIONS: Final = ("service_started", "service_healthy", "service_completed_successfully")


class Command(Type):
    """A list of words, text that is split into words, or nothing: the image's. A later file's replaces it whole."""

    what = "a command line, or a list of words"

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if isinstance(node, Sequence):
            words: list[Node] = []
            for index, item in enumerate(node.items):
                if not isinstance(item, Scalar) or not isinstance(item.value, str):
                    run.not_text(item, f"{where}[{index}]", "text")
                else:
                    words.append(item)
            return Sequence(words, at=node)
        if not isinstance(node, Scalar) or not (node.value is None or isinstance(node.value, str)):
            return run.not_text(node, where, self.what)
        if node.value is None or run.is_template(node):
            return node
        try:
            found, left_out = split_command(node.value)
        except ValueError as error:
            return run.bad(node, where, f"the command line cannot be split: {error}", helps=["write it as a list"])
        if left_out:
            run.problems.warn(
                "O8-113", f"`{where}` is not run by a shell: all from `{left_out[0]}` on is left out, as compose does",
                node, helps=['write ["sh", "-c", "..."] for a shell'],
            )  # fmt: skip
        return Sequence([Scalar(word, at=node) for word in found], at=node)

    def schema(self) -> Schema:
        return {**patterns.text(patterns.COMMAND), "type": ["string", "array", "null"], "items": {"type": "string"}}


class HealthTest(Type):
    """Text is for a shell; a list starts with CMD, CMD-SHELL or NONE. A later file's replaces it whole."""

    what = "a command line, or a list that starts with CMD, CMD-SHELL or NONE"

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return Sequence([Scalar("CMD-SHELL", at=node), node], at=node)
        if not isinstance(node, Sequence):
            return run.not_text(node, where, self.what)
        if not node.items:  # nothing is said: the image's own
            return node
        for index, item in enumerate(node.items):
            if not isinstance(item, Scalar) or not isinstance(item.value, str):
                return run.not_text(item, f"{where}[{index}]", "text")
        kind = str(node.items[0].plain())
        if kind not in ("CMD", "CMD-SHELL", "NONE") and not run.is_template(node.items[0]):
            return run.bad(
                node.items[0], where, f"a list starts with CMD, CMD-SHELL or NONE, not `{kind}`",
                helps=did_you_mean(kind, ("CMD", "CMD-SHELL", "NONE")) or [f'put CMD in front: ["CMD", "{kind}", ...]'],
            )  # fmt: skip
        if kind == "CMD-SHELL" and len(node.items) != 2:
            return run.bad(node, where, "CMD-SHELL takes exactly one text, the shell's command line")
        if kind == "CMD" and len(node.items) == 1:
            return run.bad(node, where, "CMD needs a program")
        return node

    def schema(self) -> Schema:
        text: Schema = {"type": "string"}
        lists = (
            {"maxItems": 0},
            {"items": [patterns.text("NONE")], "additionalItems": text},
            {"items": [{"const": "CMD"}], "additionalItems": text, "minItems": 2},
            {"items": [{"const": "CMD-SHELL"}, text], "additionalItems": False, "minItems": 2},
        )
        return {"anyOf": [text, *({"type": "array", **each} for each in lists)]}


class _Dependency(Record):
    """`{condition, required, restart}`. The condition may stand in any of the files, so it is missed after merging."""

    def __init__(self) -> None:
        keys = {"condition": now(Choice(*CONDITIONS)), "required": now(Flag(), keep=True), "restart": now(Flag())}
        super().__init__("a dependency", keys, needed=("condition",))

    def complete(self, node: Node, where: str, run: Reading) -> Node:
        found = super().complete(node, where, run)
        if not isinstance(found, Mapping):
            return found
        result = Mapping(found.items, found.keys, at=found)
        for key, value in (("condition", CONDITIONS[0]), ("required", True)):
            if key not in result.items:
                result.set(key, Scalar(value, at=node))
        return result


class DependsOn(NamesOr):
    def __init__(self) -> None:
        super().__init__("services", Named("a mapping of services", _Dependency()))

    def item(self, name: Scalar) -> Node:
        return dependency(at=name)


def dependency(*, restart: bool = False, at: Node) -> Mapping:
    """What a name alone, or a key that needs another service, says of it."""
    items: dict[str, Node] = {"condition": Scalar(CONDITIONS[0], at=at), "required": Scalar(True, at=at)}
    if restart:
        items["restart"] = Scalar(True, at=at)
    return Mapping(items, dict.fromkeys(items, at), at=at)


class EnvFile(Type):
    """A path, or {path, required, format}. Canonical form: the mapping."""

    what = "the path of a file, or {path: ..., required: false}"

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return Mapping({"path": node, "required": Scalar(True, at=node)}, {"path": node, "required": node}, at=node)
        if not isinstance(node, Mapping):
            return run.wrong(node, where, self.what)
        found = _ENV_FILE.read(node, where, run)
        if not isinstance(found, Mapping) or "path" not in found.items:
            return None
        if "required" not in found.items:
            found.set("required", Scalar(True, at=node))
        return found

    def schema(self) -> Schema:
        return {"oneOf": [{"type": "string"}, _ENV_FILE.schema()]}


_ENV_FILE: Final = Record(
    "an env file",
    {"path": now(Text("a path", empty=False)), "required": now(Flag(), keep=True), "format": now(Choice("raw", ""))},
    required=("path",),
)  # fmt: skip


class Restart(Type):
    """no, always, unless-stopped, on-failure or on-failure:3. A bare `no` is text here, as it is to compose."""

    what = "no, always, unless-stopped, on-failure or on-failure:N"
    pattern: Final = re.compile("no|always|unless-stopped|on-failure(:[0-9]+)?")

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if run.is_template(node):
            return node
        text = to_text(node.value) if isinstance(node, Scalar) else ""
        if isinstance(node, Scalar) and text == "false":
            return run.wrong(node, where, self.what, helps=['write "no"'])
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return run.wrong(node, where, self.what)
        if text and not self.pattern.fullmatch(text):
            words = ("no", "always", "unless-stopped", "on-failure")
            return run.wrong(node, where, self.what, helps=did_you_mean(text.partition(":")[0], words), code="O8-305")
        return node

    def schema(self) -> Schema:
        return patterns.text(self.pattern.pattern, empty=True)


class Mounts(ListOf):
    """`volumes`: one mount a target. A second one in the same list is most likely a slip, so it is told."""

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        found = super().read(node, where, run)
        if isinstance(node, Sequence) and isinstance(found, Sequence) and len(found.items) < len(node.items):
            self._tell(node, found, where, run)
        return found

    def _tell(self, node: Sequence, found: Sequence, where: str, run: Reading) -> None:
        kept = {(item.line, item.column) for item in found.items}
        targets = {str(mount_target(item.plain())) for item in found.items}
        for item in node.items:
            long = Mount().read(item, where, Reading(Problems(), interpolated=run.interpolated))
            target = str(mount_target(long.plain())) if long else ""
            if (item.line, item.column) not in kept and target in targets:
                run.problems.warn("O8-208", f"`{where}`: {target} is mounted again below; the last one is used", item)


class Processors(Number):
    """`cpus`: a fraction of processors. Canonical form: a number."""

    def __init__(self) -> None:
        super().__init__("a number of processors such as 0.5", least=0, fraction=True)


HEALTHCHECK: Final = Record("a healthcheck", {
    "disable": now(Flag()),
    "interval": now(Duration()),
    "retries": now(Number(least=0, cut=True), keep=True),
    "start_interval": now(Duration()),
    "start_period": now(Duration()),
    "test": now(HealthTest()),
    "timeout": now(Duration()),
})  # fmt: skip


class _OptionValue(Type):
    """One value or several. Canonical form: a list of texts."""

    what = "a value, or a list of values"

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        one = AsText(refused=(type(None),))
        found = [one.read(item, where, run) for item in (node.items if isinstance(node, Sequence) else [node])]
        return Sequence([item for item in found if item is not None], at=node)

    def schema(self) -> Schema:
        one: Schema = {"type": ["string", "number", "boolean"]}
        return {"oneOf": [one, {"type": "array", "items": one}]}


PROVIDER: Final = Record(
    "a provider",
    {"type": now(Text("the name of a provider")), "options": now(Named("a mapping of options", _OptionValue()))},
    needed=("type",),
)


class PullPolicy(Text):
    """One of them has two names; canonical form: the one that is not obsolete."""

    def __init__(self) -> None:
        super().__init__(
            "a pull policy", "always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+",
            hint="one of always, never, missing, build, daily, weekly, or every_12h and the like", empty=False,
        )  # fmt: skip

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        found = super().read(node, where, run)
        return Scalar("missing", at=found) if found is not None and found.plain() == "if_not_present" else found


class Extends(Type):
    """The name of a service, or {service, file}; gone once it is followed."""

    what = "the name of a service, or {service: ..., file: ...}"

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if isinstance(node, Mapping):
            return _EXTENDS.read(node, where, run)
        if not isinstance(node, Scalar) or not isinstance(node.value, str) or not node.value:
            return run.wrong(node, where, self.what)
        return Mapping({"service": node}, {"service": node}, at=node)

    def schema(self) -> Schema:
        return {"oneOf": [{"type": "string", "minLength": 1}, _EXTENDS.schema()]}


_EXTENDS: Final = Record(
    "an extends", {"service": now(Text("the name of a service")), "file": now(Text("a path"))}, required=("service",)
)
