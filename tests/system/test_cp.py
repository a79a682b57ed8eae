"""`cp` with real containers: where things land, who they belong to, streams, replicas, states, and what is hostile."""

import base64
import bz2
import contextlib
import ctypes
import gzip
import io
import json
import lzma
import os
import random
import select
import signal
import socket
import stat
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.checks import err, out, state
from e2e.scenario import Scenario, eventually
from orchestr8.cli.copies import Framed
from orchestr8.errors import Orchestr8Error, Unsupported
from orchestr8.storage.archive import ArchiveWriter
from orchestr8.storage.tarformat import DIRECTORY, Entry
from orchestr8.wire.client import Client
from tests.requires import requires
from tests.system.runtime_fixtures import needs_busybox

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft"), needs_busybox]

Tell = Callable[..., Scenario]
IDLE = "stop_grace_period: 0s, command: sleep infinity"
CHANCES = 500
PAIRS = 10
# A place for each case, made and looked at at once: what takes time here is the commands.
LIST = """for t in /t/*; do cd $t; find . -mindepth 1 | sort | while read p; do
if [ -L $p ]; then echo "$t $p>$(readlink $p)"; elif [ -d $p ]; then echo "$t $p/"; else echo "$t $p=$(cat $p)"; fi; done; done"""
FRESH = """for n in $(seq 0 {last}); do mkdir -p /t/$n/dir /t/$n/full/src; cd /t/$n; echo -n old >file; echo -n x >full/src/x
ln -s dir ldir; ln -s file lfile; ln -s none lnone; done"""

# What docker 28.5.2 made of `docker cp SOURCE container:/t/DESTINATION`: what is there then and was not there before.
INTO = """
file   dir     ./dir/file=hf
file   file    ./file=hf
file   file/   no such directory
file   new     ./new=hf
file   new/    no such directory
file   no/new  could not find
file   ldir    ./dir/file=hf
file   lfile   ./file=hf
file   lnone   ./none=hf
src    dir     ./dir/src/ ./dir/src/in=hin ./dir/src/sub/ ./dir/src/sub/s=hs
src    file    cannot copy directory
src    file/   cannot overwrite non-directory
src    new/    ./new/ ./new/in=hin ./new/sub/ ./new/sub/s=hs
src    lnone   ./none/ ./none/in=hin ./none/sub/ ./none/sub/s=hs
src    full    ./full/src/in=hin ./full/src/sub/ ./full/src/sub/s=hs
src/.  dir     ./dir/in=hin ./dir/sub/ ./dir/sub/s=hs
src/.  new     ./new/ ./new/in=hin ./new/sub/ ./new/sub/s=hs
lsrc   dir     ./dir/lsrc>src
lsrc/  dir     ./dir/lsrc/ ./dir/lsrc/in=hin ./dir/lsrc/sub/ ./dir/lsrc/sub/s=hs
lsrc   file    ./file>src
lsrc   new/    no such directory
-Llsrc new     ./new/ ./new/in=hin ./new/sub/ ./new/sub/s=hs
-Llfile dir    ./dir/lfile=hf
lx     dir     ./dir/lx>nowhere
"""
# And of `docker cp container:/SOURCE DESTINATION`.
OUT_OF = """
f     dir     dir/f=f
f     file    file=f
f     file/   not a directory
f     new     new=f
f     new/    no such directory
f     no/new  invalid output path
f     ldir    dir/f=f
f     lfile   file=f
f     lnone   none=f
d     dir     dir/d/ dir/d/in=in dir/d/sub/ dir/d/sub/s=s
d     file    cannot copy directory
d     new     new/ new/in=in new/sub/ new/sub/s=s
d     full    full/d/in=in full/d/sub/ full/d/sub/s=s
d/    dir     dir/d/ dir/d/in=in dir/d/sub/ dir/d/sub/s=s
d/.   dir     dir/in=in dir/sub/ dir/sub/s=s
d/.   new     new/ new/in=in new/sub/ new/sub/s=s
ld    dir     dir/ld>d
ld/.  lnone   none/ none/in=in none/sub/ none/sub/s=s
lf    file    file>/f
lf/   dir     not a directory
-Lld  dir     dir/ld/ dir/ld/in=in dir/ld/sub/ dir/ld/sub/s=s
-Llf  new     new=f
-Llx  dir     could not find
lx    dir     dir/lx>nowhere
no    dir     could not find
f/.   dir     not a directory
"""


def idle(image: str, **more: str) -> str:
    settings = ", ".join(f"{key}: {value}" for key, value in more.items())
    return f"{{image: 'rootfs:{image}', {IDLE}{', ' + settings if settings else ''}}}"


def run(story: Scenario, *words: str, stdin: bytes = b"", code: int = 0) -> tuple[bytes, str]:
    """One command with bytes, as a pipe has them."""
    with story.engine.start("cp", *words, cwd=story.directory) as process:
        raw = _bytes(process, stdin)
    assert process.returncode == code, raw[1].decode()
    return raw[0], raw[1].decode()


def _bytes(process: Any, stdin: bytes) -> tuple[bytes, bytes]:
    """`Started` talks text: its pipes have the bytes below."""
    found: dict[str, bytes] = {}

    def read(name: str) -> None:
        found[name] = getattr(process, name).buffer.read()

    readers = [threading.Thread(target=read, args=(name,)) for name in ("stdout", "stderr")]
    for each in readers:
        each.start()
    with contextlib.suppress(BrokenPipeError):
        process.stdin.buffer.write(stdin)
        process.stdin.close()
    for each in readers:
        each.join(50)
    process.wait(50)
    return found["stdout"], found["stderr"]


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {each.name: each for each in archive}


def content(data: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read()


def in_there(story: Scenario, service: str, script: str) -> str:
    return story.step(f"exec -T {service} sh -ec '{script}'").out


def here(folder: Path) -> list[str]:
    found = []
    for each in sorted(folder.rglob("*")):
        name = str(each.relative_to(folder))
        if each.is_symlink():
            found.append(f"{name}>{os.readlink(each)}")
        else:
            found.append(f"{name}/" if each.is_dir() else f"{name}={each.read_text().strip()}")
    return found


def cases(table: str) -> list[tuple[list[str], str, str, str]]:
    found = []
    for line in table.strip().splitlines():
        source, destination, expected = line.split(maxsplit=2)
        flags = ["-L"] if source.startswith("-L") else []
        found.append((flags, source.removeprefix("-L"), destination, expected))
    return found


def is_message(expected: str) -> bool:
    return not expected.startswith("./") and "=" not in expected and ">" not in expected


def test_what_is_copied_in_lands_where_dockers_does(scenario: Tell, busybox_image: str) -> None:
    story = scenario(f"services: {{web: {idle(busybox_image)}}}")
    folder = Path(story.directory)
    (folder / "src/sub").mkdir(parents=True)
    for name, text in (("file", "hf"), ("src/in", "hin"), ("src/sub/s", "hs")):
        (folder / name).write_text(text)
    for name, target in (("lsrc", "src"), ("lfile", "file"), ("lx", "nowhere")):
        (folder / name).symlink_to(target)
    story.step("up -d", state("web", "running"))
    table = cases(INTO)
    before = set(in_there(story, "web", f"{FRESH.format(last=len(table) - 1)}\n{LIST}").splitlines())
    for number, (flags, source, destination, expected) in enumerate(table):
        failed = is_message(expected)
        _, said = run(story, *flags, source, f"web:/t/{number}/{destination}", code=1 if failed else 0)
        if failed:
            assert expected in said.lower(), (source, destination)
    after = in_there(story, "web", LIST).splitlines()
    for number, (_, source, destination, expected) in enumerate(table):
        place = f"/t/{number} "
        added = [line.removeprefix(place) for line in after if line.startswith(place) and line not in before]
        assert added == ([] if is_message(expected) else expected.split()), (source, destination)
    places = {line.split(">")[0].split("=")[0] for line in after}
    assert {line.split(">")[0].split("=")[0] for line in before} <= places  # and nothing is gone


def test_what_is_copied_out_lands_where_dockers_does(
    scenario: Tell, busybox_image: str, tmp_path: Path
) -> None:  # fmt: skip
    story = scenario(f"services: {{web: {idle(busybox_image)}}}")
    story.step("up -d", state("web", "running"))
    in_there(story, "web", """
mkdir -p /d/sub; echo -n f >/f; echo -n in >/d/in; echo -n s >/d/sub/s; ln -s d /ld; ln -s /f /lf; ln -s nowhere /lx
""")  # fmt: skip
    for number, (flags, source, destination, expected) in enumerate(cases(OUT_OF)):
        folder = tmp_path / f"t{number}"
        (folder / "dir").mkdir(parents=True)
        (folder / "full/d").mkdir(parents=True)
        (folder / "file").write_text("old")
        (folder / "full/d/x").write_text("x")
        for name, target in (("ldir", "dir"), ("lfile", "file"), ("lnone", "none")):
            (folder / name).symlink_to(target)
        before = here(folder)
        failed = is_message(expected)
        _, said = run(story, *flags, f"web:/{source}", f"{folder}/{destination}", code=1 if failed else 0)
        if failed:
            assert expected in said.lower(), (source, destination)
            assert here(folder) == before
        else:
            added = [line for line in here(folder) if line not in before]
            reached = "none" if destination == "lnone" else "file" if destination == "lfile" else ""
            if reached:  # seen through the symlink as well
                added = [line for line in added if not line.startswith(destination)]
            assert added == expected.split(), (source, destination)


def test_bytes_come_through_both_ways_and_by_pipes(scenario: Tell, busybox_image: str, tmp_path: Path) -> None:
    story = scenario(f"services: {{web: {idle(busybox_image)}}}")
    data = random.Random(8).randbytes(3_000_017)
    Path(story.directory, "blob").write_bytes(data)
    story.step("up -d", state("web", "running"))
    run(story, "blob", "web:/blob")
    assert in_there(story, "web", "wc -c </blob").strip() == str(len(data))
    run(story, "web:/blob", "back")
    assert Path(story.directory, "back").read_bytes() == data
    archive, _ = run(story, "web:/blob", "-")
    assert content(archive, "blob") == data
    in_there(story, "web", "mkdir /there")
    run(story, "-", "web:/there", stdin=archive)
    again, _ = run(story, "web:/there", "-")
    assert content(again, "there/blob") == data
    _, said = run(story, "-", "web:/there/blob", stdin=archive, code=1)
    assert 'destination "shop-web-1:/there/blob" must be a directory' in said
    _, said = run(story, "-", "web:/there", stdin=b"no archive at all", code=1)
    assert "O8-641" in said
    compressed = subprocess.run(["gzip", "-c"], input=archive, capture_output=True, check=True).stdout
    run(story, "-", "web:/", stdin=compressed)


def test_a_copy_goes_into_every_container_of_a_service_and_comes_from_the_first(
    scenario: Tell, busybox_image: str
) -> None:
    story = scenario(f"services: {{web: {idle(busybox_image, scale='3')}}}")
    Path(story.directory, "file").write_text("all")
    story.step("up -d", state("web", "running"))
    story.step("cp file web:/file", err("shop-web-1  Copied", "shop-web-2  Copied", "shop-web-3  Copied"))
    for number in (1, 2, 3):
        story.step(f"exec -T --index {number} web cat /file", out("all"))
        story.step(f"exec -T --index {number} web sh -c 'echo -n {number} >/own'")
    run(story, "web:/own", "own")
    assert Path(story.directory, "own").read_text() == "1"
    run(story, "--index", "3", "web:/own", "own")
    assert Path(story.directory, "own").read_text() == "3"
    story.step("cp --index 2 file web:/second")
    assert [story.run("exec", "-T", "--index", str(n), "web", "test", "-e", "/second").code for n in (1, 2, 3)] == [
        1,
        0,
        1,
    ]
    run(story, "shop-web-2:/own", "own")
    assert Path(story.directory, "own").read_text() == "2"
    archive, _ = run(story, "web:/file", "-")
    run(story, "-", "web:/tmp", stdin=archive)  # which is read once, for all of them
    for number in (1, 2, 3):
        story.step(f"exec -T --index {number} web cat /tmp/file", out("all"))
    story.step("cp file web:/x --index 9", err("has no container #9", "note: shop-web-3: "), code=1)
    story.step("cp web:/x web:/y", err("not from one to another"), code=2)
    story.step("cp file nobody:/x", err("no such service"), code=1)


def test_a_container_need_not_run(scenario: Tell, busybox_image: str) -> None:
    story = scenario(f"""
services:
  web:
    image: 'rootfs:{busybox_image}'
    command: cat /data/in /in
    volumes: ["data:/data", "./bind:/bind:ro"]
    tmpfs: /scratch
volumes: {{data: }}
""")
    (Path(story.directory) / "bind").mkdir()
    Path(story.directory, "file").write_text("before")
    story.step("up -d", eventually(state("web", "exited")))
    story.step("cp file web:/in")
    story.step("cp file web:/data/in")
    story.step("cp file web:/bind/in", err("O8-642", "what is mounted there is read-only"), code=1)
    story.step("cp file web:/scratch/in", err("O8-642", "which is empty until the container runs"), code=1)
    archive, _ = run(story, "web:/data", "-")
    assert content(archive, "data/in") == b"before"
    story.step("up -d", eventually(state("web", "exited")))
    story.check(eventually(lambda tale, _: "" if "beforebefore" in tale.logs("web") else tale.logs("web")))
    archive, _ = run(story, "web:/", "-")
    assert content(archive, "in") == b"before"
    assert "etc/passwd" in members(archive)


def test_mounts_of_a_running_container_are_seen_and_kept(scenario: Tell, busybox_image: str) -> None:
    story = scenario(f"""
services:
  web:
    image: 'rootfs:{busybox_image}'
    {IDLE.replace(", ", chr(10) + "    ")}
    read_only: true
    volumes: ["data:/data", "./bind:/data/bind:ro"]
    tmpfs: /scratch
volumes: {{data: }}
""")
    (Path(story.directory) / "bind").mkdir()
    Path(story.directory, "file").write_text("x")
    story.step("up -d", state("web", "running"))
    story.step("cp file web:/data/in")
    story.step("cp file web:/scratch/in")
    assert in_there(story, "web", "cat /data/in /scratch/in") == "xx"
    story.step("cp file web:/in", err("O8-642", "its root is read-only"), code=1)
    story.step("cp file web:/data/bind/in", err("O8-642", "what is mounted there is read-only"), code=1)
    story.step("cp file web:/proc/sys/kernel/core_pattern", err("the kernel's"), code=1)
    story.step("cp web:/proc/1/environ x", err("the kernel's"), code=1)
    archive, _ = run(story, "web:/", "-")
    found = members(archive)
    assert {"data/in", "scratch/in", "data/bind", "proc", "sys", "dev/null"} <= found.keys()
    assert not any(name.startswith(("proc/", "sys/", "dev/pts/")) for name in found)
    assert (found["dev/null"].ischr(), found["dev/null"].devmajor) == (True, 1)


def test_what_hides_the_machines_own_files_hides_them_from_a_copy(scenario: Tell) -> None:
    """Of an image that is this machine itself, whether the container runs or not."""
    story = scenario(f"services: {{web: {idle('/')}}}")
    Path(story.directory, "file").write_text("x")
    story.step("up -d", state("web", "running"))
    for command in ("exec -T web true", "stop web"):
        story.step(command)
        for place in ("root", "tmp", "run"):
            archive, _ = run(story, f"web:/{place}", "-")
            assert story.directory.removeprefix("/") not in members(archive), (command, place)
            assert not any(name.startswith(("root/", "tmp/o8-", "run/orchestr8")) for name in members(archive))
        archive, _ = run(story, "web:/etc/shadow", "-")
        assert content(archive, "shadow") == b""
        story.step("cp file web:/etc/new")


def test_a_paused_container_is_copied_from_and_to(scenario: Tell, busybox_image: str) -> None:
    story = scenario(f"services: {{web: {idle(busybox_image)}}}")
    Path(story.directory, "file").write_text("x")
    story.step("up -d", state("web", "running"))
    story.step("pause web")
    story.step("cp file web:/file")
    archive, _ = run(story, "web:/file", "-")
    assert content(archive, "file") == b"x"
    story.step("unpause web")
    assert in_there(story, "web", "cat /file") == "x"


def test_what_has_no_copy_is_refused_and_not_looked_through(scenario: Tell, busybox_image: str) -> None:
    story = scenario(
        f"services: {{web: {idle(busybox_image, privileged='true', volumes='[data:/data]')}}}\nvolumes: {{data: }}"
    )
    Path(story.directory, "file").write_text("x")
    story.step("up -d", state("web", "running"))
    in_there(story, "web", "mount --make-unbindable /data")
    story.step("cp file web:/data/", err("/data is mounted unbindable", "stop the container first"), code=1)
    story.step("stop web")
    story.step("cp file web:/data/")
    archive, _ = run(story, "web:/data", "-")
    assert content(archive, "data/file") == b"x"


def test_names_are_bytes(scenario: Tell, busybox_image: str) -> None:
    story = scenario(f"services: {{web: {idle(busybox_image)}}}")
    name = os.fsdecode(b"bad\xffname\n")
    Path(story.directory, name).write_text("x")
    story.step("up -d", state("web", "running"))
    run(story, name, "web:/")
    archive, _ = run(story, f"web:/{name}", "-")
    assert content(archive, name) == b"x"
    run(story, f"web:/{name}", "back")
    assert Path(story.directory, "back").read_text() == "x"
    _, said = run(story, f"web:/no{name}", "back", code=1)
    assert "could not find" in said


def test_an_archive_of_everything_changes_nothing_of_the_kernels(scenario: Tell, busybox_image: str) -> None:
    """Its directories are merged, and those of /proc and /sys are everybody's."""
    story = scenario(f"services: {{web: {idle(busybox_image, privileged='true')}}}")
    story.step("up -d", state("web", "running"))
    before = [os.stat(path) for path in ("/proc", "/proc/fs", "/sys", "/sys/fs/cgroup")]

    def packed(*entries: tuple[str, bytes | None]) -> bytes:
        pieces: list[bytes] = []
        writer = ArchiveWriter(pieces.append)
        for name, data in entries:
            kind = DIRECTORY if data is None else b"0"
            writer.add_entry(Entry(name.encode(), kind, 0o777, 1, 1, len(data or b"")), data or b"")
        writer.finish()
        return b"".join(pieces)

    run(story, "-", "web:/", stdin=packed(("proc/", None), ("proc/fs/", None), ("sys/", None), ("new", b"x")))
    assert in_there(story, "web", "cat /new") == "x"
    for name in ("proc/new", "proc/fs/new", "sys/fs/cgroup/new/x", "sys/kernel/new"):
        _, said = run(story, "-", "web:/", stdin=packed((name, b"x")), code=1)
        assert "the kernel's" in said, name
    after = [os.stat(path) for path in ("/proc", "/proc/fs", "/sys", "/sys/fs/cgroup")]
    assert [(each.st_mode, each.st_uid) for each in after] == [(each.st_mode, each.st_uid) for each in before]


def test_owners_and_rights_come_along_with_a_alone(scenario: Tell, busybox_image: str) -> None:
    story = scenario(f"services: {{web: {idle(busybox_image)}}}")
    path = Path(story.directory, "file")
    path.write_text("x")
    os.chown(path, 1234, 1235)
    path.chmod(0o4751)
    os.setxattr(path, "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    story.step("up -d", state("web", "running"))
    story.step("cp file web:/plain")
    story.step("cp -a file web:/kept")
    assert in_there(story, "web", "stat -c %u:%g:%a /plain /kept") == "0:0:751\n1234:1235:4751\n"
    archive, _ = run(story, "web:/kept", "-")
    assert any("security.capability" in key for key in members(archive)["kept"].pax_headers)
    in_there(story, "web", "mknod /node b 8 0; chmod 666 /node; mkdir /d; mv /node /kept /d; mkfifo /d/fifo")
    story.step(
        "cp web:/d out",
        err(
            "out/node is a device, and was left out",
        ),
    )
    status = (Path(story.directory) / "out/kept").stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (os.geteuid(), 0o751)
    assert "security.capability" not in os.listxattr(Path(story.directory) / "out/kept")
    assert stat.S_ISFIFO((Path(story.directory) / "out/fifo").stat().st_mode)
    in_there(story, "web", "mkdir /m; cd /m; for i in $(seq 30); do mknod $i c 1 3; done")
    _, said = run(story, "web:/m", "many")
    assert (said.count("was left out"), said.count("and 20 more like these")) == (10, 1)
    story.step("cp -a web:/d kept")
    status = (Path(story.directory) / "kept/kept").stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (1234, 0o4751)
    assert (Path(story.directory) / "kept/node").is_block_device()


@requires("id_mapped_tmp")
def test_ids_are_the_containers_where_it_has_its_own(scenario: Tell, mapped_image: str) -> None:
    story = scenario(f"""
services:
  web:
    image: '{mapped_image}'
    {IDLE.replace(", ", chr(10) + "    ")}
    userns_mode: private
    volumes: ["data:/data"]
volumes: {{data: }}
""")
    path = Path(story.directory, "file")
    path.write_text("x")
    os.chown(path, 1234, 1235)
    os.setxattr(path, "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    story.step("up -d", state("web", "running"))
    for place in ("/", "/data/"):
        story.step(f"cp -a file web:{place}running")
        assert in_there(story, "web", f"stat -c %u:%g {place}running") == "1234:1235\n"
    story.step("stop web")
    for place in ("/", "/data/"):
        story.step(f"cp -a file web:{place}stopped")
        for name in ("running", "stopped"):
            archive, _ = run(story, f"web:{place}{name}", "-")
            found = members(archive)[name]
            assert (found.uid, found.gid) == (1234, 1235)
            assert any("security.capability" in key for key in found.pax_headers)
    story.step("start web")
    assert in_there(story, "web", "stat -c %u:%g /stopped /data/stopped") == "1234:1235\n1234:1235\n"
    _, said = run(story, "-", "web:/data", stdin=devices(2000))
    assert (said.count("warning: "), said.count("which cannot be made here")) == (11, 10)
    assert "warning: and 1990 more like these\n" in said


def devices(count: int) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for number in range(count):
            member = tarfile.TarInfo(f"{'n' * 80}{number}")
            member.type, member.devmajor, member.devminor = tarfile.CHRTYPE, 1, 3
            archive.addfile(member)
    return data.getvalue()


@requires("program:mkfs.ext4")
def test_a_layer_of_limited_size_is_copied_from_and_to(scenario: Tell, busybox_image: str) -> None:
    story = scenario(f"services: {{web: {idle(busybox_image, storage_opt='{size: 20M}')}}}")
    Path(story.directory, "file").write_text("x")
    Path(story.directory, "large").write_bytes(random.Random(1).randbytes(40_000_000))
    story.step("up -d", state("web", "running"))
    story.step("cp file web:/running")
    story.step("cp large web:/large", err("No space left on device"), code=1)
    in_there(story, "web", "rm /large")
    story.step("stop web")
    story.step("cp file web:/stopped")
    story.step("cp web:/running back")
    story.step("start web")
    assert in_there(story, "web", "cat /running /stopped") == "xx"


# --- hostile containers -----------------------------------------------------------------------------------------------


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


# --- clients and engines that leave -----------------------------------------------------------------------------------


def copying_processes(story: Scenario) -> list[int]:
    """Of this engine's forkserver."""
    forkserver = json.loads(story.engine.run("engine", "status", "--format", "json").out)["forkserver_pid"]
    with open(f"/proc/{forkserver}/task/{forkserver}/children", encoding="ascii") as file:
        pids = [int(each) for each in file.read().split()]
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip() == "orchestr8-copy":
                found.append(pid)
    return found


def none_left(story: Scenario, _: Any) -> str:
    return f"processes that copy: {left}" if (left := copying_processes(story)) else ""


def slow_reader(story: Scenario) -> socket.socket:
    """A client that asks for more than a socket holds, and reads nothing of it."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(f"{story.engine.run_dir}/engine.sock")
    connection.sendall(b"GET /containers/shop-web-1/archive?path=/large HTTP/1.1\r\nHost: x\r\n\r\n")
    assert connection.recv(12) == b"HTTP/1.1 200"
    return connection


def test_a_client_that_is_slow_or_leaves_holds_up_nobody(scenario: Tell, busybox_image: str) -> None:
    story = scenario(f"services: {{web: {idle(busybox_image)}}}")
    Path(story.directory, "large").write_bytes(bytes(range(256)) * 100_000)
    story.step("up -d", state("web", "running"))
    story.step("cp large web:/large")
    connection = slow_reader(story)
    assert len(copying_processes(story)) == 1
    story.step("exec -T web true")
    story.step("cp web:/large copy")
    connection.close()
    story.check(eventually(none_left))
    connection = slow_reader(story)
    story.step("restart -t 0 web", state("web", "running"))  # which ends it
    story.check(eventually(none_left))
    connection.close()
    story.step("stop web")
    connection = slow_reader(story)
    story.step("cp web:/large copy2", err("being copied"), code=1)
    story.step("start web", state("web", "running"))
    story.check(eventually(none_left))
    connection.close()
    story.step("stop web")
    with socket.socket(socket.AF_UNIX) as writer:
        writer.connect(f"{story.engine.run_dir}/engine.sock")
        writer.sendall(
            b"PUT /containers/shop-web-1/archive?path=/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\nx"
        )
        story.check(eventually(lambda tale, _: "" if copying_processes(tale) else "nobody copies"))
        story.step("start web", state("web", "running"))
        answer = b"".join(iter(lambda: writer.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 409")
        assert b"shop-web-1 was started while its files were being copied" in answer
    connection = slow_reader(story)
    story.step("down -t 0")
    story.check(eventually(none_left))
    connection.close()


def test_a_copy_ends_with_its_engine(scenario: Tell, busybox_image: str) -> None:
    story = scenario(f"services: {{web: {idle(busybox_image)}}}")
    Path(story.directory, "large").write_bytes(bytes(range(256)) * 100_000)
    story.step("up -d", state("web", "running"))
    story.step("cp large web:/large")
    with slow_reader(story):
        (pid,) = copying_processes(story)
        assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "1000\n"
        pidfd = os.pidfd_open(pid)
        os.kill(story.engine.status()["pid"], signal.SIGKILL)
        readable = select.select([pidfd], [], [], 20)[0]
        os.close(pidfd)
        assert readable
    story.step("cp web:/large again")
    assert Path(story.directory, "again").stat().st_size == 25_600_000


def test_the_route_is_dockers(scenario: Tell, busybox_image: str) -> None:
    """A body of a length or in chunks, a head of base64, and an answer that ends when all is there."""
    story = scenario(f"services: {{web: {idle(busybox_image)}}}")
    story.step("up -d", state("web", "running"))
    in_there(story, "web", "echo hi >/f; chmod 4700 /f; ln -s f /l")
    client = Client(f"{story.engine.run_dir}/engine.sock")
    where = "/containers/shop-web-1/archive"
    with client.open("GET", where, query={"path": "/f"}) as response:
        header = response.headers["x-docker-container-path-stat"]
        assert response.headers["content-type"] == "application/x-tar"
        archive = response.read()
    described = json.loads(base64.b64decode(header))
    assert (described["name"], described["size"], described["mode"]) == ("f", 3, 1 << 23 | 0o700)
    assert content(archive, "f") == b"hi\n"
    status, headers = client.head(where, query={"path": "/l"})
    described = json.loads(base64.b64decode(headers["x-docker-container-path-stat"]))
    assert (status, described["linkTarget"], described["mode"]) == (200, "f", 1 << 27 | 0o777)
    assert client.head(where, query={"path": "/none"})[0] == 404
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(client.path)
        head = f"PUT {where}?path=/tmp HTTP/1.1\r\nHost: x\r\nContent-Length: {len(archive)}\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(25) == b"HTTP/1.1 100 \r\n\r\n"
        connection.sendall(archive)
        assert b"".join(iter(lambda: connection.recv(4096), b"")).startswith(b"HTTP/1.1 200")
    assert in_there(story, "web", "cat /tmp/f") == "hi\n"
    with pytest.raises(Unsupported, match="copyUIDGID"):
        client.upload("PUT", where, lambda send: send(archive), query={"path": "/tmp", "copyUIDGID": 1})
