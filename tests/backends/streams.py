"""What comes over the connection of a program in a container, read as a client reads it."""

import socket

import anyio

from orchestr8.model.backend import ExecSpec
from orchestr8.wire.frames import FrameReader
from tests.backends.bench import WEB, Bench


async def run_exec(
    bench: Bench, spec: ExecSpec, sent: bytes, *, early: bytes = b""
) -> tuple[int, list[tuple[int, bytes]]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        handle = await bench.backend.exec(WEB, spec, theirs.fileno(), early)
        theirs.close()
        if sent:  # else the program may have ended, and the connection with it
            ours.sendall(sent)
        ours.shutdown(socket.SHUT_WR)
        frames = await read_frames(ours)
        return await handle.wait(), frames


async def read_frames(connection: socket.socket) -> list[tuple[int, bytes]]:
    connection.setblocking(False)
    reader = FrameReader()
    frames: list[tuple[int, bytes]] = []
    while True:
        await anyio.wait_readable(connection)
        data = connection.recv(65536)
        if not data:
            return frames
        frames += [(each.stream, each.payload) for each in reader.feed(data)]


def joined(frames: list[tuple[int, bytes]]) -> dict[int, bytes]:
    joined: dict[int, bytes] = {}
    for stream, payload in frames:
        joined[stream] = joined.get(stream, b"") + payload
    return joined
