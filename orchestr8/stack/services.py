"""Kinds of values that only a service has: command lines, dependencies, networks, health checks, env files, restart."""

from __future__ import annotations

import re

from orchestr8.stack.mounts import Mount, mount_target
from orchestr8.stack.nodes import Mapping, Node, Scalar, Sequence
from orchestr8.stack.problems import Problems
from orchestr8.stack.scalars import split_command, to_text
from orchestr8.stack.shapes import ListOf, Named, Record, ignored, now
from orchestr8.stack.suggest import did_you_mean
from orchestr8.stack.types import Choice, Flag, Number, Reading, Schema, Text, Type

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
                    helps = [f'quote it: "{item.text}"'] if isinstance(item, Scalar) and item.text else []
                    run.wrong(item, f"{where}[{index}]", "text", helps=helps)
                else:
                    words.append(item)
            return Sequence(words, at=node)
        if not isinstance(node, Scalar) or not (node.value is None or isinstance(node.value, str)):
            return run.wrong(node, where, self.what)
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
        return {"type": ["string", "array", "null"], "items": {"type": "string"}}


class HealthTest(Type):
    """Text is for a shell; a list starts with CMD, CMD-SHELL or NONE. A later file's replaces it whole."""

    what = "a command line, or a list that starts with CMD, CMD-SHELL or NONE"

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return Sequence([Scalar("CMD-SHELL", at=node), node], at=node)
        if not isinstance(node, Sequence) or not node.items:
            return run.wrong(node, where, self.what)
        for index, item in enumerate(node.items):
            if not isinstance(item, Scalar) or not isinstance(item.value, str):
                return run.wrong(item, f"{where}[{index}]", "text")
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
        return {"type": ["string", "array"], "items": {"type": "string"}}


class _Names(Type):
    """A list of names stands for a mapping of them; `item` gives each one's value."""

    noun = "names"

    def __init__(self, long: Named) -> None:
        self.long = long
        self.what = f"a list of {self.noun}, or a mapping"

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if isinstance(node, Mapping):
            return self.long.read(node, where, run)
        if not isinstance(node, Sequence):
            return run.wrong(node, where, self.what)
        result = Mapping(at=node)
        for index, item in enumerate(node.items):
            if not isinstance(item, Scalar) or not isinstance(item.value, str):
                run.wrong(item, f"{where}[{index}]", "a name")
            else:
                result.set(item.value, self.item(item), item)
        return result

    def item(self, name: Scalar) -> Node:
        raise NotImplementedError

    def merge(self, base: Node, over: Node) -> Node:
        return self.long.merge(base, over)

    def settle(self, node: Node, where: str, run: Reading) -> Node | None:
        return self.long.settle(node, where, run)

    def schema(self) -> Schema:
        return {"oneOf": [{"type": "array", "items": {"type": "string"}}, self.long.schema()]}


class _Dependency(Record):
    """`{condition, required, restart}`. The condition may stand in any of the files, so it is missed after merging."""

    def __init__(self) -> None:
        keys = {"condition": now(Choice(*CONDITIONS)), "required": now(Flag()), "restart": now(Flag())}
        super().__init__("a dependency", keys)

    def settle(self, node: Node, where: str, run: Reading) -> Node | None:
        found = super().settle(node, where, run)
        if not isinstance(found, Mapping):
            return found
        if "condition" not in found.items:
            if not {where, f"{where}.condition"} & run.broken:
                run.problems.error("O8-105", f"`{where}` has no `condition`", node, helps=["add `condition:`"])
            found.set("condition", Scalar(CONDITIONS[0], at=node))
        if "required" not in found.items:
            found.set("required", Scalar(True, at=node))
        return found


class DependsOn(_Names):
    noun = "services"

    def __init__(self) -> None:
        super().__init__(Named("a mapping of services", _Dependency()))

    def item(self, name: Scalar) -> Node:
        items = {"condition": Scalar(CONDITIONS[0], at=name), "required": Scalar(True, at=name)}
        return Mapping(items, items, at=name)


class _Attachment(Record):
    """What a service says of a network it joins; nothing said stays null, as in compose."""

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        return node if isinstance(node, Scalar) and node.value is None else super().read(node, where, run)

    def merge(self, base: Node, over: Node) -> Node:
        if not isinstance(over, Mapping):  # only a name: it says nothing new
            return base
        return super().merge(base, over)

    def schema(self) -> Schema:
        return {**super().schema(), "type": ["object", "null"]}


class ServiceNetworks(_Names):
    noun = "networks"

    def __init__(self, aliases: Type) -> None:
        keys = {"aliases": now(aliases)}
        keys.update({name: ignored() for name in (
            "driver_opts", "gw_priority", "interface_name", "ipv4_address", "ipv6_address", "link_local_ips",
            "mac_address", "priority",
        )})  # fmt: skip
        super().__init__(Named("a mapping of networks", _Attachment("a network", keys)))

    def item(self, name: Scalar) -> Node:
        return Scalar(None, at=name)


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
    {"path": now(Text("a path", empty=False)), "required": now(Flag()), "format": now(Choice("raw"))},
    required=("path",),
)  # fmt: skip


class Restart(Type):
    """no, always, unless-stopped, on-failure or on-failure:3. A bare `no` is text here, as it is to compose."""

    what = "no, always, unless-stopped, on-failure or on-failure:N"
    pattern: Final = re.compile(r"no|always|unless-stopped|on-failure(:\d+)?")

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
        return {"type": "string", "pattern": f"^(?:{self.pattern.pattern})?$|\\$"}


class Mounts(ListOf):
    """`volumes`: one mount a target. A second one in the same list is most likely a slip, so it is told."""

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        found = super().read(node, where, run)
        if isinstance(node, Sequence) and isinstance(found, Sequence) and len(found.items) < len(node.items):
            self._tell(node, found, where, run)
        return found

    def _tell(self, node: Sequence, found: Sequence, where: str, run: Reading) -> None:
        kept = {(item.line, item.column): str(mount_target(item.plain())) for item in found.items}
        for item in node.items:
            long = Mount().read(item, where, Reading(Problems(), interpolated=run.interpolated))
            target = str(mount_target(long.plain())) if long else ""
            if (item.line, item.column) not in kept and target in kept.values():
                run.problems.warn("O8-208", f"`{where}`: {target} is mounted again below; the last one is used", item)


class Processors(Number):
    """`cpus`: a fraction of processors. Canonical form: a number."""

    def __init__(self) -> None:
        super().__init__("a number of processors such as 0.5", least=0, fraction=True)
