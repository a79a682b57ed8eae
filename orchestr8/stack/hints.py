"""How a value that stands in the wrong form is written in the right one: a `help` line each, or none."""

from orchestr8.stack.nodes import Mapping, Node, Scalar, cut


def as_list(node: Node) -> list[str]:
    """For one value where a list is expected."""
    return [f"write [{cut(node.text)}]"] if isinstance(node, Scalar) and node.text else []


def as_name(item: Node) -> list[str]:
    """For `- web: ...` in a list of names."""
    if isinstance(item, Mapping) and len(item.items) == 1:
        (key,) = item.items
        return [f"in a list, write `- {key}`; in a mapping, write `{key}: ...` without the dash"]
    return []


def as_pair(item: Node) -> list[str]:
    """For `- A: ...` in a list of KEY=VALUE."""
    if isinstance(item, Mapping) and len(item.items) == 1:
        (key,) = item.items
        return [f"in a list, write `- {key}=...`; in a mapping, write `{key}: ...` without the dash"]
    return []
