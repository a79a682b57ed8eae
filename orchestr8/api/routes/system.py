"""/_ping, /version, /engine: who answers here, and the end of it."""

import platform
import sys

from orchestr8 import __version__
from orchestr8.api.router import Route
from orchestr8.api.services import EngineService
from orchestr8.api.values import json_body, json_response, member, whole_number
from orchestr8.api.version import API_VERSION, MIN_API_VERSION
from orchestr8.wire.http import Answer, Request, Response, Send, Stream


def routes(engine: EngineService) -> list[Route]:
    async def ping(_: Request) -> Answer:
        headers = {"Api-Version": API_VERSION, "Cache-Control": "no-cache, no-store, must-revalidate"}
        return Response(body=b"OK", content_type="text/plain; charset=utf-8", headers=headers)

    async def version(_: Request) -> Answer:
        system = platform.uname()
        return json_response(
            {
                "Version": __version__,
                "ApiVersion": API_VERSION,
                "MinAPIVersion": MIN_API_VERSION,
                "Os": system.system.lower(),
                "Arch": system.machine,
                "KernelVersion": system.release,
                "PythonVersion": ".".join(map(str, sys.version_info[:3])),
            }
        )

    async def info(_: Request) -> Answer:
        return json_response(await engine.info())

    async def stop(request: Request) -> Answer:
        engine.stop(containers=member(json_body(request), "containers", bool, default=False))
        return json_response({}, status=202)

    async def logs(request: Request) -> Answer:
        tail = None if request.first("tail", "all") == "all" else whole_number(request, "tail", 0)

        async def write(send: Send) -> None:
            await engine.write_log(send, tail=tail, follow=request.flag("follow"))

        return Stream(write=write, content_type="text/plain; charset=utf-8", endless=request.flag("follow"))

    return [
        Route("GET", "/_ping", ping),
        Route("GET", "/version", version),
        Route("GET", "/engine", info),
        Route("POST", "/engine/stop", stop),
        Route("GET", "/engine/logs", logs),
    ]
