"""What a container has changed, told of real layers: whiteouts, covers, mounts, hostile names, deep trees, races."""

import io
import json
import os
import select
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.checks import log, out, state
from e2e.scenario import Scenario, eventually
from orchestr8.errors import OperationFailed
from orchestr8.storage import layers
from orchestr8.storage.archive import ArchiveWriter
from orchestr8.storage.changes import Comparison
from orchestr8.storage.covers import Cover, CoverKind
from orchestr8.storage.layers import Tree, opened
from orchestr8.storage.pack import walk, write_tree
from tests.requires import requires
from tests.system.busybox import install_busybox, needs_busybox

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


# --- the merge alone -----------------------------------------------------------------------------------------------------


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[tuple[Path, Path, Path]]:
    """(lower, upper, merged): an overlay to write in."""
    lower, upper, merged = (tmp_path / name for name in ("lower", "upper", "merged"))
    for each in (lower, upper, merged, tmp_path / "work"):
        each.mkdir()
    (lower / "d/sub").mkdir(parents=True)
    for name in ("d/a", "d/b", "d/sub/c", "file", "gone"):
        (lower / name).write_text(name)
    options = f"lowerdir={lower},upperdir={upper},workdir={tmp_path / 'work'}"
    subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", merged], check=True)
    yield lower, upper, merged
    subprocess.run(["umount", merged], check=True)


def listed(tree: Tree) -> dict[str, str]:
    """Everything below, with what it holds."""
    found: dict[str, str] = {}
    todo = [(tree.names(), "")]
    while todo:
        names, _ = todo[-1]
        if not names:
            todo.pop()
            if todo:
                tree.leave()
            continue
        name = names.pop()
        entry = tree.look(name)
        if entry is None:
            continue
        if entry.is_directory:
            found[tree.path(name)] = oct(entry.mode)
            assert tree.enter(name, entry)
            todo.append((tree.names(), name))
        else:
            fd = tree.open(name, entry)
            assert fd is not None
            with open(fd, "rb") as file:
                found[tree.path(name)] = file.read().decode()
    return found


def seen(top: Path) -> dict[str, str]:
    found = {}
    for path in top.rglob("*"):
        name = f"/{path.relative_to(top)}"
        found[name] = oct(path.stat().st_mode) if path.is_dir() else path.read_text()
    return found


def test_the_merge_is_what_the_kernel_shows(mounted: tuple[Path, Path, Path]) -> None:
    lower, upper, merged = mounted
    (merged / "gone").unlink()
    shutil.rmtree(merged / "d/sub")
    (merged / "d/sub").mkdir()
    (merged / "d/sub/new").write_text("n")
    (merged / "d/a").write_text("changed")
    (merged / "file").unlink()
    (merged / "file").mkdir()
    (merged / "file/in").write_text("i")
    with opened([str(upper), str(lower)]) as tree:
        assert listed(tree) == seen(merged)


def test_covers_hide_what_is_below_and_not_what_is_above(mounted: tuple[Path, Path, Path]) -> None:
    lower, upper, merged = mounted
    (merged / "d/mine").write_text("m")
    covers = [Cover("/d/sub", CoverKind.DIRECTORY, 0o700), Cover("/file", CoverKind.FILE, 0o400)]
    with opened([str(upper), str(lower)], covers, covered=1) as tree:
        wanted = {**seen(merged), "/d/sub": "0o40700", "/file": ""}
        del wanted["/d/sub/c"]
        assert listed(tree) == wanted


def test_what_is_covered_is_in_no_archive(tmp_path: Path) -> None:
    """As of the machine's own tree: what the covers hide never gets into an image or an export."""
    host = tmp_path / "host"
    for name in ("etc", "root/.ssh", "tmp"):
        (host / name).mkdir(parents=True)
    for name in ("etc/shadow", "etc/passwd", "root/.ssh/id", "tmp/socket"):
        (host / name).write_text("secret\n" if name != "etc/passwd" else "known\n")
    (host / "etc").chmod(0o755)
    (host / "etc/passwd").chmod(0o644)
    covers = [
        Cover("/etc/shadow", CoverKind.FILE, 0o400),
        Cover("/root", CoverKind.DIRECTORY, 0o700),
        Cover("/tmp", CoverKind.TMPFS, 0o1777),
    ]
    pieces: list[bytes] = []
    with opened([str(host)], covers) as tree:
        writer = ArchiveWriter(pieces.append)
        write_tree(tree, writer)
        writer.finish()
    whole = b"".join(pieces)
    assert b"secret" not in whole
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        assert [(each.name, each.mode, each.size) for each in tar] == [
            ("etc", 0o755, 0),
            ("etc/passwd", 0o644, 6),
            ("etc/shadow", 0o400, 0),
            ("root", 0o700, 0),
            ("tmp", 0o1777, 0),
        ]


def test_what_is_mounted_in_a_layer_is_not_seen(tmp_path: Path) -> None:
    (tmp_path / "layer/place").mkdir(parents=True)
    (tmp_path / "layer/place").chmod(0o755)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path / "layer/place"], check=True)
    try:
        (tmp_path / "layer/place/secret").write_text("s")
        with opened([str(tmp_path / "layer")]) as tree:
            assert listed(tree) == {"/place": "0o40755"}
    finally:
        subprocess.run(["umount", tmp_path / "layer/place"], check=True)


def test_a_directory_that_moves_while_it_is_far_below_is_told(tmp_path: Path) -> None:
    """Its `..` is another one by then: nothing of that is read."""
    deep = tmp_path / "layer" / "/".join(["d"] * 80)
    deep.mkdir(parents=True)
    with opened([str(tmp_path / "layer")]) as tree:
        for _ in range(80):
            entry = tree.look("d")
            assert entry is not None
            assert tree.enter("d", entry)
        (tmp_path / "elsewhere").mkdir()
        deep.rename(tmp_path / "elsewhere/d")
        with pytest.raises(OperationFailed, match="was moved while it was read"):
            tree.leave()


def test_a_layer_with_redirects_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "upper/d").mkdir(parents=True)
    (tmp_path / "lower").mkdir()
    os.setxattr(tmp_path / "upper/d", "trusted.overlay.redirect", b"/old")
    told = pytest.raises(OperationFailed, match=r"/d is stored in a way that cannot be read yet.*redirect_dir")
    with opened([str(tmp_path / "upper")]) as upper, opened([str(tmp_path / "lower")]) as lower, told:
        list(Comparison(upper, lower).run())


def test_more_files_than_can_be_held_are_refused_in_one_directory_or_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "_NAMES_BYTES_MAX", 10 * (layers._NAME_BYTES + 1))
    for folder in (".", "a", "b", "c", "c/a"):
        for name in "abcd":
            (tmp_path / "deep" / folder / name).mkdir(parents=True, exist_ok=True)
    for name in "abcdefghijk":
        (tmp_path / "flat" / name).mkdir(parents=True)
    with opened([str(tmp_path / "deep")]) as tree:
        with pytest.raises(OperationFailed, match=r"^/c/a and the directories above it hold more files than are read"):
            list(walk(tree))
        assert tree.depth == 2
    with (
        opened([str(tmp_path / "flat")]) as tree,
        pytest.raises(OperationFailed, match="hold more files than are read"),
    ):
        tree.names()
    (tmp_path / "flat/k").rmdir()
    with opened([str(tmp_path / "flat")] * 2) as tree:
        assert "".join(tree.names()) == "abcdefghij"


def test_a_walk_ends_when_it_is_told_to(tmp_path: Path) -> None:
    def no_further() -> None:
        raise KeyError

    (tmp_path / "upper").mkdir()
    with opened([str(tmp_path)], go_on=no_further) as tree, pytest.raises(KeyError):
        list(Comparison(tree, tree).run())


def test_links_lead_nowhere_but_inside(tmp_path: Path) -> None:
    (tmp_path / "layer/etc").mkdir(parents=True)
    (tmp_path / "layer/etc/resolv.conf").symlink_to("../../../run/./x/../y/resolv.conf")
    (tmp_path / "layer/var").symlink_to("/etc")
    (tmp_path / "layer/loop").symlink_to("loop")
    with opened([str(tmp_path / "layer")]) as tree:
        assert tree.real_path("/etc/resolv.conf") == "/run/x/../y/resolv.conf"
        assert tree.real_path("/var/hosts") == "/etc/hosts"
        assert tree.real_path("/loop") == "/loop"
        assert tree.depth == 0


def test_fifos_and_devices_are_not_opened(tmp_path: Path) -> None:
    """Nobody writes to this fifo: an open that waited would wait for ever; one that races with a swap is not that file."""
    layer = tmp_path / "layer"
    layer.mkdir()
    (layer / "file").write_text("f")
    with opened([str(layer)]) as tree:
        entry = tree.look("file")
        assert entry is not None
        (layer / "file").unlink()
        os.mkfifo(layer / "file")
        assert tree.open("file", entry) is None
        (layer / "file").unlink()
        (layer / "file").symlink_to("/etc/passwd")
        assert tree.open("file", entry) is None


def test_swaps_never_lead_out_of_a_layer(tmp_path: Path) -> None:
    """A directory that is a symlink to the host's every other moment."""
    layer = tmp_path / "layer"
    (layer / "x").mkdir(parents=True)
    (layer / "x/inside").touch()
    os.symlink("/etc", layer / "y")
    ends = threading.Event()

    def swap() -> None:
        while not ends.is_set():
            for one, other in (("x", "t"), ("y", "x"), ("t", "y")):
                os.rename(layer / one, layer / other)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        (tmp_path / "empty").mkdir()
        with opened([str(layer)]) as tree, opened([str(tmp_path / "empty")]) as base:
            for _ in range(300):
                for change in Comparison(tree, base).run():
                    assert change.path in {f"/{name}{rest}" for name in "xyt" for rest in ("", "/inside")}
    finally:
        ends.set()
        swapper.join()
