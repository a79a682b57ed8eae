"""What is in the file systems of containers, for the routes that show it."""

from collections.abc import Awaitable, Callable, Sequence

from orchestr8.model.backend import Backend
from orchestr8.model.changes import FileChange
from orchestr8.model.ids import ContainerName


class Layers:
    """`api.services.LayerService`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def changes(self, name: ContainerName, tell: Callable[[Sequence[FileChange]], Awaitable[None]]) -> None:
        await self._backend.changes(name, tell)
