"""What is in a container's file system, over the socket."""

from collections.abc import Callable
from typing import Any

import pytest

from orchestr8.backends.memory import MemoryBackend
from orchestr8.errors import NotFound
from orchestr8.model.changes import ChangeKind, FileChange
from orchestr8.model.ids import ContainerName

pytestmark = pytest.mark.anyio

WEB = ContainerName("shop-web-1")


async def test_changes_have_dockers_shape(
    start: Any, make_document: Callable[..., Any], backend: MemoryBackend
) -> None:
    async with start() as engine:
        await engine.work("/stacks/shop/up", {"document": make_document(web=["sleep", "infinity"])})
        assert await engine.ask("GET", "/containers/shop-web-1/changes") == []
        backend.changed[WEB] = [FileChange(kind, f"/\udcff\n{kind}") for kind in ChangeKind]
        assert await engine.ask("GET", "/containers/shop-web-1/changes") == [
            {"Path": "/\udcff\nA", "Kind": 1},
            {"Path": "/\udcff\nC", "Kind": 0},
            {"Path": "/\udcff\nD", "Kind": 2},
        ]


async def test_what_is_removed_before_anything_is_told_is_not_found(
    start: Any, make_document: Callable[..., Any], backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_: object) -> None:
        raise NotFound("it was removed while it was read")

    async with start() as engine:
        await engine.work("/stacks/shop/up", {"document": make_document(web=["sleep", "infinity"])})
        monkeypatch.setattr(backend, "changes", gone)
        with pytest.raises(NotFound, match="removed while it was read"):
            await engine.ask("GET", "/containers/shop-web-1/changes")
        with pytest.raises(NotFound, match="No such container: nobody"):
            await engine.ask("GET", "/containers/nobody/changes")
