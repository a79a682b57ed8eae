"""Devices: `devices` of a service, and requests for some by what they can do (`gpus`, `reservations.devices`)."""

from __future__ import annotations

import re

from orchestr8.stack import patterns
from orchestr8.stack.lists import NAMES, ListOf, Pairs, Short
from orchestr8.stack.nodes import Mapping, Node, Scalar, Sequence
from orchestr8.stack.records import Record, now
from orchestr8.stack.types import AsText, Reading, Schema, Text, Type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_COUNT: Final = re.compile(r"-?[0-9]{1,18}")


class Device(Short):
    """`HOST[:CONTAINER[:rwm]]`, the name of a CDI device, or the long form."""

    def __init__(self) -> None:
        super().__init__('a device such as "/dev/fuse", or {source: ..., target: ...}', Record("a device", {
            "source": now(Text("a device of the host", empty=False)),
            "target": now(Text("a device in the container")),
            "permissions": now(Text("letters of rwm")),
        }, required=("source", "target")))  # fmt: skip

    def short_schema(self) -> Schema:
        return patterns.text(patterns.DEVICE)

    def expand(self, node: Scalar, where: str, run: Reading) -> Node | None:
        parts = str(node.value).split(":")
        if len(parts) > 3 or not all(parts):
            return run.bad(node, where, "a device is HOST, HOST:CONTAINER or HOST:CONTAINER:PERMISSIONS")
        source, target, permissions = (*parts, *(parts[:1] if len(parts) == 1 else ()), "rwm")[:3]
        result = Mapping(at=node)
        for key, value in (("source", source), ("target", target), ("permissions", permissions)):
            result.set(key, Scalar(value, at=node))
        return result


def _target(device: Any) -> Any:
    return device.get("target") or device.get("source")


DEVICES: Final = ListOf(Device(), "a list of devices", unique=_target)


class Count(Type):
    """How many devices; `all` is -1."""

    what = "all, or a number"

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if run.is_template(node):
            return node
        value = node.value if isinstance(node, Scalar) else None
        if value == "all":
            return Scalar(-1, at=node)
        if isinstance(value, str) and _COUNT.fullmatch(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            return run.wrong(node, where, self.what, code="O8-305")
        return Scalar(value, at=node)

    def schema(self) -> Schema:
        return {**patterns.text("all|-?[0-9]{1,18}"), "type": ["integer", "string"]}


class Request(Record):
    """{capabilities, driver, count | device_ids, options}; neither count nor ids means all."""

    def __init__(self, *, required: tuple[str, ...] = ()) -> None:
        super().__init__("a device request", {
            "capabilities": now(NAMES),
            "count": now(Count()),
            "device_ids": now(NAMES),
            "driver": now(Text("a driver")),
            "options": now(Pairs(AsText(), bare="")),
        }, required=required)  # fmt: skip

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        found = super().read(node, where, run)
        if not isinstance(found, Mapping):
            return found
        if "count" not in found.items and "device_ids" not in found.items:
            found.set("count", Scalar(-1, at=node))
        elif "count" in found.items and "device_ids" in found.items:
            return run.bad(
                found.keys["count"], where, "`count` and `device_ids` exclude each other", code="O8-204",
                helps=["keep one of them"],
            )  # fmt: skip
        return found

    def schema(self) -> Schema:
        return {**super().schema(), "not": {"required": ["count", "device_ids"]}}


class Gpus(ListOf):
    """`all`, or a list of requests."""

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if not isinstance(node, Scalar) or run.is_template(node):
            return super().read(node, where, run)
        if node.value != "all":
            return run.wrong(node, where, self.what)
        count = Scalar(-1, at=node)
        return Sequence([Mapping({"count": count}, {"count": count}, at=node)], at=node)

    def schema(self) -> Schema:
        return {"oneOf": [patterns.text("all"), super().schema()]}


GPUS: Final = Gpus(Request(), "all, or a list of device requests")
DEVICE_REQUESTS: Final = ListOf(Request(required=("capabilities",)), "a list of device requests")
