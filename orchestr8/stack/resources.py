"""What may be `external`: things at the top of the file that the stack makes, or only finds."""

from __future__ import annotations

from orchestr8.stack import patterns
from orchestr8.stack.fixes import flatten_external
from orchestr8.stack.nodes import Mapping, Node, Scalar
from orchestr8.stack.records import Record, now
from orchestr8.stack.types import Flag, Reading, Schema, Text, Type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


class External(Type):
    """A boolean, or the deprecated {name: …}."""

    what = "true or false"

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if isinstance(node, Mapping):
            return _EXTERNAL_NAME.read(node, where, run)
        return Flag().read(node, where, run)

    def schema(self) -> Schema:
        return {"oneOf": [Flag().schema(), _EXTERNAL_NAME.schema()]}


class Resource(Record):
    """A network, volume, secret or config at the top of the file; of `external` ones only the name counts.

    `strict`: anything else is an error, as it is to compose for volumes; it is told otherwise.
    """

    strict = False

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        found = super().read(node, where, run)
        if not isinstance(found, Mapping) or "external" not in found.items:
            return found
        external = found.items["external"]
        if isinstance(external, Mapping):
            self._deprecated_name(found, external, where, run)
        if found.items["external"].plain() is True:
            for key in found.items:
                if key not in ("external", "name") and not key.startswith("x-"):
                    self._extra(found, key, where, run)
        return found

    def schema(self) -> Schema:
        if not self.strict:
            return super().schema()
        yes = {"anyOf": [{"const": True}, {"type": "object"}, {"type": "string", "pattern": f"^(?:{patterns.TRUE})$"}]}
        return {
            **super().schema(),
            "if": {"properties": {"external": yes}, "required": ["external"]},
            "then": {"propertyNames": {"pattern": "^(?:external|name)$|^x-"}},
        }

    def _extra(self, found: Mapping, key: str, where: str, run: Reading) -> None:
        spans = [found.keys[key].span(), found.keys["external"].span("external here", primary=False)]
        if self.strict:
            run.problems.error("O8-204", f"`{where}` is external, so `{key}` cannot be set here", spans)
        else:
            run.problems.warn("O8-111", f"`{where}` is external, so `{key}` has no effect here", spans)

    def _deprecated_name(self, found: Mapping, external: Mapping, where: str, run: Reading) -> None:
        name = external.items.get("name")
        if "name" in found.items and name is not None and found.items["name"].plain() != name.plain():
            run.problems.error(
                "O8-204", f"`{where}`: `name` and `external.name` conflict; only use `name`",
                [found.keys["name"].span(), external.span(primary=False)],
            )  # fmt: skip
        elif name is not None:
            fix = flatten_external(found.keys["external"], external, found, run.problems)
            found.set("name", name, external.keys["name"])
            run.problems.warn(
                "O8-109", f"`{where}.external.name` is deprecated", external,
                helps=["write `name:` and `external: true`"], fix=fix,
            )  # fmt: skip
        found.set("external", Scalar(True, at=external), found.keys["external"])


_EXTERNAL_NAME: Final = Record("an external", {"name": now(Text("a name", empty=False))})
EXTERNAL: Final = External()
