"""What a container keeps, shares and may not write: its own layer, binds, named and anonymous volumes, tmpfs."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.checks import containers, err, file, log, out, state
from e2e.scenario import Scenario, eventually
from orchestr8.storage import limited
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
IDLE = 'image: "rootfs:/", stop_grace_period: 0s, command: sleep infinity'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small image: busybox, and a directory that belongs to somebody."""
    tree = tmp_path / "tree"
    for folder in ("bin", "etc", "tmp", "srv/data/inner"):
        (tree / folder).mkdir(parents=True)
    busybox = Path("/bin/busybox").read_bytes()
    (tree / "bin/busybox").write_bytes(busybox)
    (tree / "bin/busybox").chmod(0o755)
    for name in ("sh", "sleep", "cat", "ls", "stat", "touch", "rm", "echo", "id", "mkdir", "df", "test", "mount"):
        (tree / "bin" / name).symlink_to("busybox")
    (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nkeeper:x:1234:1234::/:/bin/sh\n")
    (tree / "srv/data/seed").write_text("from the image\n")
    (tree / "srv/data/inner/deep").write_text("deeper\n")
    for place in ("srv/data", "srv/data/seed"):
        os.chown(tree / place, 1234, 1234)
    (tree / "srv/data").chmod(0o750)
    return tree


def test_a_container_has_a_layer_of_its_own_until_it_is_removed(scenario: Tell, tree: Path) -> None:
    story = scenario(
        f"services: {{web: {{image: 'rootfs:{tree}', command: sleep 100000, scale: 2, stop_grace_period: 0s}}}}"
    )
    story.step("up -d")
    story.step("exec web sh -c 'echo mine > /etc/own; rm /srv/data/seed; echo changed > /srv/data/inner/deep'")
    story.step("exec web sh -c 'cat /etc/own /srv/data/inner/deep; ls /srv/data'", out("mine\nchanged\ninner\n"))
    story.step("exec --index 2 web ls /etc/own", code=1)
    story.step("exec --index 2 web cat /srv/data/seed", out("from the image"))
    assert (tree / "srv/data/seed").read_text() == "from the image\n"
    assert not (tree / "etc/own").exists()
    story.step("restart web")
    story.step("exec web cat /etc/own", out("mine"))
    story.step("up -d --force-recreate")
    story.step("exec web ls /etc/own", code=1)


def test_a_named_volume_is_filled_once_and_kept_until_it_is_asked_to_go(scenario: Tell, tree: Path) -> None:
    service = f"image: 'rootfs:{tree}', command: sleep 100000, stop_grace_period: 0s"
    story = scenario(f"""
services:
  one: {{{service}, volumes: ["data:/srv/data"]}}
  two: {{{service}, volumes: [{{type: volume, source: data, target: /shared, read_only: true}}], depends_on: [one]}}
  bare: {{{service}, volumes: [{{type: volume, source: empty, target: /srv/data, volume: {{nocopy: true}}}}]}}
volumes: {{data: , empty: }}
""")
    story.step("up -d")
    story.step(
        "exec one sh -c 'cat /srv/data/seed /srv/data/inner/deep; stat -c %u:%g:%a /srv/data'",
        out("from the image\ndeeper\n1234:1234:750\n"),
    )
    story.step("exec -u keeper one sh -c 'echo kept > /srv/data/seed'")
    story.step("exec two cat /shared/seed", out("kept"))
    story.step("exec two touch /shared/new", err("Read-only file system"), code=1)
    assert story.step("exec bare ls -A /srv/data").out == ""
    story.step("down")
    story.step("up -d")
    story.step("exec one cat /srv/data/seed", out("kept"))
    volumes = f"{story.engine.root}/volumes"
    assert sorted(os.listdir(volumes)) == ["shop_data", "shop_empty"]
    story.step("down -v")
    assert os.listdir(volumes) == []
    story.step("up -d one")
    story.step("exec one cat /srv/data/seed", out("from the image"))


def test_a_volume_of_no_name_stays_with_its_place_until_the_volumes_go(scenario: Tell, tree: Path) -> None:
    story = scenario(
        f"services: {{web: {{image: 'rootfs:{tree}', command: sleep 100000, stop_grace_period: 0s, volumes: [/srv/data]}}}}"
    )
    story.step("up -d")
    story.step("exec web sh -c 'echo kept > /srv/data/seed'")
    story.step("up -d --force-recreate")
    story.step("exec web cat /srv/data/seed", out("kept"))
    story.step("down -v")
    assert os.listdir(f"{story.engine.root}/volumes") == []
    assert story.step("run --rm web cat /srv/data/seed").out == "from the image\n"
    assert os.listdir(f"{story.engine.root}/volumes") == [], "that of a one-off goes with it"


def test_binds_are_the_hosts_own_and_read_only_when_told(scenario: Tell) -> None:
    story = scenario(f"""
services:
  web:
    {{{IDLE}, volumes: [
      "./writable:/writable", "./given:/given:ro", {{type: bind, source: ./given/file, target: /etc/one-file, read_only: true}},
      {{type: bind, source: /etc/hostname, target: /etc/fixed}}]}}
""")
    given = Path(story.directory, "given")
    given.mkdir()
    (given / "file").write_text("from the host\n")
    story.step("up -d")
    story.step("exec web cat /given/file /etc/one-file", out("from the host\nfrom the host\n"))
    story.step("exec web touch /given/new", err("Read-only file system"), code=1)
    story.step("exec web sh -c 'echo x >> /etc/one-file'", err("Read-only file system"), code=2)
    story.step("exec web sh -c 'echo back > /writable/file'", file("writable/file", "back\n"))
    (given / "later").write_text("seen at once\n")
    story.step("exec web cat /given/later", out("seen at once"))
    story.step("down -v", containers(), file("writable/file", "back\n"), file("given/file", "from the host\n"))


def test_a_missing_bind_source_is_made_or_refused(scenario: Tell) -> None:
    story = scenario(f"services: {{web: {{{IDLE}, volumes: [./made/here:/made]}}}}")
    story.step("up -d", state("web", "running"))
    assert Path(story.directory, "made/here").is_dir()
    story.step("down")
    strict = "{type: bind, source: ./absent, target: /absent, bind: {create_host_path: false}}"
    story = scenario(f"services: {{web: {{{IDLE}, volumes: [{strict}]}}}}")
    story.step("up -d", err("absent does not exist"), code=1)
    assert not Path(story.directory, "absent").exists()


def test_tmpfs_has_its_size_and_mode_and_is_empty_at_each_start(scenario: Tell) -> None:
    show = "stat -fc '%T %b %S' /a /b /c; stat -c '%a %u %g' /a /b /c; ls -A /a; touch /a/file; exec sleep infinity"
    story = scenario(f"""
services:
  web:
    image: rootfs:/
    stop_grace_period: 0s
    command: [sh, -c, "{show}"]
    tmpfs: ["/a:size=1m,mode=700,uid=5,gid=6", /b]
    volumes: [{{type: tmpfs, target: /c, tmpfs: {{size: 2097152, mode: 0o1770}}}}]
""")
    story.step(
        "up -d",
        eventually(log("web", "tmpfs 256 4096\n", "tmpfs", "tmpfs 512 4096\n", "700 5 6\n1777 0 0\n1770 0 0\n")),
    )
    first = story.logs("web")
    story.step("restart")
    assert story.logs("web") == first + first
    story.step("exec web dd if=/dev/zero of=/a/big bs=64k count=32", err("No space left on device"), code=1)


def test_a_read_only_container_writes_only_where_it_is_given_room(scenario: Tell) -> None:
    story = scenario(f"""
services:
  web: {{{IDLE}, read_only: true, tmpfs: [/tmp], volumes: ["data:/data"]}}
volumes: {{data: }}
""")
    story.step("up -d")
    for place in ("/", "/etc", "/usr", "/root"):
        story.step(f"exec web touch {place}/file", err("Read-only file system"), code=1)
    story.step("exec web touch /tmp/file /data/file /dev/shm/file")
    story.step("exec web sh -c 'echo x > /dev/null; echo x > /dev/stderr'", err("x\n"))


def test_a_volume_of_another_stack_is_shared_when_it_is_called_external(scenario: Tell, tmp_path: Path) -> None:
    story = scenario(f"services: {{web: {{{IDLE}, volumes: ['data:/data']}}}}\nvolumes: {{data: {{name: common}}}}")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/stack.yml").write_text(
        f"services: {{web: {{{IDLE}, volumes: ['data:/data']}}}}\nvolumes: {{data: {{name: common, external: true}}}}"
    )
    other = Scenario(story.engine, str(tmp_path / "other"))
    other.step("up -d", err('external volume "common" not found'), code=1)
    story.step("up -d")
    other.step("up -d")
    story.step("exec web sh -c 'echo hello > /data/file'")
    other.step("exec web cat /data/file", out("hello"))
    story.step("down -v", err("volume common is still in use by other-web-1 and stays"))
    other.step("down -v")
    assert os.listdir(f"{story.engine.root}/volumes") == ["common"], "an external volume is not this stack's to remove"
    story.step("down -v")


@requires("program:mkfs.ext4", "program:losetup", "program:unshare")
def test_a_limited_layer_that_somebody_still_holds_is_one_file_system(tmp_path: Path) -> None:
    """Whoever gets a mount namespace while a layer is mounted has it for longer: two file systems would destroy the file."""
    folder = str(tmp_path)
    limited.make(folder, 16 << 20)
    limited.mount(folder)
    holder = subprocess.Popen(["unshare", "--mount", "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        device = os.stat(f"{folder}/layer").st_dev
        limited.unmount(folder)
        limited.mount(folder)
        assert os.stat(f"{folder}/layer").st_dev == device
        Path(f"{folder}/layer/second").write_text("seen by both")
        assert Path(f"/proc/{holder.pid}/root{folder}/layer/second").read_text() == "seen by both"
    finally:
        limited.unmount(folder)
        holder.kill()
        holder.communicate()
    listed = subprocess.run(["losetup", "-a"], capture_output=True, text=True, check=True).stdout
    assert folder not in listed
