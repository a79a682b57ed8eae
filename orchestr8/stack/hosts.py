"""`extra_hosts`: names and their addresses, as mapping or list. Canonical form: a mapping of lists."""

from __future__ import annotations

from orchestr8.stack import patterns
from orchestr8.stack.nodes import Mapping, Node, Scalar, Sequence
from orchestr8.stack.records import merge_mappings
from orchestr8.stack.types import Reading, Schema, Type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class BadHost(ValueError):
    """Not of the grammar; the text says what is wrong."""


def parse_host(text: str) -> tuple[str, list[str]]:
    """`NAME=ADDRESS[,ADDRESS…]` or `NAME:ADDRESS`; an address may stand in brackets. Raises BadHost."""
    cut = text.find("=")
    if cut < 0:
        cut = text.find(":")
    if cut < 0:
        raise BadHost(f"missing an address: {text}")
    name = text[:cut]
    if not name:
        raise BadHost(f"bad host name: {text}")
    return name, [bare(each) for each in text[cut + 1 :].split(",")]


def bare(address: str) -> str:
    """An address without the brackets that may stand around it."""
    return address[1:-1] if address.startswith("[") and address.endswith("]") else address


class ExtraHosts(Type):
    what = "a mapping of names to addresses, or a list of NAME=ADDRESS"

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        result = Mapping(at=node)
        if isinstance(node, Mapping):
            for name, value in node.items.items():
                listed = value.items if isinstance(value, Sequence) else [value]
                self._add(result, name, listed, node.keys[name], f"{where}.{name}", run)
            return result
        if not isinstance(node, Sequence):
            return run.wrong(node, where, self.what)
        for index, item in enumerate(node.items):
            if not isinstance(item, Scalar) or not isinstance(item.value, str):
                run.wrong(item, f"{where}[{index}]", "text of the form NAME=ADDRESS")
                continue
            if run.is_template(item) and "=" not in item.value and ":" not in item.value:
                continue
            try:
                name, addresses = parse_host(item.value)
            except BadHost as error:
                run.bad(item, f"{where}[{index}]", str(error), helps=["write NAME=ADDRESS, or NAME=host-gateway"])
                continue
            self._add(result, name, [Scalar(each, at=item) for each in addresses], item, where, run)
        return result

    def _add(self, result: Mapping, name: str, addresses: list[Node], key: Node, where: str, run: Reading) -> None:
        found: list[Node] = []
        for each in addresses:
            if not isinstance(each, Scalar) or not isinstance(each.value, str):
                run.wrong(each, where, "an address, or a list of addresses")
            else:
                found.append(Scalar(bare(each.value), at=each))
        before = result.items.get(name)
        if isinstance(before, Sequence):
            found = before.items + found
        result.set(name, Sequence(found, at=key), result.keys.get(name, key))

    def merge(self, base: Node, over: Node) -> Node:
        return merge_mappings(base, over, lambda _: _ADDRESSES)

    def document(self, node: Node) -> Any:
        """`NAME=ADDRESS`, as compose prints them."""
        if not isinstance(node, Mapping):
            return node.plain()
        return [f"{name}={address}" for name in sorted(node.items) for address in node.items[name].plain()]

    def schema(self) -> Schema:
        addresses = {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
        return {
            "oneOf": [
                {"type": "object", "additionalProperties": addresses},
                {"type": "array", "items": patterns.text(patterns.HOST)},
            ]
        }


class _Addresses(Type):
    """Addresses of one name from several files: all of them, each once."""

    def merge(self, base: Node, over: Node) -> Node:
        if not isinstance(base, Sequence) or not isinstance(over, Sequence):
            return over
        known = {item.plain() for item in base.items}
        return Sequence(base.items + [item for item in over.items if item.plain() not in known], at=over)


_ADDRESSES = _Addresses()
EXTRA_HOSTS = ExtraHosts()
