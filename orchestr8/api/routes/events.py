"""/events: what happens to containers, as JSON lines for as long as somebody reads."""

from orchestr8.api.router import Route
from orchestr8.api.routes.stacks import stack_name
from orchestr8.api.services import EventService
from orchestr8.api.values import number
from orchestr8.wire.http import Answer, Request, Send, Stream


def routes(events: EventService) -> list[Route]:
    async def follow(request: Request) -> Answer:
        stack = stack_name(request.first("stack")) if request.first("stack") else None
        since, until = number(request, "since", None), number(request, "until", None)

        async def write(send: Send) -> None:
            await events.write(stack, send, since=since, until=until)

        return Stream(write=write, endless=True)

    return [Route("GET", "/events", follow)]
