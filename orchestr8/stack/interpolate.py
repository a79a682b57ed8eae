"""Variables in values: `$V`, `${V}` and the operators `:-` `-` `:?` `?` `:+` `+`, nested and lazy.

`substitute` is the text grammar, shared with `.env` files. `interpolate` applies it to every value of a document, never
to a key, and says where a variable is missing. Where values come from is `environment`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from orchestr8.errors import InvalidInput, Span
from orchestr8.stack.nodes import Mapping, Node, Scalar, Sequence, cut
from orchestr8.stack.problems import MAX_TOLD, Problems
from orchestr8.stack.suggest import closest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_NAME: Final = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_BRACE: Final = re.compile("[{}]")
_OPERATOR: Final = re.compile(r":?[-?+]")
MAX_SEARCH: Final = 5000  # letters in which a variable is looked for, to show its place
MAX_BRACES: Final = 200  # in each other
MAX_DEPTH: Final = 50  # operands in each other
MAX_LENGTH: Final = 2**22  # of a text after replacing; no program takes a longer one
MAX_REASON: Final = 1000  # letters that are told of why a variable is required
MAX_TOTAL: Final = 2**26  # of all texts of one run

Lookup = Callable[[str], str | None]


class BadTemplate(ValueError):
    """Text that is not of the grammar, such as `${` or `${a b}`."""


class RequiredVariable(ValueError):
    """`${V:?message}` where V has no value."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        self.length = len(message)
        self.message = cut(message, MAX_REASON)
        super().__init__(f"required variable {name} is missing a value" + (f": {self.message}" if message else ""))


def substitute(text: str, lookup: Lookup, unset: Callable[[str], None], depth: int = 0) -> str:
    """`text` with its variables replaced; `unset` is told of each one that is used, has no value and no default.

    Raises BadTemplate and RequiredVariable.
    """
    if "$" not in text:
        return text
    if depth > MAX_DEPTH:
        raise BadTemplate(f"more than {MAX_DEPTH} operands stand in each other")
    done: list[str] = []
    position = length = 0
    while (dollar := text.find("$", position)) >= 0:
        done.append(text[position:dollar])
        following = text[dollar + 1 : dollar + 2]
        if following == "$":
            done.append("$")
            position = dollar + 2
        elif following == "{":
            end = closing_brace(text, dollar + 1)
            done.append(_braced(text[dollar + 2 : end], lookup, unset, depth))
            position = end + 1
        elif match := _NAME.match(text, dollar + 1):
            done.append(_value(match[0], lookup, unset))
            position = match.end()
        else:  # a dollar that starts nothing stays as it is
            done.append("$")
            position = dollar + 1
        length += len(done[-1])
        if length > MAX_LENGTH:
            raise BadTemplate(f"it becomes longer than {MAX_LENGTH >> 20} MiB")
    done.append(text[position:])
    return "".join(done)


def closing_brace(text: str, opening: int) -> int:
    """Where the brace that opens at `opening` is closed. Raises BadTemplate."""
    depth = 0
    for found in _BRACE.finditer(text, opening):
        depth += 1 if found[0] == "{" else -1
        if depth == 0:
            return found.start()
        if depth > MAX_BRACES:
            raise BadTemplate(f"more than {MAX_BRACES} braces stand in each other")
    raise BadTemplate(f"`{cut(text[opening - 1 :])}` has no closing brace")


def _braced(inside: str, lookup: Lookup, unset: Callable[[str], None], depth: int) -> str:
    name_match = _NAME.match(inside)
    if not name_match:
        raise BadTemplate(f"`${{{cut(inside)}}}` does not start with a variable's name")
    name = name_match[0]
    if name_match.end() == len(inside):
        return _value(name, lookup, unset)
    operator = _OPERATOR.match(inside, name_match.end())
    if not operator:
        raise BadTemplate(f"`${{{cut(inside)}}}` has no operator after `{cut(name)}`; known are :- - :? ? :+ +")
    operand = inside[operator.end() :]
    value = lookup(name)
    present = value is not None and (value != "" or len(operator[0]) == 1)
    if operator[0][-1] == "+":
        return substitute(operand, lookup, unset, depth + 1) if present else ""
    if present:
        assert value is not None
        return value
    if operator[0][-1] == "?":
        raise RequiredVariable(name, substitute(operand, lookup, unset, depth + 1))
    return substitute(operand, lookup, unset, depth + 1)


def _value(name: str, lookup: Lookup, unset: Callable[[str], None]) -> str:
    value = lookup(name)
    if value is None:
        unset(name)
        return ""
    return value


class Interpolation:
    """Values with one set of variables. In a run over all files, an unset variable is warned of once, at its first place.

    `before`: what was run with other variables, in whose stead this one stands for an included file.
    """

    def __init__(
        self, lookup: Lookup, names: Callable[[], Iterable[str]], looked_in: list[str], problems: Problems,
        before: Interpolation | None = None,
    ) -> None:  # fmt: skip
        self.lookup = lookup
        self.names = names  # every variable there is, for suggestions
        self.looked_in = looked_in  # e.g. ["shell", "./.env"]
        self.problems = problems
        self._warned: set[str] = before._warned if before else set()
        self._length: list[int] = before._length if before else [0]  # of all that was replaced

    def document(self, node: Node, where: str = "") -> Node:
        """`node` with every value interpolated."""
        if isinstance(node, Scalar):
            return self._scalar(node, where) if isinstance(node.value, str) and "$" in node.value else node
        if isinstance(node, Mapping):
            items = {key: self.document(value, f"{where}.{key}" if where else key) for key, value in node.items.items()}
            return Mapping(items, node.keys, at=node)
        assert isinstance(node, Sequence)
        return Sequence([self.document(item, f"{where}[{index}]") for index, item in enumerate(node.items)], at=node)

    def _scalar(self, node: Scalar, where: str) -> Scalar:
        try:
            self._check("")
            value = substitute(node.value, self.lookup, lambda name: self._unset(name, node))
            self._check(value)
        except InvalidInput as error:
            self.problems.error(error.code, error.message, self.place(node, ""))
            return _failed(node)
        except BadTemplate as error:
            self.problems.error(
                "O8-303", f"invalid interpolation in `{where}`", self.place(node, ""),
                notes=[str(error)], helps=["if a literal dollar was meant, double it: $$"],
            )  # fmt: skip
            return _failed(node)
        except RequiredVariable as error:
            self._length[0] += error.length
            reason = f": {error.message}" if error.message else ""
            self.problems.error(
                "O8-301", f"required variable `{error.name}` is missing a value{reason}",
                self.place(node, error.name, "needed here"), notes=self._notes(error.name),
                helps=[f"set it: echo '{error.name}=...' >> .env", f"or allow empty: ${{{error.name}:-}}"],
            )  # fmt: skip
            return _failed(node)
        return Scalar(value, quoted=node.quoted, template=node.value, at=node)

    def _check(self, value: str) -> None:
        self._length[0] += len(value)
        if self._length[0] > MAX_TOTAL:
            raise BadTemplate(f"all variables of the stack together become longer than {MAX_TOTAL >> 20} MiB")

    def _unset(self, name: str, node: Scalar) -> None:
        if name in self._warned or len(self.problems.warnings) > MAX_TOLD:
            return
        self._warned.add(name)
        self.problems.warn(
            "O8-302", f"variable `{name}` is not set; it is taken as blank", self.place(node, name),
            notes=self._notes(name),
            helps=[f"allow empty without a warning: ${{{name}:-}}",
                   f"if a literal dollar was meant, double it: $${name}"],
        )  # fmt: skip

    def _notes(self, name: str) -> list[str]:
        notes = [f"looked in: {', '.join(self.looked_in)}"]
        if near := closest(name, list(self.names())):
            notes.append(f"a close name exists: `{near}`")
        return notes

    def place(self, node: Scalar, name: str, label: str = "") -> Span:
        """The variable itself inside the scalar's text, or the whole scalar."""
        lines = self.problems.lines(node.file)
        pattern = re.compile(r"\$\{?" + re.escape(name) + r"(?![_a-zA-Z0-9])" if name else r"\$\{")
        for number in range(node.line, min(node.line + node.value.count("\n") + 2, len(lines)) + 1):
            first = node.column - 1 if number == node.line else 0
            text = lines[number - 1][: first + MAX_SEARCH]
            found = pattern.search(text, first)
            if not found:
                continue
            end = found.end()
            if found[0].startswith("${"):
                try:
                    end = closing_brace(text, found.start() + 1) + 1
                except BadTemplate:
                    end = len(text)
            return Span(node.file, number, found.start() + 1, end + 1, label=label, via=node.via)
        return node.span(label)


def _failed(node: Scalar) -> Scalar:
    found = Scalar("", quoted=False, template=node.value, at=node)
    found.failed = True
    return found
