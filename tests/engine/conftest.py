"""An engine in the test's own loop, with the memory backend and a real socket; asked by the CLI's own client."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from orchestr8.backends.memory import MemoryBackend
from orchestr8.engine.daemon import Engine
from orchestr8.engine.paths import EnginePaths
from orchestr8.model.ids import ContainerName
from orchestr8.wire.client import Client, Lines, Stream
from orchestr8.wire.frames import Frame, FrameReader


class LivingBackend(MemoryBackend):
    """Survives the engines of a test, as shims would."""

    forkserver_pid = 0
    closed_with: bool | None = None

    async def start(self) -> None: ...

    async def close(self, *, remove: bool) -> None:
        self.closed_with = remove
        self._listeners.clear()

    def shim_pid(self, container: ContainerName) -> int:
        return 0


class Asker:
    """The CLI's blocking client, in threads."""

    def __init__(self, engine: Engine, path: str) -> None:
        self.engine = engine
        self.path = path
        self.client = Client(path)

    async def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        def run() -> Any:
            return self.client.request(method, path, query=query, body=body)

        return await anyio.to_thread.run_sync(run, abandon_on_cancel=True)

    async def work(self, path: str, body: Any) -> list[dict[str, Any]]:
        """All lines of a piece of work."""

        def run() -> list[dict[str, Any]]:
            with self.client.open("POST", path, body=body) as response:
                return list(Lines(response))

        return await anyio.to_thread.run_sync(run, abandon_on_cancel=True)

    @asynccontextmanager
    async def upgraded(self, method: str, path: str, **query: Any) -> AsyncIterator["Talk"]:
        stream = await anyio.to_thread.run_sync(lambda: self.client.upgrade(method, path, query=query))
        with stream:
            yield Talk(stream)


class Talk:
    """A connection that the engine handed over."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.frames = FrameReader()
        self.ended = False
        self._waiting: list[Frame] = []

    async def frame(self) -> Frame | None:
        """The next frame; None at the end."""
        while not self._waiting:
            data = await anyio.to_thread.run_sync(self.stream.receive, abandon_on_cancel=True)
            if not data:
                return None
            self._waiting += self.frames.feed(data)
        return self._waiting.pop(0)

    async def until(self, payload: bytes) -> list[Frame]:
        """Frames up to the one that holds `payload`."""
        found = []
        while (frame := await self.frame()) is not None:
            found.append(frame)
            if payload in frame.payload:
                return found
        raise AssertionError(f"{payload!r} did not come; this did: {found}")

    async def rest(self) -> list[Frame]:
        found = []
        while (frame := await self.frame()) is not None:
            found.append(frame)
        return found

    async def send(self, data: bytes) -> None:
        assert self.stream.send_some(data) == len(data)


Start = Callable[..., Any]


async def _eventually(holds: Callable[[], Any]) -> None:
    """Wait until something holds that no event tells of. `holds` may be a coroutine function."""
    with anyio.fail_after(10):
        while True:
            found = holds()
            if await found if hasattr(found, "__await__") else found:
                return
            await anyio.sleep(0.002)


@pytest.fixture
def eventually() -> Callable[..., Any]:
    return _eventually


@pytest.fixture
def backend(tmp_path: Path) -> LivingBackend:
    return LivingBackend(str(tmp_path / "root"))


@pytest.fixture
def start(tmp_path: Path, backend: LivingBackend, monkeypatch: pytest.MonkeyPatch) -> Start:
    """`async with start() as engine`: an engine on the test's root, with the test's backend."""
    monkeypatch.setenv("ORCHESTR8_RUN_DIR", str(tmp_path / "run"))

    @asynccontextmanager
    async def run(environ: dict[str, str] | None = None, *, after_crash: bool = False) -> AsyncIterator[Asker]:
        paths = EnginePaths.of(str(tmp_path / "root"))
        paths.make()
        engine = Engine(paths, lambda *_: backend, environ or {}, after_crash=after_crash)
        async with anyio.create_task_group() as tasks:
            await tasks.start(engine.serve)
            try:
                yield Asker(engine, paths.socket)
            finally:
                engine.stop()

    return run


def document(name: str = "shop", **services: Any) -> dict[str, Any]:
    """A canonical document of services given by their commands, or by their settings."""
    return {
        "name": name,
        "services": {
            key: {"image": "rootfs:/", **(value if isinstance(value, dict) else {"command": value})}
            for key, value in services.items()
        },
        "networks": {"default": {"name": f"{name}_default"}},
    }


@pytest.fixture
def make_document() -> Callable[..., dict[str, Any]]:
    return document
