"""`build`: how a service's image is made."""

from __future__ import annotations

from orchestr8.stack import patterns
from orchestr8.stack.grants import BUILD_SECRETS
from orchestr8.stack.hosts import EXTRA_HOSTS
from orchestr8.stack.limits import ULIMITS
from orchestr8.stack.lists import ALL_TEXTS, LABELS, TEXT_OR_TEXTS, TEXTS, VARIABLES, Pairs, Short
from orchestr8.stack.nodes import Mapping, Node, Scalar, Sequence
from orchestr8.stack.records import Record, now
from orchestr8.stack.types import AsText, Flag, FlagOrText, Reading, Size, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final


class Ssh(Pairs):
    """`default`, or `ID=PATH` of an agent's socket or a key."""

    item_pattern = f"default|{patterns.WHOLE_PAIR}"

    def __init__(self) -> None:
        super().__init__(AsText(), bare="")

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        for index, item in enumerate(node.items if isinstance(node, Sequence) else ()):
            if isinstance(item, Scalar) and isinstance(item.value, str) and "=" not in item.value != "default":
                run.bad(
                    item, f"{where}[{index}]", f"invalid ssh key `{item.value}`", helps=["write default, or ID=PATH"]
                )
        return super().read(node, where, run)

    def document(self, node: Node) -> Any:
        pairs = node.plain()
        if not isinstance(node, Mapping):
            return pairs
        return [f"{key}={value}" if value else key for key, value in sorted(pairs.items())]


class Contexts(Pairs):
    """Names of further contexts, and where they are."""

    item_pattern = patterns.WHOLE_PAIR

    def __init__(self) -> None:
        super().__init__(Text("a path, a URL or service:NAME"))

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        for index, item in enumerate(node.items if isinstance(node, Sequence) else ()):
            if isinstance(item, Scalar) and isinstance(item.value, str) and "=" not in item.value:
                return run.bad(
                    item, f"{where}[{index}]", f"`{item.value}` says no context", helps=["write NAME=CONTEXT"]
                )
        return super().read(node, where, run)


class Build(Short):
    """A path is the context of a build that says nothing else."""

    def __init__(self) -> None:
        super().__init__("the path of a build context, or a mapping", Record("a build", {
            "context": now(Text("a path or a URL")),
            "dockerfile": now(Text("the path of a Dockerfile")),
            "dockerfile_inline": now(Text("the text of a Dockerfile")),
            "entitlements": now(ALL_TEXTS),
            "args": now(VARIABLES),
            "ssh": now(Ssh()),
            "labels": now(LABELS),
            "cache_from": now(ALL_TEXTS),
            "cache_to": now(ALL_TEXTS),
            "no_cache": now(Flag()),
            "no_cache_filter": now(TEXT_OR_TEXTS),
            "additional_contexts": now(Contexts()),
            "network": now(Text("host, none or the name of a network")),
            "provenance": now(FlagOrText("true, false or attributes")),
            "sbom": now(FlagOrText("true, false or attributes")),
            "pull": now(Flag()),
            "target": now(Text("the name of a stage")),
            "shm_size": now(Size(least=-1)),
            "extra_hosts": now(EXTRA_HOSTS),
            "isolation": now(Text()),
            "privileged": now(Flag()),
            "secrets": now(BUILD_SECRETS),
            "tags": now(TEXTS),
            "ulimits": now(ULIMITS),
            "platforms": now(ALL_TEXTS),
        }))  # fmt: skip

    def complete(self, node: Node, where: str, run: Reading) -> Node:
        found = super().complete(node, where, run)
        if not isinstance(found, Mapping) or ("context" in found.items and found.items["context"].plain()):
            return found
        result = Mapping(found.items, found.keys, at=found)
        result.set("context", Scalar(".", at=found))
        return result

    def expand(self, node: Scalar, where: str, run: Reading) -> Node | None:  # noqa: ARG002
        return Mapping({"context": node}, {"context": node}, at=node)


BUILD: Final = Build()
