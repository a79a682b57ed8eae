"""Programs around a service's own: `pre_start`, `post_start`, `pre_stop`, and what `develop.watch` does on changes."""

from __future__ import annotations

from orchestr8.stack.lists import TEXT_OR_TEXTS, VARIABLES, ListOf
from orchestr8.stack.nodes import Mapping, Node
from orchestr8.stack.records import OrNull, Record, now
from orchestr8.stack.services import Command
from orchestr8.stack.types import Choice, Flag, Reading, Schema, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_INSIDE: Final[dict[str, Any]] = {
    "user": now(Text("a user")),
    "privileged": now(Flag()),
    "working_dir": now(Text("a path in the container")),
    "environment": now(VARIABLES),
}
HOOK: Final = Record("a hook", {"command": now(Command(), keep=True), **_INSIDE}, required=("command",))
HOOKS: Final = ListOf(HOOK, "a list of hooks")
INIT_HOOKS: Final = ListOf(Record("a hook", {
    "command": now(Command()),
    "image": now(Text("an image")),
    "per_replica": now(Flag()),
    **_INSIDE,
}), "a list of hooks")  # fmt: skip

ACTIONS: Final = ("sync", "rebuild", "restart", "sync+restart", "sync+exec")


class Trigger(Record):
    """One entry of `watch`: what is copied must have somewhere to go."""

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        found = super().read(node, where, run)
        if not isinstance(found, Mapping):
            return found
        action, target = found.items.get("action"), found.items.get("target")
        kind = str(action.plain()) if action else ""
        if (
            action
            and kind.startswith("sync")
            and (target is None or target.plain() == "")
            and f"{where}.target" not in run.broken
        ):
            run.problems.error(
                "O8-105", f"`{where}` has no `target`, and `{kind}` copies files into the container", action,
                helps=["add `target:`, a path in the container"],
            )  # fmt: skip
        return found

    def schema(self) -> Schema:
        copies = {"properties": {"action": {"pattern": "^sync"}}, "required": ["action"]}
        somewhere = {"properties": {"target": {"minLength": 1}}, "required": ["target"]}
        return {**super().schema(), "if": copies, "then": somewhere}


DEVELOP: Final = OrNull("a develop", {
    "watch": now(ListOf(Trigger("a watch", {
        "path": now(Text("a path", empty=False)),
        "action": now(Choice(*ACTIONS)),
        "target": now(Text("a path in the container")),
        "ignore": now(TEXT_OR_TEXTS),
        "include": now(TEXT_OR_TEXTS),
        "exec": now(HOOK),
        "initial_sync": now(Flag()),
    }, required=("path", "action"), always={"exec": {"command": None}}), "a list of what to watch")),
}, null=True)  # fmt: skip
