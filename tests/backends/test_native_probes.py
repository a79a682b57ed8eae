"""A health check's end in every order in which its time-out, its exit and its container's death can come."""

import os
import socket
from collections.abc import Callable
from typing import cast

import anyio
import pytest

from orchestr8.backends.native.containers import Container
from orchestr8.backends.native.probes import probe
from orchestr8.errors import OperationFailed, Unavailable
from orchestr8.model.backend import ExecSpec, ProbeResult
from orchestr8.wire.frames import encode

pytestmark = pytest.mark.anyio


class FakeExec:
    """A program that ends when it is killed; `refusal` is what the shim says to that instead."""

    pid = 7

    def __init__(self, client: socket.socket, refusal: Exception | None) -> None:
        self._client = client
        self._refusal = refusal
        self._ended = anyio.Event()

    async def wait(self) -> int:
        await self._ended.wait()
        return 137

    async def kill(self) -> None:
        self._ended.set()
        self._client.close()
        if self._refusal is not None:
            raise self._refusal


class FakeContainer:
    def __init__(self, begin: Callable[[socket.socket], FakeExec]) -> None:
        self._begin = begin

    async def exec(self, spec: ExecSpec, stream_fd: int, early: bytes) -> FakeExec:
        return self._begin(socket.socket(fileno=os.dup(stream_fd)))


async def probed(begin: Callable[[socket.socket], FakeExec]) -> ProbeResult:
    with anyio.fail_after(10):
        return await probe(cast("Container", FakeContainer(begin)), ("check",), 0.01)


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(None, id="it dies of the signal"),
        pytest.param(OperationFailed("the process is not running"), id="it has just ended by itself"),
        pytest.param(Unavailable("the process behind this container died"), id="its container has just died"),
    ],
)
async def test_a_check_that_takes_too_long_has_timed_out(refusal: Exception | None) -> None:
    def begin(client: socket.socket) -> FakeExec:
        client.send(encode(1, b"still trying"))
        return FakeExec(client, refusal)

    assert await probed(begin) == ProbeResult(exit_code=None, output="still trying")
