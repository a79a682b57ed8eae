"""Kinds of single values: each checks a node, gives its canonical form, and describes itself for the JSON schema.

Kinds of lists and mappings are in `records` and `lists`; ports, mounts and other small languages in `ports`, `mounts`, `services`.
Which key has which kind is in `rules`.
"""

from __future__ import annotations

import re

from orchestr8.errors import Fix
from orchestr8.stack import patterns
from orchestr8.stack.fixes import quote
from orchestr8.stack.nodes import OVERRIDE, RESET, Mapping, Node, Scalar, Sequence, describe
from orchestr8.stack.problems import Problems
from orchestr8.stack.scalars import (
    format_duration,
    parse_bytes,
    parse_duration_ns,
    parse_flag,
    parse_fraction,
    parse_integer,
    parse_mode,
    to_text,
)
from orchestr8.stack.suggest import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from orchestr8.stack.support import SupportLook

MAX_SHORT: Final = 100_000
Schema = dict[str, object]  # a JSON schema, or a part of one


class Reading:
    """What one pass of checks shares: where to tell, and what was told, so that one mistake is told once."""

    def __init__(self, problems: Problems, *, interpolated: bool = True) -> None:
        self.problems = problems
        self.interpolated = interpolated  # False: `${V}` stands for a value of any kind
        self.broken: set[str] = set()  # places that hold something wrong: not missing, only unusable
        self.short = 0  # long forms that short ones stood for

    def wrong(
        self, node: Node, where: str, expected: str, *, helps: list[str] | None = None, code: str = "O8-104",
        fix: Fix | None = None,
    ) -> Node | None:  # fmt: skip
        """`node` is not of the kind that this place takes. Returns None: what `Type.read` gives for a wrong node."""
        self.broken.add(where)
        if isinstance(node, Scalar) and node.failed:
            return None
        if not helps and isinstance(node, Scalar) and node.value is None:
            helps = ["give it a value, or remove the key"]
        message = f"`{where}` must be {expected}, found {describe(node)}"
        self.problems.error(code, message, node, helps=helps or [], fix=fix)
        return None

    def not_text(self, node: Node, where: str, expected: str) -> Node | None:
        """As `wrong`: where text may stand, a number or a boolean that was meant as such is to be quoted."""
        helps = [f'quote it: "{node.text}"'] if isinstance(node, Scalar) and node.value is not None else []
        return self.wrong(node, where, expected, helps=helps, fix=quote(node, self.problems))

    def bad(
        self, node: Node, where: str, message: str, *, helps: list[str] | None = None, code: str = "O8-305"
    ) -> Node | None:
        """`node` has the right kind and a value that cannot be. Returns None, as `wrong` does."""
        self.broken.add(where)
        if isinstance(node, Scalar) and node.failed:
            return None
        self.problems.error(code, f"`{where}`: {message}", node, helps=helps or [])
        return None

    def too_many(self, more: int, node: Node, where: str) -> bool:
        """Told, when short forms stand for more long ones than a stack can have."""
        self.short += more
        if self.short <= MAX_SHORT:
            return False
        self.bad(node, where, f"the stack has more than {MAX_SHORT} ports and the like")
        return True

    def merged(self, kind: Type, base: Node, over: Node) -> Node:
        """Two canonical forms in one. What cannot be is told, and the earlier one stays."""
        try:
            return merge(kind, base, over)
        except CannotOverride as error:
            self.problems.error(
                "O8-104", f"{describe(error.base)} cannot be overridden by {describe(error.over)}",
                [error.over.span(), error.base.span("this is overridden", primary=False)],
            )  # fmt: skip
            return base

    def is_template(self, node: Node) -> bool:
        """A variable that is kept (`config --no-interpolate`): it passes for anything."""
        return not self.interpolated and isinstance(node, Scalar) and "$" in node.text


class Type:
    """A kind of value. `what` completes "must be …"."""

    what = "a value"
    empty_is_said = False  # True: the document has it even when nothing stands in it

    def read(self, node: Node, where: str, run: Reading) -> Node | None:  # noqa: ARG002
        """The canonical form of `node`, or None when it is wrong, which `run` has been told."""
        return node

    def merge(self, base: Node, over: Node) -> Node:  # noqa: ARG002
        """Two canonical forms in one; `over` stands in a later file."""
        return over

    def complete(self, node: Node, where: str, run: Reading) -> Node:  # noqa: ARG002
        """The merged `node` with what follows from it; `run` is told of what no file has given."""
        return node

    def support(self, node: Node, where: str, look: SupportLook) -> None:
        """Tell `look` what of the merged `node` this engine does not act on."""

    def document(self, node: Node) -> Any:
        """The value as the canonical document has it."""
        return node.plain()

    def schema(self) -> Schema:
        return {}


def read(kind: Type, node: Node, where: str, run: Reading) -> Node | None:
    """`kind.read`, but the value of a `!reset` is never looked at. Tags go on with the place (`at=`)."""
    return node if node.tag == RESET else kind.read(node, where, run)


def merge(kind: Type, base: Node, over: Node) -> Node:
    """`kind.merge`, unless the later file says `!override`. (`!reset` is seen by the mapping that holds the key.)"""
    return over if over.tag == OVERRIDE else kind.merge(base, over)


class CannotOverride(Exception):
    """A list or mapping of no one's, and something else in a later file."""

    def __init__(self, base: Node, over: Node) -> None:
        super().__init__()
        self.base = base
        self.over = over


class Anything(Type):
    """Kept as it is: `x-…` keys."""

    def merge(self, base: Node, over: Node) -> Node:
        """Raises CannotOverride."""
        if isinstance(over, Scalar) and over.value is None:  # it says nothing
            return base
        if isinstance(base, Mapping) and isinstance(over, Mapping):
            merged = Mapping(base.items, base.keys, at=over)
            for key, value in over.items.items():
                if value.tag == RESET:
                    merged.items.pop(key, None)
                    merged.set(key, value, over.keys[key])
                elif key in merged.items and merged.items[key].tag != RESET:
                    merged.set(key, merge(self, merged.items[key], value), over.keys[key])
                else:
                    merged.set(key, value, over.keys[key])
            return merged
        if isinstance(base, Sequence) and isinstance(over, Sequence):
            return Sequence(base.items + over.items, at=over)
        if not isinstance(base, Scalar):
            raise CannotOverride(base, over)
        return over


ANYTHING: Final = Anything()


class Text(Type):
    """Text; a bare number or boolean is an error, as it is to compose, because its text is not what was written."""

    def __init__(self, what: str = "text", pattern: str = "", *, hint: str = "", empty: bool = True) -> None:
        self.what = what
        self.pattern = re.compile(pattern) if pattern else None
        self.hint = hint
        self.empty = empty

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return run.not_text(node, where, self.what)
        if run.is_template(node):
            return node
        if not node.value:  # as an unset variable gives: nothing is said
            return node if self.empty else run.wrong(node, where, self.what)
        if self.pattern and not self.pattern.fullmatch(node.value):
            return run.wrong(node, where, self.what, helps=[self.hint] if self.hint else [], code="O8-305")
        return node

    def schema(self) -> Schema:
        if self.pattern:
            return patterns.text(self.pattern.pattern, empty=self.empty)
        return {"type": "string"} if self.empty else {"type": "string", "minLength": 1}


class AsText(Type):
    """Any single value, made text: environment, labels. What is read otherwise than written is warned of."""

    what = "a single value"

    def __init__(self, *, null: bool = False, refused: tuple[type, ...] = ()) -> None:
        self.null = null  # True: nothing stays nothing; False: it becomes ""
        self.refused = refused  # kinds of values that are an error

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if not isinstance(node, Scalar):
            return run.wrong(node, where, self.what)
        if isinstance(node.value, str):
            return node
        if isinstance(node.value, self.refused):
            return run.wrong(node, where, "text or a number")
        if node.value is None and self.null:
            return node
        text = to_text(node.value)
        if not node.quoted and node.value is not None and text != node.text and not isinstance(node.value, bool):
            run.problems.warn(
                "O8-112", f"`{where}`: {node.text} is a number to YAML, and becomes {text}", node,
                helps=[f'quote it to keep it as written: "{node.text}"'],
            )  # fmt: skip
        return Scalar(text, at=node)

    def schema(self) -> Schema:
        number = "integer" if float in self.refused else "number"
        rest = {bool: "boolean", type(None): "null"}
        return {"type": ["string", number, *(name for kind, name in rest.items() if kind not in self.refused)]}


class Choice(Type):
    def __init__(self, *words: str) -> None:
        self.words = words
        said = [each for each in words if each]
        self.what = "one of " + ", ".join(said) if len(said) > 1 else said[0]

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if run.is_template(node):
            return node
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return run.wrong(node, where, self.what)
        if node.value not in self.words:
            return run.wrong(node, where, self.what, helps=did_you_mean(node.value, self.words), code="O8-305")
        return node

    def schema(self) -> Schema:
        return {"anyOf": [{"enum": list(self.words)}, patterns.VARIABLE]}


class Flag(Type):
    """A boolean, or its text: what a variable gives."""

    what = "true or false"

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if run.is_template(node) or (isinstance(node, Scalar) and isinstance(node.value, bool)):
            return node
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return run.wrong(node, where, self.what)
        try:
            return Scalar(parse_flag(node.value), node.text, at=node)
        except ValueError:
            return run.wrong(node, where, self.what)

    def schema(self) -> Schema:
        return {**patterns.text(patterns.FLAG), "type": ["boolean", "string"]}


class Number(Type):
    """An integer (or any number, with `fraction`), or its text."""

    def __init__(
        self, what: str = "", *, least: int | None = None, most: int | None = None, fraction: bool = False,
        text: bool = False, cut: bool = False,
    ) -> None:  # fmt: skip
        self.what = what or ("a number" if fraction else "an integer")
        self.least = least
        self.most = most
        self.fraction = fraction
        self.text = text  # True: the document has its text, as compose prints it
        self.cut = cut  # True: a fraction is cut off, as compose does

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if run.is_template(node):
            return node
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, str):
            value = self._parse(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return run.wrong(node, where, self.what)
        if not self.fraction and isinstance(value, float):
            if value - value != 0 or not (value.is_integer() or self.cut):  # infinite, or with a fraction
                return run.wrong(node, where, self.what)
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # 2.0 processors are 2, as compose prints them
        if value != value or (self.least is not None and value < self.least):  # noqa: PLR0124
            return run.bad(node, where, f"must be greater than or equal to {self.least}, found {to_text(value)}")
        if self.most is not None and value > self.most:
            return run.bad(node, where, f"must be less than or equal to {self.most}, found {to_text(value)}")
        return Scalar(value, at=node)

    def _parse(self, text: str) -> int | float | None:
        try:
            return parse_fraction(text) if self.fraction else parse_integer(text)
        except ValueError:
            return None

    def document(self, node: Node) -> Any:
        value = node.plain()
        if self.text and isinstance(value, int):
            return str(value) if value else 0
        return value

    def schema(self) -> Schema:
        pattern = patterns.between(self.least, self.most)
        if self.fraction:  # `most` of a text, which may have a power of ten, is not told
            pattern = patterns.FRACTION if self.least is None else patterns.FRACTION_FROM_ZERO
        schema = patterns.text(pattern)
        schema["type"] = ["number" if self.fraction or self.cut else "integer", "string"]
        if self.least is not None:
            schema["minimum"] = self.least
        if self.most is not None:
            schema["maximum"] = self.most
        return schema


class Duration(Type):
    what = "a duration such as 30s or 1m30s"

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if run.is_template(node):
            return node
        if not isinstance(node, Scalar) or not isinstance(node.value, (str, int)) or isinstance(node.value, bool):
            return run.wrong(node, where, self.what)
        try:
            if not isinstance(node.value, str):
                raise ValueError("it has no unit")  # noqa: TRY004  told as any other bad duration
            return Scalar(format_duration(parse_duration_ns(node.value)), at=node)
        except ValueError as error:
            number = re.fullmatch(r"[0-9]{1,20}(\.[0-9]{1,20})?", node.text)
            return run.wrong(
                node, where, self.what, code="O8-305",
                helps=[f"give it a unit: {node.text}s"] if number else [str(error)],
            )  # fmt: skip

    def schema(self) -> Schema:
        return {
            **patterns.text(patterns.DURATION),
            "description": "a duration: numbers with w, d, h, m, s, ms, us or ns, such as 1m30s",
        }


class Size(Type):
    """Bytes; canonical form is their number as text, as compose prints it."""

    what = "a size such as 512m"

    def __init__(self, what: str = "", *, least: int = 0) -> None:
        self.what = what or self.what
        self.least = least

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if run.is_template(node):
            return node
        if (
            not isinstance(node, Scalar)
            or not isinstance(node.value, (str, int, float))
            or isinstance(node.value, bool)
        ):
            return run.wrong(node, where, self.what)
        try:
            size = parse_bytes(node.value)
        except ValueError as error:
            return run.wrong(node, where, self.what, helps=[str(error)], code="O8-305")
        if size < self.least:
            return run.bad(node, where, f"must be greater than or equal to {self.least}, found {size}")
        return Scalar(str(size), at=node)

    def document(self, node: Node) -> Any:
        """No limit is what nothing said means, too."""
        value = node.plain()
        return 0 if value == "0" else value

    def schema(self) -> Schema:
        return {
            **patterns.text(patterns.SIZE if self.least == 0 else f"{patterns.SIZE}|-1"),
            "type": ["string", "number"],
            "minimum": self.least,
            "description": "a size: a number with b, k, m, g or t, such as 512m",
        }


class Mode(Type):
    """Permission bits: a number, or octal text."""

    what = "permission bits such as 0755"

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if run.is_template(node):
            return node
        if not isinstance(node, Scalar) or not isinstance(node.value, (str, int)) or isinstance(node.value, bool):
            return run.wrong(node, where, self.what)
        try:
            return Scalar(parse_mode(node.value), at=node)
        except ValueError:
            return run.wrong(node, where, self.what, code="O8-305")

    def schema(self) -> Schema:
        return {**patterns.text(patterns.MODE), "type": ["integer", "string"], "minimum": 0, "maximum": 0o7777}


class OctalMode(Mode):
    """Permission bits of a secret or config; canonical form is octal text, as compose prints it."""

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        found = super().read(node, where, run)
        if not isinstance(found, Scalar) or not isinstance(found.value, int):
            return found
        return Scalar(f"{found.value:#o}".replace("0o", "0", 1), at=node)


class Microseconds(Type):
    """A number of microseconds, or a duration; canonical form is the number."""

    what = "a number of microseconds, or a duration such as 950ms"

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if run.is_template(node):
            return node
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, str):
            try:
                value = parse_integer(value) if value.lstrip("-").isdigit() else parse_duration_ns(value) // 1000
            except ValueError:
                return run.wrong(node, where, self.what, code="O8-305")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return run.wrong(node, where, self.what)
        return Scalar(int(value), at=node)

    def schema(self) -> Schema:
        return {**patterns.text(f"-?[0-9]{{1,64}}|{patterns.DURATION}"), "type": ["number", "string"]}


class FlagOrText(Type):
    """A boolean, or a text with a meaning of its own; canonical form is text, as compose prints it."""

    def __init__(self, what: str) -> None:
        self.what = what

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if not isinstance(node, Scalar) or not isinstance(node.value, (str, bool)):
            return run.wrong(node, where, self.what)
        return node if isinstance(node.value, str) else Scalar(to_text(node.value), at=node)

    def schema(self) -> Schema:
        return {"type": ["string", "boolean"]}
