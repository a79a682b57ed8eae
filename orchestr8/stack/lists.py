"""Kinds of lists, and of what may be written shorter than it is: how they are checked, made long, merged, and described.

`Pairs` is KEY=VALUE as mapping or list; a `Short` has a text for what is a mapping in full.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestr8.stack import patterns
from orchestr8.stack.hints import as_list, as_name, as_pair
from orchestr8.stack.nodes import Mapping, Node, Scalar, Sequence, bare
from orchestr8.stack.problems import Problems
from orchestr8.stack.records import Named, Record, merge_mappings
from orchestr8.stack.types import AsText, Reading, Schema, Text, Type, merge, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from orchestr8.stack.support import SupportLook


class ListOf(Type):
    """A list; a later file's items are added. `unique`: items with an equal key are one, the last wins in place."""

    def __init__(
        self, kind: Type, what: str = "a list", *, unique: Callable[[Any], Any] | None = None, single: bool = False,
        deep: bool = False,
    ) -> None:  # fmt: skip
        self.what = what
        self.kind = kind
        self.unique = unique
        self.single = single  # True: one value alone is a list of it
        self.deep = deep  # True: items with an equal key are merged

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if self.single and isinstance(node, Scalar) and node.value is not None:
            node = Sequence([node], at=node)
        if not isinstance(node, Sequence):
            return run.wrong(node, where, self.what, helps=self._hint(node, where, run))
        found: list[Node] = []
        for index, item in enumerate(node.items):
            if isinstance(item, Mapping):  # nothing is laid over it key by key: its tags mean what they do at once
                item = bare(item)  # noqa: PLW2901
            read_item = read(self.kind, item, f"{where}[{index}]", run)
            if read_item is None:
                run.broken.add(where)
            elif isinstance(read_item, Sequence):  # one short form may stand for several
                found.extend(read_item.items)
            else:
                found.append(read_item)
        return Sequence(self._deduplicated(found), at=node)

    def _hint(self, node: Node, where: str, run: Reading) -> list[str]:
        """How what could be an item, and stands alone, is written as one."""
        quiet = Reading(Problems(), interpolated=run.interpolated)
        if self.single or self.kind.read(node, where, quiet) is None or quiet.problems.errors:
            return []
        if isinstance(node, Scalar):
            return [f"write [{node.text}]"] if node.text and len(node.text) < 40 else ["write it as a list"]
        return ["put a dash in front of it: it is one item of a list"]

    def _deduplicated(self, items: list[Node]) -> list[Node]:
        if not self.unique:
            return items
        kept: dict[Any, Node] = {}
        for item in items:
            kept[self.unique(item.plain())] = item  # a dict keeps the place of the first
        return list(kept.values())

    def merge(self, base: Node, over: Node) -> Node:
        if not isinstance(base, Sequence) or not isinstance(over, Sequence):
            return over
        if not self.deep or not self.unique:
            return Sequence(self._deduplicated(base.items + over.items), at=over)
        merged = {self.unique(item.plain()): item for item in base.items}
        for item in over.items:
            key = self.unique(item.plain())
            merged[key] = merge(self.kind, merged[key], item) if key in merged else item
        return Sequence(list(merged.values()), at=over)

    def complete(self, node: Node, where: str, run: Reading) -> Node:
        if not isinstance(node, Sequence) or not any(isinstance(item, Mapping) for item in node.items):
            return node
        items = [self.kind.complete(item, f"{where}[{index}]", run) for index, item in enumerate(node.items)]
        return Sequence(items, at=node)

    def support(self, node: Node, where: str, look: SupportLook) -> None:
        for index, item in enumerate(node.items) if isinstance(node, Sequence) else ():
            self.kind.support(item, f"{where}[{index}]", look)

    def document(self, node: Node) -> Any:
        if not isinstance(node, Sequence):
            return node.plain()
        return [self.kind.document(item) for item in node.items]

    def schema(self) -> Schema:
        one = self.kind.schema()
        many: Schema = {"type": "array", "items": one}
        return {"oneOf": [{**one, "not": {"type": "object"}} if "oneOf" in one else one, many]} if self.single else many


class _AsLong(Type):
    """What is written in several forms, and once it is read is only the long one."""

    long: Record | Named

    def merge(self, base: Node, over: Node) -> Node:
        return self.long.merge(base, over)

    def complete(self, node: Node, where: str, run: Reading) -> Node:
        return self.long.complete(node, where, run)

    def support(self, node: Node, where: str, look: SupportLook) -> None:
        self.long.support(node, where, look)

    def document(self, node: Node) -> Any:
        return self.long.document(node)


class Short(_AsLong):
    """A record that also has a short form. Canonical form: the long one, which `expand` makes."""

    empty_is_said = True

    def __init__(self, what: str, long: Record) -> None:
        self.what = what
        self.long = long

    def expand(self, node: Scalar, where: str, run: Reading) -> Node | None:
        """The long form of a short one."""
        raise NotImplementedError

    def short_schema(self) -> Schema:
        """What a short form can say."""
        return {"type": "string"}

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if isinstance(node, Mapping):
            return self.long.read(node, where, run)
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return run.wrong(node, where, self.what)
        return self.expand(node, where, run)

    def schema(self) -> Schema:
        return {"oneOf": [self.short_schema(), self.long.schema()]}


class NamesOr(_AsLong):
    """A list of names, or a mapping from them to what is said of each. Canonical form: the mapping."""

    empty_is_said = False

    def __init__(self, noun: str, long: Named) -> None:
        self.long = long
        self.what = f"a list of {noun}, or a mapping"

    def item(self, name: Scalar) -> Node:
        """What a name alone in a list says."""
        return Scalar(None, at=name)

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if isinstance(node, Mapping):
            return self.long.read(node, where, run)
        if not isinstance(node, Sequence):
            return run.wrong(node, where, self.what, helps=as_list(node))
        result = Mapping(at=node)
        for index, item in enumerate(node.items):
            if not isinstance(item, Scalar) or not isinstance(item.value, str):
                run.wrong(item, f"{where}[{index}]", "a name", helps=as_name(item))
            else:
                result.set(item.value, self.item(item), item)
        return result

    def schema(self) -> Schema:
        return {"oneOf": [{"type": "array", "items": {"type": "string"}}, self.long.schema()]}


class Pairs(Type):
    """KEY=VALUE: a mapping, or a list of `KEY=VALUE` or `KEY`. Canonical form: a mapping."""

    item_pattern = patterns.PAIR  # of an item of the list

    def __init__(self, kind: Type, *, bare: Any = None) -> None:
        self.what = "a mapping, or a list of KEY=VALUE"
        self.kind = kind
        self.bare = bare  # the value of a KEY alone

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        result = Mapping(at=node)
        if isinstance(node, Mapping):
            for key, value in node.items.items():
                place = f"{where}.{key}"
                if not key.strip():
                    run.bad(node.keys[key], where, "a name is empty")
                    continue
                if key != key.strip():
                    run.bad(node.keys[key], place, "the name has a space around it", helps=[f"write `{key.strip()}`"])
                    continue
                found = read(self.kind, value, place, run)
                if found is not None:
                    result.set(key, found, node.keys[key])
            return result
        if not isinstance(node, Sequence):
            return run.wrong(node, where, self.what)
        for index, item in enumerate(node.items):
            place = f"{where}[{index}]"
            if not isinstance(item, Scalar) or not isinstance(item.value, str):
                run.wrong(item, place, "text of the form KEY=VALUE", helps=as_pair(item))
                continue
            key, equals, text = item.value.partition("=")
            if not key or key != key.strip():
                run.bad(item, place, "no name in front of =" if not key else f"the name `{key}` has a space around it")
                continue
            result.set(key, Scalar(text if equals else self.bare, at=item), item)
        return result

    def merge(self, base: Node, over: Node) -> Node:
        return merge_mappings(base, over, lambda _: self.kind)

    def schema(self) -> Schema:
        return {
            "oneOf": [
                {
                    "type": "object",
                    "propertyNames": {"pattern": patterns.NAME},
                    "additionalProperties": self.kind.schema(),
                },
                {"type": "array", "items": patterns.text(self.item_pattern)},
            ]
        }


def _itself(item: Any) -> Any:
    return item


NAMES: Final = ListOf(Text("a name", empty=False), "a list of names", unique=_itself)
TEXTS: Final = ListOf(Text(), "a list of texts", unique=_itself)
TEXT_OR_TEXTS: Final = ListOf(Text(), "a text, or a list of texts", unique=_itself, single=True)
ALL_TEXTS: Final = ListOf(Text(), "a list of texts")  # the same may stand there twice
LABELS: Final = Pairs(AsText(), bare="")  # a name alone has an empty value
VARIABLES: Final = Pairs(AsText(null=True))  # a name alone takes its value from the caller
_PLAIN: Final = AsText(refused=(bool, type(None)))
OPTIONS: Final = Named("a mapping of options", _PLAIN)
NUMBERS_OR_TEXTS: Final = ListOf(AsText(refused=(bool, float, type(None))), "a list of texts", unique=_itself)
