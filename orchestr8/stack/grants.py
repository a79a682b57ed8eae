"""Secrets and configs: what they are at the top of the file, and how a service or a build is given one.

Owner and permission bits of a grant are kept for every source; compose applies them to some only.
"""

from __future__ import annotations

from orchestr8.stack.lists import LABELS, OPTIONS, ListOf, Short
from orchestr8.stack.nodes import Mapping, Node, Scalar
from orchestr8.stack.records import Record, later, now
from orchestr8.stack.resources import EXTERNAL, Resource
from orchestr8.stack.types import OctalMode, Reading, Schema, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from orchestr8.stack.support import SupportLook

SECRETS_FOLDER: Final = "/run/secrets/"
_NO_STORE: Final = "a cluster's store of secrets fills it in; there is none here"


class Source(Resource):
    """A secret or config at the top of the file: exactly one place that its content comes from."""

    def __init__(self, what: str, sources: tuple[str, ...], keys: dict[str, Any]) -> None:
        super().__init__(what, keys)
        self.sources = sources

    @staticmethod
    def _is_said(key: str, node: Node) -> bool:
        """A content may be empty; a name that is, as one of a variable that is not set, names nothing."""
        return node.plain() is not None and (key == "content" or node.plain() != "")

    def check(self, node: Node, where: str, run: Reading) -> None:
        """Tell when there is not one source. Not for those that a cluster keeps."""
        if not isinstance(node, Mapping) or where in run.broken:
            return
        given = [key for key in self.sources if key in node.items and self._is_said(key, node.items[key])]
        external = node.items.get("external")
        if external is not None and external.plain() is True:
            return  # what else stands there was told by Resource
        if len(given) > 1:
            run.problems.error(
                "O8-204", f"`{where}`: {' and '.join(given)} exclude each other",
                [node.keys[key].span(primary=key == given[0]) for key in given], helps=["keep one of them"],
            )  # fmt: skip
        elif not given and not any(place.startswith(f"{where}.") for place in run.broken):
            listed = " or ".join(f"`{key}:`" for key in self.sources)
            run.problems.error(
                "O8-105", f"`{where}` has no source of its content", next(iter(node.keys.values()), node),
                helps=[f"give it {listed}, or `external: true`"],
            )  # fmt: skip


CONFIG: Final = Source("a config", ("file", "environment", "content"), {
    "name": now(Text("a name", empty=False)),
    "content": now(Text()),
    "environment": now(Text("the name of a variable")),
    "file": now(Text("the path of a file")),
    "external": later(EXTERNAL, "it is kept by a cluster; here a config has `file:`, `environment:` or `content:`"),
    "labels": now(LABELS),
    "template_driver": later(Text(), _NO_STORE),
})  # fmt: skip

SECRET: Final = Source("a secret", ("file", "environment"), {
    "name": now(Text("a name", empty=False)),
    "environment": now(Text("the name of a variable")),
    "file": now(Text("the path of a file")),
    "external": later(EXTERNAL, "it is kept by a cluster; here a secret has `file:` or `environment:`"),
    "labels": now(LABELS),
    "driver": later(Text(), _NO_STORE),
    "driver_opts": later(OPTIONS, _NO_STORE),
    "template_driver": later(Text(), _NO_STORE),
})  # fmt: skip


class Grant(Short):
    """A name, or {source, target, uid, gid, mode}. `folder`: where one without a target goes, if the document says so."""

    def __init__(self, noun: str, folder: str = "") -> None:
        super().__init__(f"the name of a {noun}, or {{source: ..., target: ...}}", Record(f"a {noun}", {
            "source": now(Text(f"the name of a {noun}", empty=False)),
            "target": now(Text("a path in the container")),
            "uid": now(Text("the number of a user, as text")),
            "gid": now(Text("the number of a group, as text")),
            "mode": now(OctalMode()),
        }, required=("source",)))  # fmt: skip
        self.folder = folder

    def support(self, node: Node, where: str, look: SupportLook) -> None:
        """Owners are numbers: whose names would count, the machine's or the image's, nobody says."""
        for key in ("uid", "gid"):
            value = node.items.get(key) if isinstance(node, Mapping) else None
            text = str(value.plain()) if value else "0"
            if value and not (text.isascii() and text.isdigit() and int(text) < 2**32 - 1):
                look.impossible(value, f"`{where}.{key}`: `{text}` is not the number of a user or group")

    def short_schema(self) -> Schema:
        return {"type": "string", "minLength": 1}

    def expand(self, node: Scalar, where: str, run: Reading) -> Node | None:
        if not node.value:
            return run.wrong(node, where, self.what)
        return Mapping({"source": node}, {"source": node}, at=node)

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        found = super().read(node, where, run)
        if not isinstance(found, Mapping) or "source" not in found.items:
            return None
        if self.folder and "target" not in found.items:
            found.set("target", Scalar(self.folder + str(found.items["source"].plain()), at=node))
        return found


def _secret_target(grant: Any) -> Any:
    return grant.get("target") or grant["source"]


def _config_target(grant: Any) -> Any:
    return grant.get("target") or "/" + str(grant["source"])


SERVICE_SECRETS: Final = ListOf(Grant("secret", SECRETS_FOLDER), "a list of secrets", unique=_secret_target)
SERVICE_CONFIGS: Final = ListOf(Grant("config"), "a list of configs", unique=_config_target)
BUILD_SECRETS: Final = ListOf(Grant("secret"), "a list of secrets", unique=_secret_target)
