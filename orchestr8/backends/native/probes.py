"""Running a command in a container and reading what it says: health checks, hooks."""

import asyncio
import contextlib
import socket
from typing import Final

import anyio

from orchestr8.backends.native.containers import Container
from orchestr8.errors import OperationFailed, Unavailable
from orchestr8.model.backend import ExecSpec, ProbeResult
from orchestr8.wire.frames import FrameReader

_OUTPUT_MAX: Final = 4096  # Docker keeps as much of a health check's output


async def probe(container: Container, argv: tuple[str, ...], timeout_s: float) -> ProbeResult:
    """See model.backend.Backend.probe. A command that cannot be executed is a failed probe, not an error."""
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        try:
            with theirs:
                running = await container.exec(ExecSpec(argv=argv, stdin=False), theirs.fileno(), b"")
        except OperationFailed as error:
            if error.code not in {"O8-626", "O8-627"}:
                raise
            return ProbeResult(exit_code=int(error.code[-3:]) - 500, output=error.message)
        output = bytearray()
        code: int | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_collect, ours, output)
            with anyio.move_on_after(timeout_s):
                code = await running.wait()
            if code is None:
                with contextlib.suppress(OperationFailed, Unavailable):  # it, or its container, has just ended
                    await running.kill()
                await running.wait()
    return ProbeResult(exit_code=code, output=output.decode(errors="replace"))


async def _collect(stream: socket.socket, output: bytearray) -> None:
    """Read frames to their end; keep the first bytes, drop the rest."""
    loop = asyncio.get_running_loop()
    decoder = FrameReader()
    with contextlib.suppress(ConnectionError):  # the shim was killed
        while data := await loop.sock_recv(stream, 65536):
            for frame in decoder.feed(data):
                output += frame.payload[: _OUTPUT_MAX - len(output)]
