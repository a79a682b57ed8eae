"""/stacks/{stack}/logs: what a stack's containers wrote, merged, as frames on a connection that is taken over."""

from orchestr8.api.router import Route
from orchestr8.api.routes.stacks import stack_name
from orchestr8.api.services import LogPlace, LogQuery, LogService
from orchestr8.api.values import number, whole_number
from orchestr8.errors import InvalidInput
from orchestr8.model.ids import ContainerId, ServiceName
from orchestr8.wire.http import Answer, Hijacked, Request, Takeover


def routes(logs: LogService) -> list[Route]:
    async def stack_logs(request: Request, stack: str) -> Answer:
        query = log_query(request, stack)
        await logs.check(query)

        async def run(connection: Hijacked) -> None:
            await logs.write(query, connection.send)

        return Takeover(run=run, one_way=True)

    return [Route("GET", "/stacks/{stack}/logs", stack_logs)]


def log_query(request: Request, stack: str) -> LogQuery:
    ends = request.query.get("until", ())  # a time, `exit`, or, in this order, both: whichever comes first
    return LogQuery(
        stack=stack_name(stack),
        services=tuple(ServiceName(each) for each in request.query.get("service", ()) if each),
        container=request.first("container"),
        index=whole_number(request, "index", 0) or None,
        follow=request.flag("follow"),
        until_exit="exit" in ends,
        tail=None if request.first("tail", "all") == "all" else whole_number(request, "tail", 0),
        since=number(request, "since", None),
        ends_since=number(request, "ends_since", None),
        until=None if ends[:1] == ["exit"] else number(request, "until", None),
        timestamps=request.flag("timestamps"),
        places=tuple(map(_place, request.query.get("place", ()))),
        ended=frozenset(request.query.get("ended", ())),
        tell_places=request.flag("places"),
    )


def _place(text: str) -> LogPlace:
    """`ID HEAD OFFSET SKIP [RECORDS LINES]`, as it was announced."""
    words = text.split(" ")
    numbers = words[2:]
    if len(numbers) not in (2, 4) or not all(
        each.isascii() and each.isdecimal() and len(each) < 20 for each in numbers
    ):
        raise InvalidInput(f"{text!r} is not a place in a log")
    return LogPlace(ContainerId(words[0]), words[1], *map(int, numbers))
