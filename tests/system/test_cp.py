"""`cp` with real containers: bytes, replicas, states, mounts, owners and limits."""

import io
import os
import random
import socket
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from e2e.checks import err, out, state
from e2e.scenario import eventually
from orchestr8.storage.archive import ArchiveWriter
from orchestr8.storage.tarformat import DIRECTORY, Entry
from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.copying_lab import IDLE, Tell, content, idle, in_there, members, run

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft"), needs_busybox]


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
    story.step("exec -T --index 2 web mkdir -p /mixed/file")  # which a file does not take the place of
    not_there = "2 of 3 containers have it, but not shop-web-2"
    story.step("exec -T --index 1 web mkdir /mixed")
    story.step("exec -T --index 3 web mkdir /mixed")
    story.step("cp file web:/mixed", err("shop-web-3  Copied", not_there), code=1)
    story.step("exec -T --index 3 web cat /mixed/file", out("all"))
    story.step("exec -T --index 3 web rm /mixed/file")
    _, said = run(story, "-", "web:/mixed", stdin=archive, code=1)
    assert not_there in said
    story.step("exec -T --index 3 web cat /mixed/file", out("all"))
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


def test_a_socket_is_no_file_to_be_copied(scenario: Tell, busybox_image: str) -> None:
    story = scenario(f"services: {{web: {idle(busybox_image)}}}")
    story.step("up -d", state("web", "running"))
    pid = story.step("inspect --format .State.Pid web").out.strip()
    with socket.socket(socket.AF_UNIX) as there, socket.socket(socket.AF_UNIX) as own:
        there.bind(f"/proc/{pid}/root/tmp/s")
        own.bind(str(Path(story.directory, "s")))
    said = err("is a socket, which is nothing without its program")
    story.step("cp web:/tmp/s x", said, code=1)
    story.step("cp s web:/tmp/x", said, code=1)
    story.step("cp web:/tmp .")
    assert os.listdir(Path(story.directory, "tmp")) == []


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
    story.step("cp web:/d out", err("out/node is a device, and was left out"))
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
    in_there(story, "web", "! ls /large")  # what is not whole is not there
    story.step("stop web")
    story.step("cp file web:/stopped")
    story.step("cp web:/running back")
    story.step("start web")
    assert in_there(story, "web", "cat /running /stopped") == "xx"
