"""`diff` and `export` of real containers: told as docker tells it, while files change, and when who asks leaves."""

import json
import os
import select
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.checks import log, out, state
from e2e.scenario import Scenario, eventually
from tests.requires import requires
from tests.system.runtime_fixtures import install_busybox, needs_busybox

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft"), needs_busybox]

Tell = Callable[..., Scenario]
# What docker 28.5.2 says of the same deeds in a container of the same image (`docker diff`, sorted), but for two names that it
# prints as they are: a line break, and a byte that is no UTF-8.
DEEDS = r"""
echo new > /new
mkdir -p /fresh/deeper && echo x > /fresh/deeper/x
mkfifo /fresh/fifo; ln -s nowhere /fresh/link; mknod /fresh/null c 1 3
touch /base/touched; chmod 600 /base/chmodded; chown 5:6 /base/chowned; echo 55 > /base/rewritten
rm /base/file
rm -r /base/full && mkdir /base/full && echo f2 > /base/full/f && echo h > /base/full/h
rm -r /base/gone
rm -r /base/kind && echo nowfile > /base/kind
mv /base/renamed /base/moved
ln /base/linked /base/linked2
rm /base/tolink && ln -s file /base/tolink
rm /base/todir && mkdir /base/todir && echo in > /base/todir/in
cp -p /base/same /base/same.new && mv /base/same.new /base/same
chmod 700 /base/dir/sub
echo b2 > /base/dir/b
printf x > "/fresh/new
line"
printf x > "/fresh/$(printf "bad\377name")"
printf x > "/fresh/back\slash"
printf x > /vol/deep/file; echo t > /scratch/t/file
echo hi >> /etc/hosts
echo did all
exec sleep 1000
"""
DOCKER = r"""
C /base
C /base/chmodded
C /base/chowned
C /base/dir
C /base/dir/b
C /base/dir/sub
D /base/file
C /base/full
C /base/full/f
D /base/full/g
A /base/full/h
D /base/gone
C /base/kind
A /base/linked2
A /base/moved
A /base/moved/r
D /base/renamed
C /base/rewritten
C /base/todir
A /base/todir/in
C /base/tolink
C /base/touched
A /fresh
A /fresh/back\slash
A /fresh/bad\xffname
A /fresh/deeper
A /fresh/deeper/x
A /fresh/fifo
A /fresh/link
A /fresh/new\nline
A /fresh/null
A /mnt
A /mnt/bound
A /mnt/bound/file
A /new
A /scratch
A /scratch/t
A /vol
A /vol/deep
""".lstrip()
MOUNTED = ("dev", "proc", "sys", "etc/h", "etc/r", "vol", "mnt", "scratch")
STACK = """
services:
  web:
    image: rootfs:{tree}
    entrypoint: [sh, -c, '. /base/deeds']
    stop_grace_period: 0s
    volumes: [vol:/vol/deep, /etc/hostname:/mnt/bound/file:ro]
    tmpfs: [/scratch/t]
{more}
volumes: {{vol: {{}}}}
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An image with busybox, and files for things to be done to."""
    top = tmp_path / "tree"
    base = top / "base"
    for name in ("bin", "etc", "tmp", "base/dir/sub", "base/full", "base/gone", "base/kind", "base/renamed"):
        (top / name).mkdir(parents=True)
    install_busybox(f"{top}/bin")
    for name in ("dir/a", "dir/b", "dir/sub/s", "full/f", "full/g", "gone/x", "kind/k", "renamed/r", "file"):
        (base / name).write_text(f"{name}\n")
    for name in ("touched", "chmodded", "chowned", "rewritten", "linked", "tolink", "todir", "same"):
        (base / name).write_text(f"{name}\n")
    (base / "link").symlink_to("file")
    os.mkfifo(base / "fifo")
    (base / "deeds").write_text(DEEDS)
    return top


@pytest.mark.parametrize("more", ["", "    storage_opt: {size: 64m}", "    userns_mode: private"])
def test_diff_tells_what_docker_tells(scenario: Tell, tree: Path, more: str) -> None:
    story = scenario(STACK.format(tree=tree, more=more))
    story.step("up -d", eventually(log("web", "did all")))
    expected = DOCKER.replace("A /fresh/null\n", "") if "userns" in more else DOCKER  # whose root may make no device
    assert story.step("diff web").out == expected
    story.step("stop", state("web", "exited"))
    assert story.step("diff web").out == expected, "when it does not run, too"
    lines = [json.loads(line) for line in story.step("diff --format json --index 1 web").out.splitlines()]
    assert {"Path": "/fresh/bad\udcffname", "Kind": "A"} in lines
    assert len(lines) == expected.count("\n")
    story.step("start", eventually(log("web", "did all")))
    story.step("down -v")


def test_an_export_is_what_a_container_sees_but_for_what_is_mounted(scenario: Tell, tree: Path, tmp_path: Path) -> None:
    """Told by the container itself (names that `stat` would quote are left to other tests)."""
    story = scenario(STACK.format(tree=tree, more=""))
    story.step("up -d", eventually(log("web", "did all")))
    archive, again = tmp_path / "web.tar", tmp_path / "again.tar"
    story.step(f"export -o {archive} web")
    inside = story.run(
        "exec",
        "-T",
        "web",
        "find",
        "/",
        "-xdev",
        "!",
        "-path",
        "/fresh/bad*",
        "!",
        "-path",
        "/fresh/new*",
        "-exec",
        "stat",
        "-c",
        "%F|%a|%u|%g|%s|%Y|%n",
        "{}",
        "+",
    )
    seen = {}
    for line in inside.out.splitlines():
        if line.count("|") == 6:
            kind, *fields, size, changed, name = line.split("|")
            ordinary = kind.startswith("regular")
            seen[name.lstrip("/")] = (*fields, size if ordinary else "0", changed)
    with tarfile.open(archive) as tar:
        found = {
            each.name: (f"{each.mode:o}", str(each.uid), str(each.gid), str(each.size), str(int(each.mtime)))
            for each in tar
            if not each.islnk()
        }
        assert tar.extractfile("base/rewritten").read() == b"55\n"  # type: ignore[union-attr]
        assert tar.getmember("base/linked2").linkname == "base/linked"
        assert tar.getmember("fresh/null").ischr()
        assert tar.getmember("vol/deep").isdir()
        assert "vol/deep/file" not in found
        assert "fresh/bad\udcffname" in found
    shared = [name for name in found if name in seen and not name.startswith(MOUNTED)]
    assert len(shared) > 100
    assert {name: found[name] for name in shared} == {name: seen[name] for name in shared}
    unseen = {name for name in seen if name and name not in found}
    assert unseen <= {"base/linked2"}, unseen
    story.step("stop", state("web", "exited"))
    story.step(f"export -o {again} web")
    assert again.read_bytes() == archive.read_bytes()
    story.step("down -v")


def test_an_export_of_what_changes_meanwhile_is_an_archive(scenario: Tell, tree: Path, tmp_path: Path) -> None:
    busy = (
        "cd /; mkdir r; while :; do head -c 3000000 /dev/zero > r/big; mkdir -p r/a/b; echo x > r/a/b/f; truncate -s 5 r/big;"
        " mkfifo r/p; mv r/p r/q; ln -sf /etc r/a/l; rm -rf r/a r/q; done"
    )
    story = scenario(f"""
services:
  web: {{image: "rootfs:{tree}", command: ["sh", "-c", "echo begun; {busy}"], stop_grace_period: 0s}}
""")
    story.step("up -d", eventually(log("web", "begun")))
    for _ in range(20):
        story.step(f"export -o {tmp_path}/web.tar web")
        with tarfile.open(tmp_path / "web.tar") as tar:
            names = [each.name for each in tar]
            assert "base/file" in names
            assert len(names) == len(set(names))
            for each in tar:
                assert not each.isfile() or len(tar.extractfile(each).read()) == each.size  # type: ignore[union-attr]
    story.step("down")


def test_the_machines_own_tree_has_changed_in_nothing_but_what_was_done(scenario: Tell) -> None:
    """Its covers are empty places in the container's layer, and none of its doing."""
    deeds = "echo x > /root/x; echo y > /home/y; mkdir /opt/z; echo root > /etc/shadow; echo t > /tmp/t; echo did all"
    story = scenario(f"""
services:
  idle: {{image: "rootfs:/", command: sleep 1000, stop_grace_period: 0s}}
  busy: {{image: "rootfs:/", command: ["sh", "-c", "{deeds}; exec sleep 1000"], stop_grace_period: 0s}}
""")
    story.step("up -d", eventually(log("busy", "did all")))
    assert story.step("diff idle").out == ""
    assert story.step("diff busy").out == (
        "C /etc\nC /etc/shadow\nC /home\nA /home/y\nC /opt\nA /opt/z\nC /root\nA /root/x\n"
    )
    story.step("diff nobody", code=1)
    story.step("diff --index 2 idle", code=1)
    story.step("down")


def test_a_deep_tree_and_one_that_is_changed_meanwhile_are_told(scenario: Tell, tree: Path) -> None:
    deep = "cd /tmp; for i in $$(seq 1000); do mkdir d && cd d; done; touch end"
    busy = "cd /; while :; do mkdir -p /r/a/b/c; touch /r/a/b/c/f; mv /r/a /r/z; rm -rf /r/z; done"
    story = scenario(f"""
services:
  web:
    image: rootfs:{tree}
    command: ["sh", "-c", "{deep}; echo did all; {busy}"]
    stop_grace_period: 0s
""")
    story.step("up -d", eventually(log("web", "did all")))
    for _ in range(20):
        found = story.step("diff web", out("C /tmp\n")).out.splitlines()
        assert max(line.count("/d") for line in found) == 1000
        assert "A /tmp" + "/d" * 1000 + "/end" in found
        assert all(line.startswith(("A /r", "A /tmp/d", "C /tmp")) for line in found)
    story.step("down")


def test_who_leaves_an_export_takes_no_place_from_others(scenario: Tell, tree: Path) -> None:
    with (tree / "large").open("wb") as file:
        file.write(os.urandom(20 << 20))
    story = scenario(f"""
services:
  web: {{image: "rootfs:{tree}", command: ["sleep", "1000"], stop_grace_period: 0s}}
""")
    story.step("up -d")
    leaving = [
        story.engine.start("export", "web", cwd=story.directory, environment=story.environment) for _ in range(20)
    ]
    pipes = [process.stdout for process in leaving if process.stdout is not None]
    begun: list[object] = []
    while len(begun) < 16:  # those wait for somebody to read what they write, the others for their turn
        begun = select.select(pipes, [], [], 20)[0]
        assert begun
    for process in leaving:
        with process:
            process.kill()
    story.step("diff web", out(""))
    story.step("down")
