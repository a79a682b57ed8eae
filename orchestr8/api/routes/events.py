"""/events: what happens to containers, as JSON lines for as long as somebody reads."""

from orchestr8.api.router import Route
from orchestr8.api.routes.stacks import stack_name
from orchestr8.api.services import EventService
from orchestr8.wire.http import Answer, Request, Send, Stream


def routes(events: EventService) -> list[Route]:
    async def follow(request: Request) -> Answer:
        stack = stack_name(request.first("stack")) if request.first("stack") else None

        async def write(send: Send) -> None:
            await events.write(stack, send)

        return Stream(write=write, endless=True)

    return [Route("GET", "/events", follow)]
