"""`down`: stop and remove the stack's containers and networks; with -v its volumes.

With a stack file, containers of services that it does not have are orphans and stay unless asked for. Without one, or
with one that is broken, the name given by -p alone says which stack, and everything of it goes.
"""

from __future__ import annotations

from orchestr8.cli.documents import remove_orphans, sent_document
from orchestr8.cli.work import do_work
from orchestr8.errors import InvalidStack

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Any

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options


def run(context: Context, options: Options) -> int:
    document = _document(context)
    stack = document["name"] if document else context.stack
    wanted = {
        "volumes": options.volumes,
        "timeout_s": options.timeout,
        "remove_orphans": remove_orphans(options, context.environ),
        "services": None,
    }
    if options.dry_run:
        from orchestr8.cli.commands.plan import show_plan

        show_plan(context, stack, "down", document, wanted)
    else:
        body = {"document": document, "options": wanted}
        nothing = f"there was nothing of a stack called {stack}"  # perhaps the name is another one
        do_work(context, f"down {stack}", f"/stacks/{stack}/down", body, resumable=True, when_idle=nothing)
    return 0


def _document(context: Context) -> dict[str, Any] | None:
    if context.named and not context.project.files:
        return None  # without a name, that there is no file is an error
    try:
        return sent_document(context)
    except InvalidStack as error:
        if not context.options.project_name:
            raise
        context.warn(error.diagnostics, error.sources)
        context.err.write(f"warning: this file is not used: everything of {context.stack} goes\n")
        return None
