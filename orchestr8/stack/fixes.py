"""Edits that mend a finding without a doubt, proposed where it is found. `mend` applies them; no file is opened here.

Each looks at the text itself, and proposes nothing (None) when that does not look as expected: an alias, a value over
several lines, a comment in the way.
"""

from __future__ import annotations

import re

from orchestr8.errors import Edit, Fix
from orchestr8.stack.nodes import Mapping, Node, Scalar, cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestr8.stack.problems import Problems


def rename_key(key: Node, new: str, problems: Problems) -> Fix | None:
    """Another word for a key, in the quotes that it has."""
    written = _written(key, problems)
    if not isinstance(key, Scalar) or written.strip("\"'") != key.text:
        return None
    quote = written[0] if written[0] in "\"'" else ""
    if written != f"{quote}{key.text}{quote}":
        return None
    return Fix(f"write `{new}`", [_replace(key, f"{quote}{new}{quote}")])


def quote(node: Node, problems: Problems) -> Fix | None:
    """A plain value in quotes: the text that stands there, whatever a reader of YAML makes of it."""
    if not isinstance(node, Scalar) or node.quoted or not node.text or _written(node, problems) != node.text:
        return None
    if '"' in node.text or "\\" in node.text:
        return None
    return Fix(f'quote it: "{cut(node.text)}"', [_replace(node, f'"{node.text}"')])


def remove_line(key: Node, value: Node, problems: Problems) -> Fix | None:
    """A key at the top of a block mapping with its value, all on one line; a comment behind them stays."""
    lines = problems.lines(key.file)
    if key.line > len(lines) or not isinstance(value, Scalar) or value.line != key.line or _multiline(value):
        return None
    line = lines[key.line - 1]
    if line[: key.column - 1].strip():
        return None
    rest = line[value.end_column - 1 :]
    if rest.strip() and not re.match(r"\s+#", rest):
        return None
    if rest.strip():
        edit = Edit(key.file, key.line, key.column, key.line, value.end_column + len(rest) - len(rest.lstrip()), "")
    elif key.line < len(lines):
        edit = Edit(key.file, key.line, 1, key.line + 1, 1, "")
    else:
        edit = Edit(key.file, key.line, 1, key.line, len(line) + 1, "")
    return Fix(f"remove `{line.strip()[: len(line.strip()) - len(rest.strip())].rstrip()}`", [edit])


def flatten_external(key: Node, external: Mapping, siblings: Mapping, problems: Problems) -> Fix | None:
    """`external:` with a `name:` on the line below it becomes `external: true` beside `name:`."""
    name_key = external.keys.get("name")
    if "name" in siblings.items or set(external.items) != {"name"} or name_key is None or name_key.line != key.line + 1:
        return None
    lines = problems.lines(key.file)
    if name_key.line > len(lines):
        return None
    head, below = lines[key.line - 1], lines[name_key.line - 1]
    found = re.fullmatch(r"(\s*)external:(\s*(?:#.*)?)", head)
    if not found or below[: name_key.column - 1].strip() or len(found[1]) != key.column - 1:
        return None
    edits = [
        Edit(key.file, key.line, key.end_column + 1, key.line, key.end_column + 1, " true"),
        Edit(key.file, name_key.line, 1, name_key.line, name_key.column, found[1]),
    ]
    return Fix("write `name:` and `external: true`", edits)


def remove_item(item: Node, before: Node | None, problems: Problems) -> Fix | None:
    """An item of a block list that holds one line alone, or one of a flow list behind another on its line."""
    lines = problems.lines(item.file)
    if not isinstance(item, Scalar) or not 0 < item.line <= len(lines) or _multiline(item):
        return None
    line = lines[item.line - 1]
    if not _stands_alone(item, line):
        return None
    if before and before.line == item.line and re.fullmatch(r",\s*", line[before.end_column - 1 : item.column - 1]):
        edit = Edit(item.file, item.line, before.end_column, item.line, item.end_column, "")
        return Fix(f"remove the second `{item.text}`", [edit])
    if not re.fullmatch(r"\s*-\s+", line[: item.column - 1]) or line[item.end_column - 1 :].strip():
        return None
    if item.line == len(lines):
        return None
    return Fix(f"remove `{line.strip()}`", [Edit(item.file, item.line, 1, item.line + 1, 1, "")])


def _stands_alone(item: Scalar, line: str) -> bool:
    """The node's place holds its text and nothing else: no anchor, no tag, no alias."""
    return line[item.column - 1 : item.end_column - 1].strip("\"'") == item.text


def untab(file: str, lines: list[str]) -> Fix | None:
    """Tabs at the beginning of lines as spaces, a tab as wide as the file's own steps. None where both are mixed."""
    indents = [line[: len(line) - len(line.lstrip(" \t"))] for line in lines]
    edits = []
    step = min((len(each) for each, line in zip(indents, lines, strict=True) if set(each) == {" "} and line.strip()),
               default=2)  # fmt: skip
    for number, (indent, line) in enumerate(zip(indents, lines, strict=True), 1):
        if "\t" not in indent or not line.strip():
            continue
        if set(indent) != {"\t"}:
            return None
        edits.append(Edit(file, number, 1, number, len(indent) + 1, " " * (step * len(indent))))
    return Fix(f"indent with {step} spaces instead of a tab", edits) if edits else None


def _replace(node: Node, text: str) -> Edit:
    return Edit(node.file, node.line, node.column, node.line, node.end_column, text)


def _written(node: Node, problems: Problems) -> str:
    """What stands in the file where the node is; "" for what is over several lines, or not there."""
    lines = problems.lines(node.file)
    if not 0 < node.line <= len(lines):
        return ""
    return lines[node.line - 1][node.column - 1 : node.end_column - 1]


def _multiline(node: Scalar) -> bool:
    return "\n" in node.text
