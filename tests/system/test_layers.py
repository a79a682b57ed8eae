"""Layers read where the kernel would merge them: whiteouts, covers, mounts, hostile names, limits, races."""

import io
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestr8.errors import OperationFailed
from orchestr8.storage import layers
from orchestr8.storage.archive import ArchiveWriter
from orchestr8.storage.changes import Comparison
from orchestr8.storage.covers import Cover, CoverKind
from orchestr8.storage.layers import Tree, opened
from orchestr8.storage.pack import walk, write_tree
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs")]


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
