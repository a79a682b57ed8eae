"""`schema`: the JSON schema of stack files, for editors; or where it lies, for their settings."""

from __future__ import annotations

from orchestr8.stack.schemafile import schema_path
from orchestr8.stack.source import read_text

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options


def run(context: Context, options: Options) -> int:
    path = schema_path()
    context.out.write(f"{path}\n" if options.path else read_text(path, "O8-404", "the schema"))
    return 0
