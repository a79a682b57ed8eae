"""Limits that are small languages or records of their own: `ulimits`, `blkio_config`, `cgroup`; and who makes the container."""

from __future__ import annotations

from orchestr8.stack.lists import ListOf
from orchestr8.stack.nodes import Mapping, Node
from orchestr8.stack.records import Named, Record, now
from orchestr8.stack.types import Number, Reading, Schema, Size, Text, Type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from orchestr8.stack.support import SupportLook

_BOTH: Final = Record(
    "a limit", {"soft": now(Number(least=-1)), "hard": now(Number(least=-1))}, needed=("soft", "hard")
)
_ONE: Final = Number(least=-1)


class Ulimit(Type):
    """A number, or {soft, hard}. A later file's replaces it whole."""

    what = "a number, or {soft: ..., hard: ...}"
    empty_is_said = True

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if not isinstance(node, Mapping):
            return _ONE.read(node, where, run)
        return _BOTH.read(node, where, run)

    def complete(self, node: Node, where: str, run: Reading) -> Node:
        return _BOTH.complete(node, where, run)

    def document(self, node: Node) -> Any:
        return _BOTH.document(node) if isinstance(node, Mapping) else node.plain()

    def schema(self) -> Schema:
        return {"oneOf": [_ONE.schema(), _BOTH.schema()]}


class CgroupNamespace(Text):
    """Whether the container sees its own groups as the root, or the machine's."""

    def __init__(self) -> None:
        super().__init__("host or private", "host|private|service:.+", empty=False)

    def support(self, node: Node, where: str, look: SupportLook) -> None:
        if str(node.plain()).startswith("service:"):
            look.unsupported(node, f"`{where}: {node.plain()}`", "it would share a cgroup namespace with that service")


class Runtime(Text):
    """The program that makes the container. Which of those that do the same is all one; others keep it apart in other ways."""

    _ALIKE: Final = frozenset({"orchestr8", "runc", "crun", "youki", "io.containerd.runc.v2"})

    def __init__(self) -> None:
        super().__init__("the name of a runtime")

    def support(self, node: Node, where: str, look: SupportLook) -> None:
        name = str(node.plain() or "")
        if name and name not in self._ALIKE:
            reason = "it names another program to make the container; here that is orchestr8 itself, which does it as runc would"
            look.unsupported(node, f"`{where}: {name}`", reason)


ULIMITS: Final = Named("a mapping of limits", Ulimit(), "[a-z]+", "limits have names such as nofile and nproc")

_RATES: Final = ListOf(Record("a rate", {"path": now(Text("a device")), "rate": now(Size())}), "a list of rates")
_WEIGHTS: Final = ListOf(
    Record("a weight", {"path": now(Text("a device")), "weight": now(Number(least=0, most=1000))}), "a list of weights"
)
BLKIO: Final = Record("a blkio_config", {
    "device_read_bps": now(_RATES),
    "device_read_iops": now(_RATES),
    "device_write_bps": now(_RATES),
    "device_write_iops": now(_RATES),
    "weight": now(Number(least=0, most=1000)),
    "weight_device": now(_WEIGHTS),
})  # fmt: skip
