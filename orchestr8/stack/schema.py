"""The JSON schema for editors, made from the table of rules. `python -m orchestr8.stack.schema` writes it."""

import json
import os
import sys
from typing import Any

from orchestr8.stack.duplicates import TREE
from orchestr8.stack.rules import STACK

PATH = os.path.join(os.path.dirname(__file__), "..", "..", "schema", "stack.schema.json")


def build_schema() -> dict[str, Any]:
    """What one stack file can be. It refers to nothing outside of itself: editors need no network."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "orchestr8 stack file",
        "description": "Also a Compose file: keys that orchestr8 does not support yet say so.",
        **_distinct(STACK.schema(), TREE),
    }


def _distinct(schema: dict[str, Any], tree: dict[str, Any]) -> dict[str, Any]:
    """A copy in which the lists at the tree's leaves have no item twice."""
    if "oneOf" in schema:
        return {**schema, "oneOf": [_distinct(each, tree) for each in schema["oneOf"]]}
    if not tree:
        return {**schema, "uniqueItems": True} if schema.get("type") == "array" else schema
    changed = dict(schema)
    for step, rest in tree.items():
        if step == "[]" and "items" in schema:
            changed["items"] = _distinct(schema["items"], rest)
        elif step == "*" and isinstance(schema.get("additionalProperties"), dict):
            changed["additionalProperties"] = _distinct(schema["additionalProperties"], rest)
        elif step == "*" and "patternProperties" in schema:
            named = schema["patternProperties"].items()
            changed["patternProperties"] = {name: _distinct(each, rest) for name, each in named}
        elif step in changed.get("properties", {}):
            changed["properties"] = {**changed["properties"], step: _distinct(changed["properties"][step], rest)}
    return changed


def schema_text() -> str:
    return json.dumps(build_schema(), indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the schema to the path given, or to its place in the repository."""
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.normpath(PATH)
    with open(path, "w", encoding="utf-8") as file:
        file.write(schema_text())
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
