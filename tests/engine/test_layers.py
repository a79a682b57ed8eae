"""What is in a container's file system, over the socket."""

from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest

from orchestr8.backends.memory import MemoryBackend
from orchestr8.errors import InvalidInput, NotFound, Unavailable
from orchestr8.model.changes import ChangeKind, FileChange
from orchestr8.model.ids import ContainerName
from orchestr8.model.images import CommitSpec, Committed
from orchestr8.wire.frames import ANNOUNCEMENT, ERROR, STDOUT

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


async def test_an_export_comes_as_dockers_or_in_frames_that_tell_its_end(
    start: Any, make_document: Callable[..., Any], backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as engine:
        await engine.work("/stacks/shop/up", {"document": make_document(web=["sleep", "infinity"])})

        def read() -> bytes:
            with engine.client.open("GET", "/containers/shop-web-1/export") as response:
                assert response.headers["content-type"] == "application/octet-stream"
                return bytes(response.read())

        plain = await anyio.to_thread.run_sync(read)
        assert plain[257:262] == b"ustar"
        async with engine.upgraded("GET", "/containers/shop-web-1/export") as talk:
            found = await talk.rest()
        assert b"".join(frame.payload for frame in found if frame.stream == STDOUT) == plain
        assert (found[-1].stream, found[-1].payload) == (ANNOUNCEMENT, b'{"end": true}')

        async def half(_: ContainerName, send: Callable[[bytes], Any]) -> None:
            await send(b"half")
            raise NotFound("it was removed while it was read")

        monkeypatch.setattr(backend, "export", half)
        async with engine.upgraded("GET", "/containers/shop-web-1/export") as talk:
            found = await talk.rest()
        assert [frame.stream for frame in found] == [STDOUT, ERROR]
        assert b"removed while it was read" in found[1].payload
        with pytest.raises(Unavailable):
            await anyio.to_thread.run_sync(read)


async def test_a_commit_is_asked_for_in_dockers_words(
    start: Any, make_document: Callable[..., Any], backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[CommitSpec] = []

    async def commit(name: ContainerName, wanted: CommitSpec) -> Committed:
        assert name == WEB
        seen.append(wanted)
        return Committed(id="sha256:1", warnings=("this",))

    monkeypatch.setattr(backend, "commit", commit)
    async with start() as engine:
        await engine.work("/stacks/shop/up", {"document": make_document(web=["sleep", "infinity"])})
        query = {"container": "shop-web-1", "repo": "team/web", "tag": "1", "author": "me", "comment": "why"}
        made = await engine.ask("POST", "/commit", changes=["CMD x\nENV A=1", "USER app"], **query)
        assert made == {"Id": "sha256:1", "Warnings": ["this"]}
        await engine.ask("POST", "/commit", container="shop-web-1", pause=0)
        changes = ("CMD x", "ENV A=1", "USER app")
        assert seen == [
            CommitSpec(name="docker.io/team/web:1", author="me", message="why", changes=changes),
            CommitSpec(pause=False),
        ]
        for wrong in ({"changes": "RUN x"}, {"repo": "No Name"}):
            with pytest.raises(InvalidInput):
                await engine.ask("POST", "/commit", container="shop-web-1", **wrong)
        with pytest.raises(NotFound):
            await engine.ask("POST", "/commit", container="nobody")
        assert len(seen) == 2, "nothing was begun for what is wrong"


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
