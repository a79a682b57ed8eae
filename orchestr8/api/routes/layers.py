"""/containers/{id or name}: what is in a container's file system, as Docker's routes of the same names."""

import json
from collections.abc import Sequence
from typing import Final

from orchestr8.api.errors import error_response
from orchestr8.api.router import Route
from orchestr8.api.services import ContainerService, LayerService
from orchestr8.api.values import json_response
from orchestr8.image.reference import parse_new_name
from orchestr8.model.changes import ChangeKind, FileChange
from orchestr8.model.images import CommitSpec
from orchestr8.wire.frames import MULTIPLEXED
from orchestr8.wire.http import Answer, Hijacked, Request, Send, Stream, Takeover

_NUMBERS: Final = {ChangeKind.CHANGED: 0, ChangeKind.ADDED: 1, ChangeKind.DELETED: 2}  # Docker's


def routes(containers: ContainerService, layers: LayerService) -> list[Route]:
    async def changes(_: Request, reference: str) -> Answer:
        name = (await containers.find(reference)).container.name

        async def write(send: Send) -> None:
            """A list, sent as it is found: it may be long."""
            mark = "["

            async def tell(found: Sequence[FileChange]) -> None:
                nonlocal mark
                text = ""
                for change in found:
                    text += mark + json.dumps({"Path": change.path, "Kind": _NUMBERS[change.kind]})
                    mark = ",\n"
                await send(text.encode())

            await layers.changes(name, tell)
            await send(b"[]\n" if mark == "[" else b"]\n")

        return Stream(write=write, content_type="application/json", refuse=error_response)

    async def export(request: Request, reference: str) -> Answer:
        name = (await containers.find(reference)).container.name
        if request.wants_upgrade:

            async def run(connection: Hijacked) -> None:
                await layers.export_framed(name, connection)

            return Takeover(run=run, content_type=MULTIPLEXED, one_way=True)

        async def write(send: Send) -> None:
            await layers.export(name, send)

        return Stream(write=write, content_type="application/octet-stream", refuse=error_response)

    async def commit(request: Request) -> Answer:
        """Docker's: `container`, `repo`, `tag`, `author`, `comment`, `pause`, `changes` (each a line, or several)."""
        name = (await containers.find(request.first("container"))).container.name
        repository, tag = request.first("repo"), request.first("tag")
        wanted = CommitSpec(
            name=parse_new_name(f"{repository}:{tag}" if tag else repository) if repository else "",
            author=request.first("author"),
            message=request.first("comment"),
            changes=tuple(
                line for text in request.query.get("changes", ()) for line in text.splitlines() if line.strip()
            ),
            pause=request.flag("pause") if "pause" in request.query else True,
        )
        made = await layers.commit(name, wanted)
        return json_response({"Id": made.id, "Warnings": list(made.warnings)}, status=201)

    return [
        Route("POST", "/commit", commit),
        Route("GET", "/containers/{reference}/changes", changes),
        Route("GET", "/containers/{reference}/export", export),
    ]
