"""Kinds of mappings: how they are checked, made long, merged, and described.

A `Record` has fixed keys, each with a `Rule`; a `Named` has names of the user's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from collections.abc import Mapping as MappingOf

from orchestr8.stack.fixes import rename_key
from orchestr8.stack.nodes import RESET, Mapping, Node, Scalar, Sequence
from orchestr8.stack.suggest import MAX_CANDIDATES, closest, did_you_mean, sure
from orchestr8.stack.types import ANYTHING, Reading, Schema, Type, merge, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from orchestr8.stack.support import SupportLook

NOW: Final = "now"  # the engine acts on the key
LATER: Final = "later"  # it changes isolation or what runs: a verb that acts refuses it until the engine can
IGNORED: Final = "ignored"  # it changes neither: a warning


class Rule:
    """A key of a record: its kind, its status, and a sentence for whoever used one that the engine does not act on.

    The sentence says what the key does elsewhere, and what happens here.
    """

    __slots__ = ("keep", "kind", "reason", "status", "usual")

    def __init__(
        self, kind: Type = ANYTHING, status: str = NOW, reason: str = "", *, usual: bool = False, keep: bool = False
    ) -> None:
        self.kind = kind
        self.status = status
        self.reason = reason
        self.usual = usual  # of a flag that is not acted on: what happens without it
        self.keep = keep  # True: the document has it even when it is false, 0 or empty


def now(kind: Type, *, keep: bool = False) -> Rule:
    return Rule(kind, keep=keep)


def later(kind: Type, reason: str) -> Rule:
    return Rule(kind, LATER, reason)


def ignored(kind: Type, reason: str, *, usual: bool = False, keep: bool = False) -> Rule:
    return Rule(kind, IGNORED, reason, usual=usual, keep=keep)


def says_nothing(value: Any) -> bool:
    """A value that is as good as none: compose leaves it out of what `config` prints."""
    return value is None or value in (False, "", 0, [], {})


class Record(Type):
    """A mapping with fixed keys. `x-…` is always allowed."""

    empty_is_said = True

    def __init__(
        self, what: str, keys: MappingOf[str, Rule], *, required: Iterable[str] = (), needed: Iterable[str] = (),
        null: bool = False, hint: str = "", always: MappingOf[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.what = what
        self.keys = keys
        self.required = tuple(required)  # in every file
        self.needed = tuple(needed)  # once all files are merged
        self.null = null  # True: nothing is an empty record
        self.hint = hint
        self.always = always or {}  # what the document has even when no file says it

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if not isinstance(node, Mapping):
            if self.null and isinstance(node, Scalar) and node.value is None:
                return Mapping(at=node)
            return run.wrong(node, where, f"a mapping ({self.what})", helps=self._help(where))
        result = Mapping(at=node)
        for key, value in node.items.items():
            place = f"{where}.{key}" if where else key
            key_node = node.keys[key]
            rule = self.keys.get(key)
            if rule is None:
                if key.startswith("x-"):
                    result.set(key, value, key_node)
                else:
                    self._unknown(key, node, where, run)
                continue
            found = read(rule.kind, value, place, run)
            if found is not None:
                result.set(key, found, key_node)
        self._miss(self.required, result, node, where, run)
        return result

    def _help(self, where: str) -> list[str]:
        """For a value that stands in the place of the record: its key may be one of the record's, not indented enough."""
        name = where.rpartition(".")[2]
        if name in self.keys:
            return [f"`{name}` is a {self.what.partition(' ')[2]} setting: indent it below the name that it is for"]
        return [self.hint] if self.hint else []

    def _miss(self, keys: Iterable[str], found: Mapping, at: Mapping, where: str, run: Reading) -> None:
        for key in keys:
            if key not in found.items and not {where, f"{where}.{key}"} & run.broken:
                run.broken.add(f"{where}.{key}")
                run.problems.error("O8-105", f"`{where}` has no `{key}`", _first(at), helps=[f"add `{key}:`"])

    def _unknown(self, key: str, node: Mapping, where: str, run: Reading) -> None:
        key_node = node.keys[key]
        run.broken.add(f"{where}.{key}" if where else key)
        if isinstance(key_node, Scalar) and not isinstance(key_node.value, str):  # that is told already
            run.broken.add(where)
            return
        suggested = closest(key, self.keys)
        if suggested:  # the key that was meant is not missing, only misspelt
            run.broken.add(f"{where}.{suggested}" if where else suggested)
        meant = sure(key, self.keys)
        fix = rename_key(key_node, meant, run.problems) if meant and meant not in node.items else None
        noun = self.what.partition(" ")[2]
        notes = [f"valid keys: {', '.join(sorted(self.keys))}"] if len(self.keys) <= 12 else []
        helps = [f"did you mean `{suggested}`?"] if suggested else []
        value = node.items[key]
        if not where and isinstance(value, Mapping) and {"image", "build"} & value.items.keys():
            helps.append(f"a service stands below `services:`, as `services: {{{key}: ...}}`")
        run.problems.error(
            "O8-101", f"unknown key `{key}` in `{where}`" if where else f"unknown key `{key}` at the top of the file",
            key_node, label=f"not a {noun} setting", notes=notes,
            helps=helps, fix=fix,
        )  # fmt: skip

    def merge(self, base: Node, over: Node) -> Node:
        return merge_mappings(base, over, lambda key: self.keys[key].kind if key in self.keys else ANYTHING)

    def complete(self, node: Node, where: str, run: Reading) -> Node:
        if not isinstance(node, Mapping):
            return node
        result = node
        for key, value in node.items.items():
            rule = self.keys.get(key)
            if rule is None or isinstance(value, Scalar):  # x-..., or nothing to complete
                continue
            found = rule.kind.complete(value, f"{where}.{key}" if where else key, run)
            if found is not value:
                if result is node:
                    result = Mapping(node.items, node.keys, at=node)
                result.set(key, found, node.keys[key])
        self._miss(self.needed, result, node, where, run)
        return result

    def support(self, node: Node, where: str, look: SupportLook) -> None:
        if not isinstance(node, Mapping):
            return
        for key, value in node.items.items():
            rule = self.keys.get(key)
            if rule is None:  # x-...
                continue
            place = f"{where}.{key}" if where else key
            if rule.status == NOW:
                rule.kind.support(value, place, look)
            elif not asks_for_nothing(value, rule.usual):
                look.key(rule, node.keys[key], place)

    def document(self, node: Node) -> Any:
        if not isinstance(node, Mapping):
            return node.plain()
        result: dict[str, Any] = dict(self.always)
        keys = self.keys
        for key, value in node.items.items():
            rule = keys.get(key)
            if rule is None:  # x-...
                result[key] = value.plain()
                continue
            found = rule.kind.document(value)
            if rule.keep or (rule.kind.empty_is_said and found is not None) or not says_nothing(found):
                result[key] = found
        return result

    def schema(self) -> Schema:
        schema: Schema = {
            "type": ["object", "null"] if self.null else "object",
            "properties": {key: _rule_schema(rule) for key, rule in sorted(self.keys.items())},
            "patternProperties": {"^x-": {}},
            "additionalProperties": False,
        }
        if self.required or self.needed:  # a schema sees one file: that another may give it is not known to it
            schema["required"] = [*self.required, *self.needed]
        return schema


def asks_for_nothing(node: Node, usual: bool) -> bool:
    """A value that asks for what happens anyway: the usual flag, null, an empty list. Nobody needs to be told."""
    if isinstance(node, Scalar):
        return node.value is None or node.value is usual or node.value == ""
    return isinstance(node, (Mapping, Sequence)) and not node.items


def _rule_schema(rule: Rule) -> Schema:
    schema = dict(rule.kind.schema())
    if rule.status != NOW:
        told = "not supported yet" if rule.status == LATER else "no effect"
        schema["description"] = f"{told}: {rule.reason}"
    return schema


def _first(node: Mapping) -> Node:
    return next(iter(node.keys.values()), node)


class Named(Type):
    """A mapping from names of the user's to values of one kind."""

    def __init__(self, what: str, kind: Type, pattern: str = "", hint: str = "") -> None:
        self.what = what
        self.kind = kind
        self.pattern = re.compile(pattern) if pattern else None
        self.hint = hint

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if not isinstance(node, Mapping):
            return run.wrong(node, where, self.what)
        result = Mapping(at=node)
        for name, value in node.items.items():
            key_node = node.keys[name]
            if self.pattern and not self.pattern.fullmatch(name):
                run.bad(key_node, where, f"`{name}` cannot be a name", helps=[self.hint], code="O8-108")
                continue
            found = read(self.kind, value, f"{where}.{name}", run)
            result.set(name, Mapping(at=value) if found is None else found, key_node)
        return result

    def merge(self, base: Node, over: Node) -> Node:
        return merge_mappings(base, over, lambda _: self.kind)

    def complete(self, node: Node, where: str, run: Reading) -> Node:
        if not isinstance(node, Mapping):
            return node
        result = Mapping(at=node)
        for name, value in node.items.items():
            result.set(name, self.kind.complete(value, f"{where}.{name}", run), node.keys[name])
        return result

    def support(self, node: Node, where: str, look: SupportLook) -> None:
        for name, value in node.items.items() if isinstance(node, Mapping) else ():
            self.kind.support(value, f"{where}.{name}", look)

    def document(self, node: Node) -> Any:
        if not isinstance(node, Mapping):
            return node.plain()
        return {name: self.kind.document(value) for name, value in node.items.items()}

    def schema(self) -> Schema:
        if self.pattern:
            return {
                "type": "object",
                "patternProperties": {f"^(?:{self.pattern.pattern})$": self.kind.schema()},
                "additionalProperties": False,
            }
        return {"type": "object", "additionalProperties": self.kind.schema()}


def merge_mappings(base: Node, over: Node, kind_of: Callable[[str], Type]) -> Node:
    """Key by key; `!reset` drops one. What is not a mapping (a variable kept as it is) is replaced."""
    if not isinstance(base, Mapping) or not isinstance(over, Mapping):
        return over
    merged = Mapping(base.items, base.keys, at=over)
    for key, value in over.items.items():
        if value.tag == RESET:  # kept: what `extends` lays over a service may be laid over an earlier file's in turn
            merged.items.pop(key, None)
            merged.set(key, value, over.keys[key])
        elif key in merged.items and merged.items[key].tag != RESET:
            merged.set(key, merge(kind_of(key), merged.items[key], value), over.keys[key])
        else:
            merged.set(key, value, over.keys[key])
    return merged


def without_resets(node: Node) -> Node:
    """`!reset` that found nothing to drop, dropped."""
    if not isinstance(node, Mapping):
        return node
    result = Mapping(at=node)
    for key, value in node.items.items():
        if value.tag != RESET:
            result.set(key, without_resets(value), node.keys[key])
    return result


class OrNull(Record):
    """A record, or nothing said, which stays null."""

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        return node if isinstance(node, Scalar) and node.value is None else super().read(node, where, run)

    def merge(self, base: Node, over: Node) -> Node:
        if not isinstance(over, Mapping):  # only a name: it says nothing new
            return base
        return super().merge(base, over)

    def schema(self) -> Schema:
        return {**super().schema(), "type": ["object", "null"]}


def unknown_name(what: str, name: str, known: Iterable[str]) -> tuple[str, list[str]]:
    """Message and help for a name that nothing bears."""
    known = list(known)
    helps = did_you_mean(name, known)
    if not helps and known:
        first = sorted(known)[:10] if len(known) <= MAX_CANDIDATES else known[:10]
        helps = [f"there is: {', '.join(first)}{', ...' if len(known) > 10 else ''}"]
    return f"no {what} is called `{name}`", helps
