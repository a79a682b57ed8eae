"""The variables that a stack's files ask for, with their defaults: what `config --variables` lists."""

from __future__ import annotations

import re

from orchestr8.stack.interpolate import BadTemplate, closing_brace
from orchestr8.stack.nodes import Mapping, Node, Scalar, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_START: Final = re.compile(r"\$(?:\$|(?P<plain>[_a-zA-Z][_a-zA-Z0-9]*)|(?P<brace>\{))")
_BRACED: Final = re.compile(r"(?P<name>[_a-zA-Z][_a-zA-Z0-9]*)(?P<operator>:?[-?+])?(?P<operand>.*)", re.DOTALL)


class Variable:
    """What all uses of a variable come to: required if one of them says so; the first default counts."""

    __slots__ = ("alternate", "default", "name", "required")

    def __init__(self, name: str) -> None:
        self.name = name
        self.required = False
        self.default = ""  # of `${V:-default}`
        self.alternate = ""  # of `${V:+alternate}`


def variables_of(node: Node) -> list[Variable]:
    """All that stand in the values of `node`, by name; the files are loaded without interpolation."""
    found: dict[str, Variable] = {}
    _walk(node, found)
    return [found[name] for name in sorted(found)]


def _walk(node: Node, found: dict[str, Variable]) -> None:
    if isinstance(node, Mapping):
        for value in node.items.values():
            _walk(value, found)
    elif isinstance(node, Sequence):
        for item in node.items:
            _walk(item, found)
    elif isinstance(node, Scalar) and isinstance(node.value, str):
        _read(node.value, found)


def _read(text: str, found: dict[str, Variable]) -> None:
    position = 0
    while match := _START.search(text, position):
        position = match.end()
        if match["plain"]:
            found.setdefault(match["plain"], Variable(match["plain"]))
        elif match["brace"]:
            try:
                end = closing_brace(text, match.start("brace"))
            except BadTemplate:
                continue
            _braced(text[match.end() : end], found)
            position = end + 1


def _braced(inside: str, found: dict[str, Variable]) -> None:
    match = _BRACED.fullmatch(inside)
    if not match:
        return
    variable = found.setdefault(match["name"], Variable(match["name"]))
    operator, operand = (match["operator"] or "")[-1:], match["operand"]
    if operator == "?":
        variable.required = True
    elif operator == "-":
        variable.default = variable.default or operand
    elif operator == "+":
        variable.alternate = variable.alternate or operand
    _read(operand, found)
