"""A stack file as a tree of values that know their place: what every phase of the loading pipeline hands to the next.

Nodes are shared (a YAML alias is the same node again), so no phase changes one: each builds new ones with `at=` the old,
which keeps the place. Plain slotted classes: this is on the CLI's path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingOf

from orchestr8.errors import Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

RESET = "!reset"  # drop this key from the merged stack
OVERRIDE = "!override"  # replace instead of merging
MAX_VIA = 5  # places of the way by which a value came that are kept


class Node:
    """A value and its place: 1-based line and column; `end_column` is one past its end on the first line."""

    __slots__ = ("column", "end_column", "file", "line", "tag", "via")

    def __init__(self, at: Node | None = None) -> None:
        self.file: str
        self.line: int
        self.column: int
        self.end_column: int
        self.tag: str
        self.via: tuple[Span, ...]  # the `extends` and `include` by way of which it came, nearest first
        if at is None:
            self.file, self.line, self.column, self.end_column, self.tag, self.via = "", 0, 0, 0, "", ()
        else:
            self.file, self.line, self.column, self.end_column = at.file, at.line, at.column, at.end_column
            self.tag, self.via = at.tag, at.via

    def span(self, label: str = "", *, primary: bool = True) -> Span:
        return Span(
            self.file, self.line, self.column, self.end_column, label=label, primary=primary, via=self.via
        )  # fmt: skip

    def plain(self) -> Any:
        """The value without its places."""
        raise NotImplementedError


class Scalar(Node):
    """One value. `text` is what the file says; `quoted` tells "5" from 5; `template` is the text before interpolation,
    and `failed` that there is no text after it, which was told.
    """

    __slots__ = ("failed", "quoted", "template", "text", "value")

    def __init__(
        self, value: Any, text: str | None = None, *, quoted: bool = True, template: str = "", at: Node | None = None
    ) -> None:
        super().__init__(at)
        self.value = value
        self.text = str(value) if text is None else text
        self.quoted = quoted
        self.template = template
        self.failed = False

    def plain(self) -> Any:
        return self.value


class Mapping(Node):
    """Values by key, in the file's order; `keys` holds each key's own node, for its place."""

    __slots__ = ("items", "keys")

    def __init__(
        self,
        items: MappingOf[str, Node] | None = None,
        keys: MappingOf[str, Node] | None = None,
        at: Node | None = None,
    ) -> None:
        super().__init__(at)
        self.items: dict[str, Node] = dict(items or {})
        self.keys: dict[str, Node] = dict(keys or {})

    def set(self, key: str, value: Node, key_node: Node | None = None) -> None:
        self.items[key] = value
        self.keys[key] = key_node or self.keys.get(key) or value

    def plain(self) -> dict[str, Any]:
        return {key: value.plain() for key, value in self.items.items()}


class Sequence(Node):
    __slots__ = ("items",)

    def __init__(self, items: list[Node] | None = None, at: Node | None = None) -> None:
        super().__init__(at)
        self.items: list[Node] = list(items or [])

    def plain(self) -> list[Any]:
        return [value.plain() for value in self.items]


def came_by(node: Node, span: Span) -> Node:
    """A copy of `node` and all in it that came by way of `span`, and is bare of tags and of what they drop."""
    copy: Node
    if isinstance(node, Mapping):
        copy = Mapping(at=node)
        for key, value in node.items.items():
            if value.tag != RESET:
                copy.items[key] = came_by(value, span)
                copy.keys[key] = came_by(node.keys[key], span)
    elif isinstance(node, Sequence):
        copy = Sequence([came_by(item, span) for item in node.items], at=node)
    else:
        assert isinstance(node, Scalar)
        copy = Scalar(node.value, node.text, quoted=node.quoted, template=node.template, at=node)
        copy.failed = node.failed
    copy.tag = ""
    if len(node.via) < MAX_VIA:
        copy.via = (span, *node.via)
    return copy


def bare(node: Node) -> Node:
    """`node` without its tags, and without what `!reset` drops: what nothing else is laid over any more."""
    copy: Node
    if isinstance(node, Mapping):
        copy = Mapping(at=node)
        for key, value in node.items.items():
            if value.tag != RESET:
                copy.items[key] = bare(value)
                copy.keys[key] = node.keys[key]
    elif isinstance(node, Sequence):
        copy = Sequence([bare(item) for item in node.items], at=node)
    elif node.tag:
        assert isinstance(node, Scalar)
        copy = Scalar(node.value, node.text, quoted=node.quoted, template=node.template, at=node)
        copy.failed = node.failed
    else:
        return node
    copy.tag = ""
    return copy


def size(node: Node) -> int:
    """How many values stand in it, itself included; a long text counts as one for each 256 letters."""
    if isinstance(node, Mapping):
        return 1 + sum(map(size, node.items.values()))
    if isinstance(node, Sequence):
        return 1 + sum(map(size, node.items))
    return 1 + (len(node.value) >> 8 if isinstance(node, Scalar) and isinstance(node.value, str) else 0)


MASK = "***"  # stands for what is not shown
_CUT = "..."  # ends what is not shown whole
_LEAST = 3  # letters of a secret; fewer stand everywhere
_SECRET = re.compile(r"\$\{?[A-Za-z0-9_]*(PASS|SECRET|TOKEN|KEY|CREDENTIAL|PRIVATE)", re.IGNORECASE)


def has_secret(node: Node) -> bool:
    """A value that came from a variable whose name says that it must not be shown."""
    return isinstance(node, Scalar) and bool(node.template) and bool(_SECRET.search(node.template))


def secret_parts(node: Node) -> list[str]:
    """What no message may quote of a value that came from such a variable: all of it, then what short forms are cut to.

    What the file itself says around the variable is no secret, nor are parts so short that they stand everywhere.
    """
    if not isinstance(node, Scalar) or not has_secret(node) or not (value := str(node.value)):
        return []
    parts = {each for each in re.split(r"[:/,=@\s]+", value) if len(each) >= _LEAST and each not in node.template}
    return [value, *parts]


def origin(node: Node) -> list[str]:
    """Where an interpolated value comes from: the file shows only its template."""
    if not isinstance(node, Scalar) or not node.template or node.failed:
        return []
    shown = "a value that is not shown" if has_secret(node) else f"`{cut(str(node.value))}`"
    return [f"`{cut(node.template)}` became {shown}"]


def cut(text: str, most: int = 60) -> str:
    """As much of a text as a message has room for."""
    return text if len(text) <= most else text[: most - len(_CUT)] + _CUT


def hide(text: str, secrets: Iterable[str]) -> str:
    """A message without these: whole, or their beginning where `cut` has taken the end away."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
        end = text.find(_CUT)
        while end >= 0:
            most = min(len(secret), end)
            begun = next((size for size in range(most, _LEAST - 1, -1) if text.endswith(secret[:size], 0, end)), 0)
            if begun:
                text = text[: end - begun] + MASK + text[end:]
                end += len(MASK) - begun
            end = text.find(_CUT, end + len(_CUT))
    return text


def describe(node: Node) -> str:
    """What a node is, for "found …" in a message: the number 5, the text `x`, a list, a mapping, nothing."""
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Mapping):
        return "a mapping"
    assert isinstance(node, Scalar)
    value = node.value
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the boolean {node.text}"
    if isinstance(value, (int, float)):
        return f"the number {node.text}"
    if has_secret(node):
        return "a text that is not shown"
    return f"the text `{cut(str(value))}`" if str(value) else "an empty text"
