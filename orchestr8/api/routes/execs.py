"""/exec/{id}: a further program in a running container, as Docker's routes of the same names."""

from orchestr8.api.router import Route
from orchestr8.api.routes.containers import terminal_size
from orchestr8.api.services import ExecService
from orchestr8.api.values import json_body, json_line, json_response, member
from orchestr8.wire.frames import MULTIPLEXED, RAW
from orchestr8.wire.http import Answer, Hijacked, Request, Response, Send, Stream, Takeover


def routes(execs: ExecService) -> list[Route]:
    async def start(request: Request, exec_id: str) -> Answer:
        body = json_body(request)  # Docker's clients repeat Tty here; what was said when it was created counts
        spec = execs.spec(exec_id)
        if member(body, "Detach", bool, default=False):
            await execs.start_detached(exec_id)
            return Response(status=200)

        async def run(connection: Hijacked) -> None:
            await execs.start(exec_id, connection)

        return Takeover(run=run, content_type=RAW if spec.tty else MULTIPLEXED)

    async def resize(request: Request, exec_id: str) -> Answer:
        await execs.resize(exec_id, *terminal_size(request))
        return Response(status=204)

    async def inspect(request: Request, exec_id: str) -> Answer:
        execs.spec(exec_id)
        if not request.flag("wait"):
            return json_response(await execs.inspect(exec_id, wait=False))

        async def write(send: Send) -> None:
            await send(b"")
            await send(json_line(await execs.inspect(exec_id, wait=True)))

        return Stream(write=write, content_type="application/json", endless=True)

    return [
        Route("POST", "/exec/{exec_id}/start", start),
        Route("POST", "/exec/{exec_id}/resize", resize),
        Route("GET", "/exec/{exec_id}/json", inspect),
    ]
