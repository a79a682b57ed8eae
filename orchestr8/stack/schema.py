"""The JSON schema for editors, made from the table of rules. `python -m orchestr8.stack.schema` writes it."""

import json
import os
import sys

from orchestr8.stack.rules import STACK
from orchestr8.stack.types import Schema

PATH = os.path.join(os.path.dirname(__file__), "..", "..", "schema", "stack.schema.json")


def build_schema() -> Schema:
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "orchestr8 stack file",
        "description": "Also a Compose file: keys that orchestr8 does not support yet say so.",
        **STACK.schema(),
    }


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
