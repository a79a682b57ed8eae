"""The last look at a stack that is right: what of it this engine does not act on.

Loading knows the whole format; that a key is understood and that the engine can do it are two things. Each row of the
rules says which of its keys are which. A verb that acts refuses what changes isolation or what runs (O8-110); every verb
warns of the rest (O8-111), once for a key however many services have it. `config` and `check` only tell.
"""

from __future__ import annotations

import re

from orchestr8.stack.nodes import Node
from orchestr8.stack.problems import Problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestr8.stack.records import Rule


class SupportLook:
    """Collects what the engine does not act on, and tells it at the end."""

    def __init__(self, problems: Problems, *, acting: bool) -> None:
        self.problems = problems
        self.acting = acting
        self._ignored: dict[tuple[str, str], list[Node]] = {}  # key's place with names as *, and why -> where

    def key(self, rule: Rule, key: Node, place: str) -> None:
        """A key of a rule that is not in effect."""
        if rule.status == "later":
            self.unsupported(key, f"`{place}`", rule.reason)
        else:
            self.no_effect(key, place, rule.reason)

    def unsupported(self, node: Node, what: str, reason: str) -> None:
        """`what` is of the format, and leaving it out would run something else than was asked for."""
        if self.acting:
            self.problems.error("O8-110", f"{what} is not supported yet", node, notes=[reason])
        else:
            self.problems.warn(
                "O8-110", f"{what} is not supported yet; `orchestr8 up` will refuse it", node, notes=[reason]
            )  # fmt: skip

    def impossible(self, node: Node, message: str, *helps: str) -> None:
        """A value that the format allows, and that cannot be made here by anybody."""
        tell = self.problems.error if self.acting else self.problems.warn
        tell("O8-305", message, node, helps=helps)

    def no_effect(self, key: Node, place: str, reason: str) -> None:
        """A key that changes neither isolation nor what runs."""
        self._ignored.setdefault((_pattern(place), reason), []).append(key)

    def tell(self) -> None:
        """Warn of each key without effect, at its first place."""
        for (shown, reason), keys in self._ignored.items():
            first = keys[0]
            places = sorted({(key.file, key.line) for key in keys} - {(first.file, first.line)})
            notes = [reason]
            if places:
                others = ", ".join(f"{file}:{line}" for file, line in places[:5])
                notes.append(f"also at {others}{', ...' if len(places) > 5 else ''}")
            key = shown.rpartition(".")[2]
            self.problems.warn("O8-111", f"`{key}` has no effect (`{shown}`)", first, notes=notes)


_SECTIONS = frozenset(("services", "networks", "volumes", "configs", "secrets", "models"))


def _pattern(place: str) -> str:
    """`services.web.logging` → `services.*.logging`, so that a key used everywhere is told once."""
    parts = re.sub(r"\[\d+\]", "[]", place).split(".")
    if len(parts) > 2 and parts[0] in _SECTIONS:
        parts[1] = "*"
    return ".".join(parts)
