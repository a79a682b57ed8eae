"""`init`: a first stack file, from what lies in the folder, or a demo. Nothing is ever overwritten."""

from __future__ import annotations

import os

from orchestr8.cli.starters import demo_text, drafts, stack_text
from orchestr8.errors import Conflict, OperationFailed
from orchestr8.stack.project import DEFAULT_FILES, derived_name
from orchestr8.stack.schemafile import schema_path

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options


def run(context: Context, options: Options) -> int:
    folder = os.path.abspath(options.project_directory or ".")
    path = os.path.abspath(options.output) if options.output else os.path.join(folder, DEFAULT_FILES[0][0])
    if not options.output:
        _check_free(folder)
    name = derived_name(os.path.basename(folder)) or "app"
    # The package's own copy, by its whole path: editors then need no network, and check by the version that is
    # installed. A path beside the stack file would need a copy there, which the next release makes old.
    schema = f"file://{schema_path()}"
    services, remarks = ([], []) if options.demo else drafts(folder)
    text = demo_text(name, schema) if options.demo else stack_text(name, services, schema)
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Conflict(f"{path} is there already", helps=["name another one with -o FILE"]) from None
    except OSError as error:
        raise OperationFailed(f"cannot write {path}: {error.strerror}") from error
    said = [f"wrote {os.path.relpath(path)}"]
    if not options.demo and not services:
        said.append("nothing here says how it is run: fill in `command:`")
    said += [*(f"note: {remark}" for remark in remarks), "next: orchestr8 check, then orchestr8 up"]
    context.err.write("".join(f"{line}\n" for line in said))
    return 0


def _check_free(folder: str) -> None:
    for names in DEFAULT_FILES:
        for each in names:
            if os.path.lexists(os.path.join(folder, each)):
                raise Conflict(
                    f"this folder has a stack file already: {each}",
                    helps=["orchestr8 up runs it as it is", "write another one with -o FILE"],
                )
