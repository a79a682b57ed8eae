"""`cp` with containers that want out: symlinks, races, programs and archives of theirs."""

import bz2
import contextlib
import ctypes
import gzip
import lzma
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.checks import err, state
from orchestr8.cli.copies import Framed
from orchestr8.errors import Orchestr8Error
from orchestr8.storage.archive import ArchiveWriter
from orchestr8.storage.tarformat import Entry
from orchestr8.wire.client import Client
from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.copying_lab import Tell, idle, in_there, run

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft"), needs_busybox]

CHANCES = 500
PAIRS = 10


def test_no_symlink_of_a_container_leads_out(scenario: Tell, busybox_image: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    story = scenario(f"services: {{web: {idle(busybox_image)}}}")
    Path(story.directory, "file").write_text("evil")
    story.step("up -d", state("web", "running"))
    for target in (f"{outside}", f"../../../../../../../..{outside}", "/proc/1/root" + str(outside), "/proc/self/cwd"):
        for path in ("/l", "/l/", "/l/secret"):
            in_there(story, "web", f"rm -rf /l; ln -s {target} /l")
            run(story, "file", f"web:{path}", code=1)
            archive = story.run("cp", f"web:{path}", "-").out
            assert "secret" not in archive.replace("/secret", "")
    assert [each.name for each in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == "secret"
    in_there(story, "web", f"rm -rf /l; mkdir -p {outside}; ln -s {outside} /l")
    story.step("cp file web:/l")  # it means what it means to the container
    assert in_there(story, "web", f"cat {outside}/file") == "evil"
    assert [each.name for each in outside.iterdir()] == ["secret"]


def test_a_volume_is_mounted_in_the_container_wherever_its_place_leads_now(
    scenario: Tell, busybox_image: str, tmp_path: Path
) -> None:  # fmt: skip
    outside = tmp_path / "outside"
    (outside / "volume").mkdir(parents=True)
    story = scenario(f"services: {{web: {idle(busybox_image, volumes='[data:/a/volume]')}}}\nvolumes: {{data: }}")
    Path(story.directory, "file").write_text("x")
    story.step("up -d", state("web", "running"))
    in_there(story, "web", f"mv /a /b; ln -s {outside} /a")
    story.step("stop web")
    story.step("cp file web:/a/volume/")
    story.step("cp web:/a/volume all")
    assert Path(story.directory, "all/file").read_text() == "x"
    story.step("start web")
    assert in_there(story, "web", "cat /a/volume/file") == "x"
    assert list((outside / "volume").iterdir()) == []


def test_a_copy_executes_nothing_of_a_container(scenario: Tell, busybox_image: str) -> None:
    """Neither a program that would decompress, nor a library that this process has yet to load."""
    story = scenario(f"services: {{web: {idle(busybox_image)}}}")
    Path(story.directory, "file").write_text("x" * 2000)
    story.step("up -d", state("web", "running"))
    library = os.path.dirname(bz2.__file__)
    in_there(story, "web", f"""
mkdir -p {library} /usr/bin
for name in bz2 _compression lzma; do echo "open(\\"/executed\\", \\"w\\")" >{library}/$name.py; done
for name in bzip2 xz gzip unpigz tar python3; do
    rm -f /bin/$name; printf "#!/bin/sh\\ntouch /executed\\n" | tee /bin/$name >/usr/bin/$name; chmod 755 /bin/$name /usr/bin/$name
done""")  # fmt: skip
    archive = subprocess.run(["tar", "-c", "-C", story.directory, "file"], capture_output=True, check=True).stdout
    for number, compress in enumerate((bz2.compress, lzma.compress, gzip.compress)):
        in_there(story, "web", f"mkdir /in{number}")
        run(story, "-", f"web:/in{number}", stdin=compress(archive))
        assert in_there(story, "web", f"wc -c </in{number}/file").strip() == "2000"
    assert in_there(story, "web", "ls /").split().count("executed") == 0


def exchange(one: str, other: str) -> None:
    """renameat2(2), RENAME_EXCHANGE: there is no moment at which one of them is missing."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.renameat2(-100, one.encode(), -100, other.encode(), 2) == 0, ctypes.get_errno()


@contextlib.contextmanager
def swapping(folder: Path) -> Iterator[None]:
    """Another process that exchanges each `x`, an ordinary directory, with a symlink to the host's, as fast as it can."""
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            while True:
                for number in range(PAIRS):
                    exchange(f"{folder}/x{number}", f"{folder}/y{number}")
        os._exit(0)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("running", [True, False])
def test_a_racing_container_gets_nothing_of_the_host_and_changes_nothing_there(
    scenario: Tell, busybox_image: str, tmp_path: Path, running: bool
) -> None:
    """At least 500 chances: one for each name that is raced for while a path is looked up or a tree is walked."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("SECRET")
    before = sorted(outside.iterdir()), outside.stat().st_mtime_ns
    shared = tmp_path / "shared"
    story = scenario(f"services: {{web: {idle(busybox_image, volumes=f'[{shared}:/shared]')}}}")
    for number in range(PAIRS):
        (shared / f"x{number}").mkdir(parents=True)
        (shared / f"x{number}/file").write_text("plain")
        (shared / f"y{number}").symlink_to(outside)
    story.step("up -d", state("web", "running"))
    if not running:
        story.step("stop web")
    client = Client(f"{story.engine.run_dir}/engine.sock")
    where = "/containers/shop-web-1/archive"
    pieces: list[bytes] = []
    writer = ArchiveWriter(pieces.append)
    for number in range(PAIRS):
        writer.add_entry(Entry(f"x{number}/file".encode(), size=4), b"evil")
        writer.add_entry(Entry(f"x{number}/new".encode(), size=4), b"evil")
    writer.finish()
    evil = b"".join(pieces)

    def get(path: str, *, follow: bool = False) -> None:
        with client.upgrade("GET", where, query={"path": path, "follow": int(follow)}) as stream:
            data = b"".join(iter(Framed(stream).read, b""))
        assert b"SECRET" not in data
        done["got"] += 1

    def put(path: str) -> None:
        client.upload("PUT", where, lambda send: send(evil), query={"path": path})
        done["put"] += 1

    ways: list[tuple[int, Callable[[], None]]] = [
        (1, lambda: get("/shared/x0/file")),
        (PAIRS, lambda: get("/shared")),
        (1, lambda: get("/shared/x1", follow=True)),
        (1, lambda: put("/shared")),
        (1, lambda: put("/shared/x2")),
    ]
    done = {"got": 0, "put": 0}
    chances = 0
    with swapping(shared):
        while chances < CHANCES:
            for count, way in ways:
                chances += count
                with contextlib.suppress(Orchestr8Error):
                    way()
    assert done["got"] >= CHANCES // 20
    assert done["put"] >= 1
    assert (sorted(outside.iterdir()), outside.stat().st_mtime_ns) == before
    assert (outside / "file").read_text() == "SECRET"


def test_a_hostile_archive_stays_where_it_is_unpacked(scenario: Tell, busybox_image: str, tmp_path: Path) -> None:
    """What a container's files are called and what its symlinks say is no matter of the machine's."""
    story = scenario(f"services: {{web: {idle(busybox_image)}}}")
    story.step("up -d", state("web", "running"))
    kept = tmp_path / "kept"
    kept.write_text("kept")
    in_there(story, "web", f"mkdir -p /d/sub; ln -s {kept} /d/a; ln -s / /d/root; echo evil >/d/sub/a")
    target = Path(story.directory, "target/d/sub")
    target.mkdir(parents=True)
    (target / "a").symlink_to(kept)
    story.step("cp web:/d target")
    assert kept.read_text() == "kept"
    assert (target / "a").read_text() == "evil\n"
    (Path(story.directory) / "target2").mkdir()
    (Path(story.directory) / "target2/d").symlink_to(tmp_path)
    story.step("cp web:/d target2", err("cannot overwrite non-directory"), code=1)
    assert not (tmp_path / "sub").exists()
