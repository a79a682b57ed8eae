"""Files copied into and out of a container, whether it runs or not."""

import io
import os
import socket
import stat
import tarfile
from collections.abc import Sequence

import pytest

from orchestr8.errors import InvalidInput, NotFound
from orchestr8.model.ids import ContainerName
from orchestr8.storage.archive import ArchiveWriter
from orchestr8.storage.tarformat import DIRECTORY, SYMLINK, Entry
from orchestr8.wire.frames import ANNOUNCEMENT, STDOUT, FrameReader
from tests.backends.bench import WEB, Bench


def tar_of(*entries: tuple[Entry, bytes]) -> bytes:
    pieces: list[bytes] = []
    writer = ArchiveWriter(pieces.append)
    for entry, data in entries:
        writer.add_entry(entry._replace(size=len(data), uid=os.geteuid(), gid=os.getegid()), data)
    writer.finish()
    return b"".join(pieces)


async def put(bench: Bench, path: str, data: bytes, *, early: int = 0) -> Sequence[str]:
    """As a client does whose archive is small enough for a socket to take it at once."""
    ours, theirs = socket.socketpair()
    opened = await bench.backend.open_path(WEB, path, write=True)
    try:
        with ours, theirs:
            ours.sendall(data[early:])
            return await opened.receive(theirs.fileno(), data[:early], len(data))
    finally:
        await opened.close()


async def get(bench: Bench, path: str, *, follow: bool = False) -> dict[str, tarfile.TarInfo]:
    """By name, what an archive of `path` has; its data is in `pax_headers["data"]`."""
    ours, theirs = socket.socketpair()
    opened = await bench.backend.open_path(WEB, path, follow=follow)
    try:
        with ours:
            with theirs:
                await opened.send(theirs.fileno(), framed=True)
            reader = FrameReader()
            received = b"".join(iter(lambda: ours.recv(1 << 20), b""))
    finally:
        await opened.close()
    *found, whole = reader.feed(received)
    assert {frame.stream for frame in found} == {STDOUT}
    assert (whole.stream, whole.payload) == (ANNOUNCEMENT, b'{"whole":true}')
    members = {}
    with tarfile.open(fileobj=io.BytesIO(b"".join(frame.payload for frame in found))) as archive:
        for member in archive:
            data = archive.extractfile(member) if member.isfile() else None
            member.pax_headers = {"data": data.read().decode() if data else ""}
            members[member.name] = member
    return members


@pytest.mark.parametrize("running", [False, True])
async def test_what_is_put_into_a_container_is_got_out_of_it(bench: Bench, running: bool) -> None:
    await bench.create()
    if running:
        await bench.start()
    data = tar_of(
        (Entry(b"kept/", DIRECTORY, 0o750), b""),
        (Entry(b"kept/file", mode=0o640, mtime_ns=1_234_000_005), b"content"),
        (Entry(b"kept/link", SYMLINK, link=b"file"), b""),
    )
    assert await put(bench, "/", data, early=700) == ()
    found = await get(bench, "/kept")
    assert list(found) == ["kept", "kept/file", "kept/link"]
    assert (found["kept"].mode, found["kept/file"].mode, found["kept/file"].mtime) == (0o750, 0o640, 1.234000005)
    assert (found["kept/file"].pax_headers["data"], found["kept/link"].linkname) == ("content", "file")
    assert list(await get(bench, "/kept/.")) == [".", "file", "link"]
    assert list(await get(bench, "/kept/link")) == ["link"]
    assert (await get(bench, "/kept/link"))["link"].issym()
    assert (await get(bench, "/kept/link", follow=True))["link"].isfile()


async def test_a_path_is_described_as_it_is(bench: Bench) -> None:
    await bench.create()
    await put(bench, "/", tar_of((Entry(b"file", mode=0o600), b"12345"), (Entry(b"link", SYMLINK, link=b"/file"), b"")))
    opened = await bench.backend.open_path(WEB, "/file")
    await opened.close()
    status = opened.status
    assert (status.name, stat.S_ISREG(status.mode), stat.S_IMODE(status.mode), status.size) == ("file", True, 0o600, 5)
    opened = await bench.backend.open_path(WEB, "link")
    await opened.close()
    assert (opened.status.name, opened.status.link) == ("link", "/file")


async def test_paths_that_are_not_there_or_are_no_directories_are_refused(bench: Bench) -> None:
    await bench.create()
    await put(bench, "/", tar_of((Entry(b"file"), b""), (Entry(b"none", SYMLINK, link=b"/nowhere"), b"")))
    for path, follow in (("/nothing", False), ("/none", True), ("/none/", False)):
        with pytest.raises(NotFound):
            await bench.backend.open_path(WEB, path, follow=follow)
    with pytest.raises(InvalidInput):
        await bench.backend.open_path(WEB, "/file", write=True)
    with pytest.raises(InvalidInput):
        await bench.backend.open_path(WEB, "")
    with pytest.raises(NotFound):
        await bench.backend.open_path(ContainerName("nobody"), "/")


@pytest.mark.parametrize("data", [b"no tar", b"x" * 512, tar_of((Entry(b"../out"), b""))])
async def test_what_is_no_archive_or_leads_out_is_refused(bench: Bench, data: bytes) -> None:
    await bench.create()
    with pytest.raises(InvalidInput) as raised:
        await put(bench, "/", data)
    assert raised.value.code == "O8-641"


async def test_a_client_that_goes_away_is_told_of(bench: Bench) -> None:
    await bench.create()
    opened = await bench.backend.open_path(WEB, "/", write=True)
    ours, theirs = socket.socketpair()
    with theirs:
        ours.send(b"x" * 100)
        ours.close()
        with pytest.raises(InvalidInput, match="went away"):
            await opened.receive(theirs.fileno(), b"", 10_000)
    await opened.close()
    await put(bench, "/", tar_of((Entry(b"file"), b"")))  # and nothing is in the way of the next one
