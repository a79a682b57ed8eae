"""Rotated logs on a filesystem that gives numbers of inodes away again at once, as most do."""

import gzip
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestr8.runtime.logpacker import Packer
from orchestr8.runtime.poller import Poller

pytestmark = pytest.mark.system

DEADLINE_S = 20.0


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    image, place = tmp_path / "image", tmp_path / "place"
    with open(image, "wb") as file:
        file.truncate(4 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-N", "32", image], check=True)
    place.mkdir()
    subprocess.run(["mount", "-o", "loop", image, place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_file_with_the_number_of_one_that_is_gone_is_not_taken_for_it(folder: Path) -> None:
    poller = Poller()
    path, older = str(folder / "current.log"), folder / "current.log.1"
    older.write_bytes(b"of the file that is gone\n")
    number = older.stat().st_ino
    packer = Packer(poller, path, 2)
    os.waitid(os.P_PIDFD, packer._pidfd, os.WEXITED | os.WNOWAIT)
    for each in range(40):  # rotations, as a shim that has much to read does them before it looks at its children
        older.unlink()
        older.write_bytes(b"newer, %d\n" % each)
        if older.stat().st_ino == number:
            break
    newer = older.read_bytes()
    archive, deadline = Path(f"{older}.gz"), time.monotonic() + DEADLINE_S
    while not archive.exists() or older.exists():
        assert time.monotonic() < deadline, os.listdir(folder)
        poller.wait(0.05)
    assert gzip.decompress(archive.read_bytes()) == newer
    packer.close()
    poller.close()
