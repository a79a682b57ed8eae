"""/containers/{id or name}: one container, as Docker's routes of the same names."""

from collections.abc import Mapping
from typing import Any

from orchestr8.api.router import Route
from orchestr8.api.services import ContainerService, ExecService
from orchestr8.api.values import json_body, json_line, json_response, member, number, texts, whole_number
from orchestr8.errors import InvalidInput, NotFound
from orchestr8.model.backend import ExecSpec
from orchestr8.model.observed import RunEnd
from orchestr8.model.specs import Pairs
from orchestr8.wire.frames import MULTIPLEXED, RAW
from orchestr8.wire.http import Answer, Hijacked, Request, Response, Send, Stream, Takeover

CONDITIONS = frozenset({"", "not-running", "next-exit", "removed"})
NO_CONTENT = Response(status=204)


def routes(containers: ContainerService, execs: ExecService) -> list[Route]:
    async def inspect(_: Request, reference: str) -> Answer:
        return json_response(await containers.inspect(reference))

    async def top(_: Request, reference: str) -> Answer:
        return json_response(await containers.top(reference))

    async def attach(request: Request, reference: str) -> Answer:
        found = await containers.find(reference)

        async def run(connection: Hijacked) -> None:
            await containers.attach(found, connection, stdin=request.flag("stdin"), guest=request.flag("guest"))

        return Takeover(run=run, content_type=RAW if found.has_terminal else MULTIPLEXED)

    async def start(_: Request, reference: str) -> Answer:
        lacks = await containers.start((await containers.find(reference)).container.name)
        return json_response({"Warnings": list(lacks)}) if lacks else NO_CONTENT

    async def wait(request: Request, reference: str) -> Answer:
        condition = request.first("condition")
        if condition not in CONDITIONS:
            raise InvalidInput(f"condition: {condition!r} is none of not-running, next-exit, removed")
        try:
            container = (await containers.find(reference)).container
        except NotFound:
            end = containers.departed(reference)
            if end is None:
                raise
            return json_response(_ended(end))

        run = number(request, "run", None)  # the Unix time at which it began
        if run is not None and run != container.started_at:
            return json_response(_ended(containers.past(container, run)))

        async def write(send: Send) -> None:
            # A client that has the head may start the run: its end will not be missed.
            end = await containers.wait(container, condition, lambda: send(b""), run)
            await send(json_line(_ended(end)))

        return Stream(write=write, content_type="application/json", endless=True)

    async def kill(request: Request, reference: str) -> Answer:
        await containers.kill((await containers.find(reference)).container.name, request.first("signal", "SIGKILL"))
        return NO_CONTENT

    async def pause(_: Request, reference: str) -> Answer:
        await containers.pause((await containers.find(reference)).container.name, paused=True)
        return NO_CONTENT

    async def unpause(_: Request, reference: str) -> Answer:
        await containers.pause((await containers.find(reference)).container.name, paused=False)
        return NO_CONTENT

    async def resize(request: Request, reference: str) -> Answer:
        container = (await containers.find(reference)).container
        await containers.resize(container.name, *terminal_size(request))
        return NO_CONTENT

    async def remove(request: Request, reference: str) -> Answer:
        await containers.remove((await containers.find(reference)).container, force=request.flag("force"))
        return NO_CONTENT

    async def create_exec(request: Request, reference: str) -> Answer:
        body = json_body(request)
        argv = texts(body, "Cmd")
        if not argv:
            raise InvalidInput("Cmd: no exec command specified")
        rows, columns = _console_size(body)
        spec = ExecSpec(
            argv=argv,
            environment=_environment(texts(body, "Env") or ()),
            user=member(body, "User", str, ""),
            working_dir=member(body, "WorkingDir", str, ""),
            tty=member(body, "Tty", bool, default=False),
            privileged=member(body, "Privileged", bool, default=False),
            stdin=member(body, "AttachStdin", bool, default=False),
            rows=rows,
            columns=columns,
        )
        container = (await containers.find(reference)).container
        return json_response({"Id": execs.create(container, spec)}, status=201)

    return [
        Route("GET", "/containers/{reference}/json", inspect),
        Route("GET", "/containers/{reference}/top", top),
        Route("POST", "/containers/{reference}/attach", attach),
        Route("POST", "/containers/{reference}/start", start),
        Route("POST", "/containers/{reference}/wait", wait),
        Route("POST", "/containers/{reference}/kill", kill),
        Route("POST", "/containers/{reference}/pause", pause),
        Route("POST", "/containers/{reference}/unpause", unpause),
        Route("POST", "/containers/{reference}/resize", resize),
        Route("DELETE", "/containers/{reference}", remove),
        Route("POST", "/containers/{reference}/exec", create_exec),
    ]


def _ended(end: RunEnd) -> dict[str, Any]:
    """Docker's, and why, where the code does not say it."""
    return {"StatusCode": end.exit_code, **({"Why": end.why} if end.why else {})}


def terminal_size(request: Request) -> tuple[int, int]:
    """(rows, columns) of `?h=24&w=80`."""
    rows, columns = whole_number(request, "h", 0), whole_number(request, "w", 0)
    if not (0 < rows < 65536 and 0 < columns < 65536):
        raise InvalidInput("h and w: a terminal has between 1 and 65535 rows and columns")
    return rows, columns


def _console_size(body: Mapping[str, Any]) -> tuple[int, int]:
    """(rows, columns) of Docker's `"ConsoleSize": [24, 80]`; zeros: not known."""
    size = member(body, "ConsoleSize", list, [0, 0])
    if len(size) != 2 or not all(isinstance(each, int) and 0 <= each < 65536 for each in size):
        raise InvalidInput(f"ConsoleSize: expected rows and columns, found {size!r:.60}")
    return size[0], size[1]


def _environment(pairs: tuple[str, ...]) -> Pairs:
    """Docker's ["KEY=value", …]; the last of a key counts."""
    found = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    return tuple(sorted(found.items()))
