"""`plan`: what `up` would do and why, without doing it. `--dry-run` of the other commands prints the same."""

from __future__ import annotations

import json

from orchestr8.cli.documents import check_recreate, sent_document, up_options
from orchestr8.cli.output import YELLOW

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Any, Final

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options

SOMETHING_TO_DO: Final = 3


def run(context: Context, options: Options) -> int:
    check_recreate(options)
    document = sent_document(context, options.services, options.scale, acting=True, complete=True)
    wanted = up_options(options, context.environ)
    if options.format == "json":
        plan = fetch_plan(context, document["name"], "up", document, wanted)
        context.out.write(json.dumps(plan, indent=2, ensure_ascii=False) + "\n")
    else:
        plan = show_plan(context, document["name"], "up", document, wanted)
    return SOMETHING_TO_DO if options.detailed_exitcode and plan["steps"] else 0


def fetch_plan(
    context: Context, stack: str, verb: str, document: dict[str, Any] | None, wanted: dict[str, Any]
) -> dict[str, Any]:  # fmt: skip
    body = {"verb": verb, "document": document, "options": wanted}
    plan: dict[str, Any] = context.client.request("POST", f"/stacks/{stack}/plan", body=body)
    return plan


def show_plan(
    context: Context, stack: str, verb: str, document: dict[str, Any] | None, wanted: dict[str, Any]
) -> dict[str, Any]:  # fmt: skip
    """Print the steps, each with its reason; that there are none is conversation, not an answer."""
    plan = fetch_plan(context, stack, verb, document, wanted)
    for warning in plan.get("warnings") or ():  # orphans that stay, say
        context.err.write(f"{context.err.paint('warning', YELLOW)}: {warning}\n")
    if plan["steps"]:
        context.out.write(plan["text"].rstrip("\n") + "\n")
    else:
        context.err.write(f"nothing to do: {stack} is as it should be\n")
    return plan
