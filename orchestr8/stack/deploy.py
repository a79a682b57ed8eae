"""`deploy`: replicas, limits and restarts of a service; the rest speaks to the scheduler of a cluster."""

from __future__ import annotations

from orchestr8.stack.devices import DEVICE_REQUESTS
from orchestr8.stack.lists import ALL_TEXTS, LABELS, ListOf
from orchestr8.stack.nodes import Node, Scalar
from orchestr8.stack.records import OrNull, Record, Rule, ignored, now
from orchestr8.stack.types import Choice, Duration, Number, Reading, Schema, Size, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_ONE_MACHINE: Final = "a cluster's scheduler chooses among machines by it; here there is one machine"
_ROLLING: Final = "a cluster replaces containers step by step by it; here `up` replaces those of a service together"


def _rollout() -> Record:
    return Record("an update", {
        "parallelism": now(Number(least=0), keep=True),
        "delay": now(Duration()),
        "failure_action": now(Text()),
        "monitor": now(Duration()),
        "max_failure_ratio": now(Number(fraction=True)),
        "order": now(Choice("start-first", "stop-first")),
    })  # fmt: skip


class MemoryText(Size):
    """A size that is text; a bare number has no unit, and compose refuses it here."""

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if isinstance(node, Scalar) and not isinstance(node.value, str) and node.value is not None:
            return run.wrong(node, where, self.what, helps=[f"give it a unit, as text: {node.text}m"])
        return super().read(node, where, run)

    def schema(self) -> Schema:
        return {**super().schema(), "type": "string"}


_LIMITS: Final[dict[str, Rule]] = {
    "cpus": now(Number(fraction=True, least=0)),
    "memory": now(MemoryText()),
    "pids": now(Number(least=-1)),
}
_RESERVED: Final = "a cluster's scheduler keeps it free for the service; here nothing is kept free"
_GENERIC: Final = Record("a resource", {
    "discrete_resource_spec": now(Record(
        "a resource", {"kind": now(Text(), keep=True), "value": now(Number(cut=True), keep=True)}, always={"kind": "", "value": 0},
    )),
})  # fmt: skip
RESOURCES: Final = Record("the resources", {
    "limits": now(Record("the limits", _LIMITS)),
    "reservations": now(Record("the reservations", {
        "cpus": ignored(Number(fraction=True, least=0), _RESERVED),
        "memory": now(MemoryText()),
        "generic_resources": ignored(ListOf(_GENERIC, "a list of resources"), _RESERVED),
        "devices": Rule(DEVICE_REQUESTS, "later", "it gives GPUs and their like to the container; there is no driver for them here"),
    })),
})  # fmt: skip

_ALWAYS: Final[dict[str, Any]] = {"resources": {}, "placement": {}}
DEPLOY: Final = OrNull("a deploy", {
    "endpoint_mode": ignored(Text(), "it says how a cluster balances connections; here names lead to all replicas"),
    "labels": ignored(LABELS, "a cluster puts them on the service; containers have those of `labels:`"),
    "mode": ignored(Text(), _ONE_MACHINE),
    "placement": ignored(Record("a placement", {
        "constraints": now(ALL_TEXTS),
        "preferences": now(ListOf(Record("a preference", {"spread": now(Text())}), "a list of preferences")),
        "max_replicas_per_node": now(Number(least=0)),
    }), _ONE_MACHINE),
    "replicas": now(Number(least=0), keep=True),
    "resources": now(RESOURCES),
    "restart_policy": ignored(Record("a restart_policy", {
        "condition": now(Text()),
        "delay": now(Duration()),
        "max_attempts": now(Number(least=0), keep=True),
        "window": now(Duration()),
    }), "`restart:` is in effect"),
    "rollback_config": ignored(_rollout(), _ROLLING),
    "update_config": ignored(_rollout(), _ROLLING),
}, null=True, always=_ALWAYS)  # fmt: skip
