"""/stacks: what there is, and the verbs that change it. Work is told as JSON lines, and goes on without its reader."""

import re
import time
from typing import Any, Final

from orchestr8.api.contents import split_contents
from orchestr8.api.router import Route
from orchestr8.api.services import OPTIONS, Order, StackService
from orchestr8.api.status import status_text
from orchestr8.api.values import decoded, json_body, json_response, member, texts
from orchestr8.errors import InvalidInput
from orchestr8.model.backend import Content
from orchestr8.model.codec import to_json
from orchestr8.model.ids import ContainerName, ServiceName, StackName
from orchestr8.plan.options import OneOff
from orchestr8.wire.http import Answer, Request, Stream

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")
VERBS_WITH_OPTIONS: Final = frozenset({"up", "down"})  # the others have theirs beside the document


def routes(stacks: StackService) -> list[Route]:
    async def list_stacks(_: Request) -> Answer:
        return json_response(await stacks.all())

    async def list_containers(request: Request, stack: str) -> Answer:
        found = await stacks.containers(
            stack_name(stack), services=tuple(request.query.get("service", ())), stopped=request.flag("all")
        )
        now = time.time()
        return json_response(
            [
                {**to_json(each.container), "status": status_text(each.container, now, restarting=each.restarting)}
                for each in found
            ]
        )

    async def plan(request: Request, stack: str) -> Answer:
        body = json_body(request)
        verb = member(body, "verb", str, "up")
        if verb not in OPTIONS:
            raise InvalidInput(f"verb: {verb!r} has no plan", helps=[f"one of {', '.join(sorted(OPTIONS))}"])
        return json_response(await stacks.plan(order(stack, verb, body, member(body, "options", dict, {}))))

    def work(verb: str) -> Route:
        async def begin(request: Request, stack: str) -> Answer:
            body = json_body(request)
            options = member(body, "options", dict, {}) if verb in VERBS_WITH_OPTIONS else body
            progress = await stacks.work(order(stack, verb, body, options))
            return Stream(write=progress.write_to)

        return Route("POST", f"/stacks/{{stack}}/{verb}", begin)

    async def run(request: Request, stack: str) -> Answer:
        progress = await stacks.work(run_order(stack, json_body(request)))
        return Stream(write=progress.write_to)

    return [
        Route("GET", "/stacks", list_stacks),
        Route("GET", "/stacks/{stack}/containers", list_containers),
        Route("POST", "/stacks/{stack}/plan", plan),
        *map(work, OPTIONS),
        Route("POST", "/stacks/{stack}/run", run),
    ]


def stack_name(text: str) -> StackName:
    if not NAME.fullmatch(text):
        raise InvalidInput(
            f"{text!r} is not a stack's name",
            helps=["it has lower-case letters, digits, - and _, and begins with a letter or a digit"],
        )
    return StackName(text)


def order(stack: str, verb: str, body: dict[str, Any], options: dict[str, Any]) -> Order:
    document, contents = document_of(body, stack)
    return Order(
        stack=stack_name(stack),
        verb=verb,
        document=document,
        contents=contents,
        options=decoded(OPTIONS[verb], options, "options"),
        since=member(body, "since", float, None),
    )


def run_order(stack: str, body: dict[str, Any]) -> Order:
    """A one-off. Docker's words for its settings; the name is the engine's to choose when none is given."""
    options = member(body, "options", dict, {})
    one_off = OneOff(
        name=ContainerName(member(options, "name", str, "")),
        command=texts(options, "command"),
        entrypoint=texts(options, "entrypoint"),
        environment=_pairs(options, "environment"),
        labels=_pairs(options, "labels"),
        user=member(options, "user", str, ""),
        working_dir=member(options, "working_dir", str, ""),
        tty=member(options, "tty", bool, default=False),
        stdin=member(options, "stdin", bool, default=False),
        no_deps=member(options, "no_deps", bool, default=False),
        service_ports=member(options, "service_ports", bool, default=False),
        use_aliases=member(options, "use_aliases", bool, default=False),
        remove_orphans=member(options, "remove_orphans", bool, default=False),
        rm=member(options, "rm", bool, default=False),
    )
    service = member(body, "service", str, "")
    if not service:
        raise InvalidInput("service: which one is to be run?")
    document, contents = document_of(body, stack)
    return Order(
        stack=stack_name(stack),
        verb="run",
        document=document,
        contents=contents,
        options=one_off,
        service=ServiceName(service),
    )


def document_of(body: dict[str, Any], stack: str) -> tuple[dict[str, Any] | None, dict[str, Content]]:
    """The body's canonical document, which must be of the stack that the path names, and what came with it."""
    document: dict[str, Any] | None = member(body, "document", dict, None)
    if document is None:
        return None, {}
    if document.get("name") != stack:
        raise InvalidInput(f"the document is of stack {document.get('name')!r}, not of {stack!r}")
    return split_contents(document)


def _pairs(options: dict[str, Any], name: str) -> tuple[tuple[str, str], ...]:
    found = member(options, name, dict, {})
    if not all(isinstance(each, str) for each in found.values()):
        raise InvalidInput(f"{name}: expected an object of strings")
    return tuple(sorted(found.items()))
