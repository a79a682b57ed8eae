"""/stacks/{stack}/logs: what a stack's containers wrote, merged, as frames on a connection that is taken over."""

from orchestr8.api.router import Route
from orchestr8.api.routes.stacks import stack_name
from orchestr8.api.services import LogQuery, LogService
from orchestr8.api.values import number, whole_number
from orchestr8.model.ids import ServiceName
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
    until = request.first("until")
    return LogQuery(
        stack=stack_name(stack),
        services=tuple(ServiceName(each) for each in request.query.get("service", ()) if each),
        container=request.first("container"),
        index=whole_number(request, "index", 0) or None,
        follow=request.flag("follow"),
        until_exit=until == "exit",
        tail=None if request.first("tail", "all") == "all" else whole_number(request, "tail", 0),
        since=number(request, "since", None),
        until=None if until == "exit" else number(request, "until", None),
        timestamps=request.flag("timestamps"),
    )
