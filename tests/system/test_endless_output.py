"""Programs that write more than there is room for: on the disk, in memory, in a line."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestr8.model.specs import LogSpec
from orchestr8.runtime.logs import LogReader
from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.processes import alive, status_of
from tests.system.runtime_fixtures import Box, Runtime, eventually

pytestmark = [pytest.mark.system, pytest.mark.anyio, requires("root", "overlayfs"), needs_busybox]

MIB = 1 << 20
KEPT_MAX = 31 * MIB  # three files of 10 MiB, and the read that fills each


@pytest.fixture
def small_disk(runtime: Runtime) -> Iterator[Path]:
    """A file system of 2 MiB for the log of the first container."""
    folder = Path(runtime.root, "containers", f"{1:012x}", "log")
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "small", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)  # the shim, which ends after this, has its log in it


def on_disk(box: Box) -> int:
    folder = os.path.dirname(box.log_path)
    size = 0
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):  # rotated away
            size += os.path.getsize(f"{folder}/{name}")
    return size


def memory_kib(pid: int) -> int:
    return int(status_of(pid)["RssAnon"].split()[0])


async def test_a_full_disk_takes_the_log_and_not_the_container(runtime: Runtime, small_disk: Path) -> None:
    """What is lost is counted and told; with room again the log goes on, at the beginning of a line; the end is recorded."""
    (small_disk / "filler").write_bytes(bytes(MIB))
    script = "yes 0123456789 | head -c 4000000; echo full >&2; read go; echo after; exit 5"
    box = await runtime.create("sh", "-c", script, stdin_open=True)
    client = await box.attach(stdin=True)
    await box.start()
    await client.until(
        lambda each: b"full\n" in each.stderr and len(each.stdout) == 4_000_000
    )  # who follows it has all
    lost = (await box.status()).log_lost_bytes
    assert 4_000_000 < lost < 20_000_000, "of records: lines with their times"
    assert b"full" not in (small_disk / "current.log").read_bytes()
    os.unlink(small_disk / "filler")
    client.socket.sendall(b"go\n")
    await eventually(lambda: box.exits, "its end")
    assert (box.state()["exit_code"], (await box.status()).log_lost_bytes) == (5, lost)
    lines = (small_disk / "current.log").read_bytes().splitlines()
    notice = f"stderr F orchestr8: {lost} bytes of this log are lost: No space left on device"
    assert [line.split(b" ", 1)[1] for line in lines[-2:]] == [notice.encode(), b"stdout F after"]
    (began, few), over = box.log_troubles
    assert (began, over) == ("No space left on device", ("", lost))
    assert 0 < few < lost
    reader = LogReader(box.log_path)
    batches = list(iter(reader.read, None))
    reader.close()
    assert b"".join(each.data for batch in batches for each in batch).endswith(b"device\nafter\n")


async def test_a_flood_of_lines_takes_no_more_than_its_files_and_no_memory(runtime: Runtime) -> None:
    box = await runtime.create("sh", "-c", f"yes 012345678901234567890123456789 | head -c {300 * MIB}; echo; echo last")
    await box.start()
    most = [0, 0]

    def ended() -> bool:
        if not box.exits:
            most[0] = max(most[0], on_disk(box))
            most[1] = max(most[1], memory_kib(box.shim_pid))
        return bool(box.exits)

    await eventually(ended, "the end of the flood", within_s=40)
    assert 10 * MIB < most[0] < KEPT_MAX
    assert most[1] < 20_000, "KiB"
    assert box.log().endswith("\nlast\n")


async def test_a_line_that_does_not_end_is_kept_in_parts(runtime: Runtime) -> None:
    """256 MiB of it: memory does not follow, here or where it is read."""
    size = 256 * MIB
    box = await runtime.create("sh", "-c", f"head -c {size} /dev/zero; echo end; echo next")
    client = await box.attach()
    await box.start()
    most, seen = 0, 0

    def ended() -> bool:
        nonlocal most, seen
        client.read()
        seen += len(client.stdout)
        client.stdout = client.stdout[-64:]
        seen -= len(client.stdout)
        if not client.ended and alive(box.shim_pid):
            most = max(most, memory_kib(box.shim_pid))
        return client.ended

    await eventually(ended, "the end of the line", within_s=40)
    assert await box.wait() == 0
    assert seen + len(client.stdout) == size + len(b"end\nnext\n")
    assert most < 20_000, "KiB"
    assert on_disk(box) < KEPT_MAX
    before = memory_kib(os.getpid())
    reader = LogReader(box.log_path)
    total, tail = 0, b""
    while (batches := reader.read()) is not None:
        for batch in batches:
            total += len(batch.data)
            tail = (tail + batch.data)[-16:]
    reader.close()
    assert memory_kib(os.getpid()) < before + 20_000, "KiB"
    assert 10 * MIB < total < KEPT_MAX
    assert tail.endswith(b"\0end\nnext\n")


async def test_every_byte_there_is_comes_back_from_a_terminal_and_a_pipe(runtime: Runtime) -> None:
    octets = "".join(f"\\\\{number:03o}" for number in range(256))
    script = f"stty raw 2> /dev/null; printf '{octets}' ; printf '{octets}\\n{octets}'".replace("\\\\", "\\")
    expected = bytes(range(256)) * 2 + b"\n" + bytes(range(256))
    for tty in (False, True):
        box = await runtime.create("sh", "-c", script, tty=tty)
        client = await box.attach()
        await box.start()
        await client.until_end()
        assert await box.wait() == 0
        assert bytes(client.stdout) == expected
        reader = LogReader(box.log_path)
        found = b"".join(each.data for batch in iter(reader.read, None) for each in batch)
        found += b"".join(each.data for each in reader.finish())
        reader.close()
        assert found == expected


async def test_every_line_of_a_flood_comes_through_rotation_and_compression(runtime: Runtime) -> None:
    """Followed all the while from the first byte, and read once more from the beginning at the end."""
    lines = 600_000
    script = f"seq 1000000 {1_000_000 + lines - 1}; echo done >&2"
    box = await runtime.create("sh", "-c", script, logging=LogSpec(max_bytes=MIB, max_files=100))
    reader = LogReader(box.log_path)
    found = bytearray()

    def follow() -> bool:
        while (batches := reader.read()) is not None:
            for batch in batches:
                found.extend(batch.data)
        return found.endswith(b"done\n") and bool(box.exits)

    await box.start()
    await eventually(follow, "the end of the flood", within_s=40)
    reader.close()
    expected = b"".join(b"%d\n" % number for number in range(1_000_000, 1_000_000 + lines)) + b"done\n"
    assert bytes(found) == expected
    folder = os.path.dirname(box.log_path)

    def packed() -> bool:
        return all(name == "current.log" or name.endswith(".gz") for name in os.listdir(folder))

    await eventually(packed, "the last file is compressed", within_s=40)
    assert len(os.listdir(folder)) > 20
    again = LogReader(box.log_path)
    assert b"".join(batch.data for batches in iter(again.read, None) for batch in batches) == expected
    again.close()
