"""What is in the file systems of containers, for the routes that show it."""

import json
from collections.abc import Awaitable, Callable, Sequence

from orchestr8.engine.containers import error_bytes
from orchestr8.image.instructions import apply_changes
from orchestr8.model.backend import Backend
from orchestr8.model.changes import FileChange
from orchestr8.model.ids import ContainerName
from orchestr8.model.images import CommitSpec, Committed
from orchestr8.wire.frames import ANNOUNCEMENT, STDOUT, encode
from orchestr8.wire.http import Hijacked, Send


class Layers:
    """`api.services.LayerService`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def changes(self, name: ContainerName, tell: Callable[[Sequence[FileChange]], Awaitable[None]]) -> None:
        await self._backend.changes(name, tell)

    async def export(self, name: ContainerName, send: Send) -> None:
        await self._backend.export(name, send)

    async def commit(self, name: ContainerName, wanted: CommitSpec) -> Committed:
        apply_changes({}, wanted.changes)  # what is wrong with them is told before anything stands still
        return await self._backend.commit(name, wanted)

    async def export_framed(self, name: ContainerName, connection: Hijacked) -> None:
        try:
            await self._backend.export(name, lambda data: connection.send(encode(STDOUT, data)))
        except ConnectionError:
            raise
        except Exception as failure:  # noqa: BLE001 - the border: the answer has begun, so it is told in the stream
            await connection.send(error_bytes(failure))
        else:
            await connection.send(encode(ANNOUNCEMENT, json.dumps({"end": True}).encode()))
