"""Lists in which the same may not stand twice. Where compose puts up with it (ports, volumes, dns, …), so does the loader:
there the kinds of lists keep one. These are the others, of which compose refuses the file.
"""

from __future__ import annotations

from orchestr8.stack.fixes import remove_item
from orchestr8.stack.nodes import Mapping, Node, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

    from orchestr8.stack.problems import Problems

_PATHS: Final = (
    "services.*.depends_on",
    "services.*.networks",
    "services.*.models",
    "services.*.volumes_from",
    "services.*.external_links",
    "services.*.extra_hosts",
    "services.*.security_opt",
    "services.*.group_add",
    "services.*.device_cgroup_rules",
    "services.*.gpus.[].device_ids",
    "services.*.gpus.[].capabilities",
    "services.*.deploy.resources.reservations.devices.[].capabilities",
    "services.*.deploy.resources.reservations.devices.[].device_ids",
    "services.*.develop.watch.[].ignore",
    "services.*.develop.watch.[].include",
    "services.*.develop.watch.[].exec.environment",
    "services.*.post_start.[].environment",
    "services.*.pre_stop.[].environment",
    "services.*.build.ssh",
    "services.*.volumes.[].volume.labels",
    "configs.*.labels",
    "networks.*.labels",
    "secrets.*.labels",
    "volumes.*.labels",
    "include.[].path",
    "include.[].env_file",
)


def _tree(paths: tuple[str, ...]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for path in paths:
        branch = root
        for step in path.split("."):
            branch = branch.setdefault(step, {})
    return root


TREE: Final = _tree(_PATHS)  # by steps: a key, `*` for each key, `[]` for each item; lists stand at its leaves


def tell_duplicates(root: Node, problems: Problems) -> None:
    """One error for each item that stands in its list before."""
    for where, items in _lists(root, TREE, ""):
        seen: dict[str, Node] = {}
        before: Node | None = None
        for index, item in enumerate(items.items):
            identity = repr(item.plain())
            if identity in seen:
                first = seen[identity]
                problems.error(
                    "O8-115", f"`{where}[{index}]` stands in the list before",
                    [item.span("again here"), first.span("first here", primary=False)],
                    helps=["remove one"], fix=remove_item(item, before, problems),
                )  # fmt: skip
            else:
                seen[identity] = item
            before = item


def _lists(node: Node, tree: dict[str, Any], where: str) -> Iterator[tuple[str, Sequence]]:
    if not tree:
        if isinstance(node, Sequence):
            yield where, node
        return
    if isinstance(node, Sequence) and "[]" in tree:
        for index, item in enumerate(node.items):
            yield from _lists(item, tree["[]"], f"{where}[{index}]")
    elif isinstance(node, Mapping):
        for key in node.items if "*" in tree else tree.keys() & node.items.keys():
            place = f"{where}.{key}" if where else key
            yield from _lists(node.items[key], tree.get("*") or tree[key], place)
