"""Layers and volumes on real overlay mounts, each in a mount namespace of its own."""

import ctypes
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestr8.errors import OperationFailed
from orchestr8.image.reference import parse_image
from orchestr8.image.resolve import resolve
from orchestr8.kernel import mount as mounts
from orchestr8.kernel.libc import check, libc
from orchestr8.kernel.mount import MountFlag
from orchestr8.kernel.namespaces import CloneFlag, unshare
from orchestr8.storage.covers import Cover, CoverKind
from orchestr8.storage.overlay import OverlayMount
from orchestr8.storage.remove import remove_tree
from orchestr8.storage.snapshots import SnapshotStore
from orchestr8.storage.trash import Trash
from orchestr8.storage.volumes import VolumeStore

pytestmark = [pytest.mark.system, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

InChild = Callable[[Callable[[], Any]], Any]
ID = "0123456789ab"
_BIND = 4096


def own_mounts() -> None:
    """The calling child's mounts are seen by nobody and vanish with it."""
    unshare(CloneFlag.NEWNS)
    mounts.set_propagation("/", MountFlag.REC | MountFlag.PRIVATE)


def mount_overlay(overlay: OverlayMount, target: Path) -> None:
    target.mkdir(exist_ok=True)
    data = os.fsencode(overlay.data())
    check(libc.mount(b"overlay", os.fsencode(target), b"overlay", ctypes.c_ulong(0), data), "mount", str(target))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    (path / "data").mkdir(parents=True)
    (path / "etc").mkdir()
    (path / "etc/shadow").write_text("secret")
    return path


@pytest.mark.parametrize("name", ["plain", "a:b", "a,b", "a\\b", "a\\:b", "a b", "a\\,b"])
def test_any_path_can_be_a_layer_by_both_ways_to_mount(name: str, in_child: InChild, tmp_path: Path) -> None:
    base = tmp_path / name
    for directory in ("one", "two", "upper", "work"):
        (base / directory).mkdir(parents=True)
    (base / "one/1").touch()
    (base / "two/2").touch()
    overlay = OverlayMount((f"{base}/one", f"{base}/two"), f"{base}/upper", f"{base}/work")

    def child() -> list[list[str]]:
        own_mounts()
        at = tmp_path / "at"
        mount_overlay(overlay, at)
        (at / "by-data").touch()
        seen = [sorted(os.listdir(at))]
        mounts.unmount(str(at))
        root = mounts.new_filesystem("overlay", overlay.parameters())
        os.close(os.open("by-parameters", os.O_CREAT | os.O_WRONLY, dir_fd=root))
        os.close(root)
        return [*seen, sorted(os.listdir(base / "upper"))]

    assert in_child(child) == [["1", "2", "by-data"], ["by-data", "by-parameters"]]


def test_a_container_on_the_hosts_tree_sees_it_without_what_is_covered(in_child: InChild, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    reference = parse_image("rootfs:/")
    covers = (*resolve(reference, str(root)).covers, Cover(str(root), CoverKind.DIRECTORY, 0o700))
    covers = tuple(cover for cover in covers if cover.path != "/tmp")  # the test's own files may be there
    overlay = SnapshotStore(str(root)).prepare(ID, ["/"], covers)

    def child() -> dict[str, Any]:
        own_mounts()
        at = root / "merged"
        mount_overlay(overlay, at)
        hidden = {cover.path: f"{at}{cover.path}" for cover in covers if cover.kind is not CoverKind.TMPFS}
        seen = {
            path: os.listdir(place) if os.path.isdir(place) else Path(place).read_text()
            for path, place in hidden.items()
        }
        Path(f"{at}/root/mine").write_text("x")
        os.rename(f"{at}/root", f"{at}/moved")
        return {
            "seen": seen,
            "moved": os.listdir(f"{at}/moved"),
            "etc": stat.S_IMODE(os.stat(f"{at}/etc").st_mode),
            "same": Path(f"{at}/etc/passwd").read_text() == Path("/etc/passwd").read_text(),
            "under root": os.path.exists(f"{at}/root"),
        }

    found = in_child(child)
    assert {path: contents for path, contents in found["seen"].items() if contents not in ([], "")} == {}
    assert {"/root", str(root)} <= found["seen"].keys()
    assert found["moved"] == ["mine"]
    assert (found["etc"], found["same"], found["under root"]) == (stat.S_IMODE(os.stat("/etc").st_mode), True, False)


def test_a_volume_is_filled_with_owners_devices_acls_and_capabilities(image: Path, tmp_path: Path) -> None:
    (image / "data/file").write_text("x")
    os.chown(image / "data/file", 1000, 2000)
    os.setxattr(image / "data/file", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    os.chmod(image / "data/file", 0o6755)
    os.mknod(image / "data/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.symlink("/etc/passwd", image / "data/link")
    os.chown(image / "data/link", 7, 8, follow_symlinks=False)
    os.chown(image / "data", 33, 33)
    store = VolumeStore(str(tmp_path / "root"))
    data = Path(store.create("v"))
    assert store.seed("v", [str(image)], "/data") is True
    file, link, node = ((data / name).lstat() for name in ("file", "link", "null"))
    assert (file.st_uid, file.st_gid, stat.S_IMODE(file.st_mode)) == (1000, 2000, 0o6755)
    assert len(os.getxattr(data / "file", "security.capability")) == 20
    assert (link.st_uid, link.st_gid) == (7, 8)
    assert (stat.S_ISCHR(node.st_mode), node.st_rdev) == (True, os.makedev(1, 3))
    assert (data.stat().st_uid, data.stat().st_gid) == (33, 33)


def test_a_volume_is_filled_from_merged_layers(image: Path, tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "data").mkdir(parents=True)
    (top / "data/new").write_text("of the top")
    (image / "data/old").write_text("of the bottom")
    (image / "data/gone").write_text("deleted by the top layer")
    os.mknod(top / "data/gone", stat.S_IFCHR, os.makedev(0, 0))
    store = VolumeStore(str(tmp_path / "root"))
    data = Path(store.create("v"))
    assert store.seed("v", [str(top), str(image)], "/data") is True
    assert sorted(os.listdir(data)) == ["new", "old"]


def test_what_the_host_has_mounted_inside_an_image_is_not_copied(
    in_child: InChild, image: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "of-the-host").touch()
    (image / "data/sub").mkdir()
    store = VolumeStore(str(tmp_path / "root"))
    data = Path(store.create("v"))

    def child() -> bool:
        own_mounts()
        target = os.fsencode(image / "data/sub")
        check(libc.mount(os.fsencode(other), target, None, ctypes.c_ulong(_BIND), None), "mount")
        return store.seed("v", [str(image)], "/data")

    assert in_child(child) is True
    assert list((data / "sub").iterdir()) == []


def test_deleting_never_enters_a_mount(in_child: InChild, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("of the user")
    (tmp_path / "top/deep/mounted").mkdir(parents=True)
    (tmp_path / "top/deep/file").touch()

    def child() -> list[str]:
        own_mounts()
        target = os.fsencode(tmp_path / "top/deep/mounted")
        check(libc.mount(os.fsencode(precious), target, None, ctypes.c_ulong(_BIND), None), "mount")
        try:
            remove_tree(str(tmp_path / "top"))
        except OperationFailed as error:
            return error.notes
        return []

    assert in_child(child) == ["top/deep/mounted: something is mounted on it"]
    assert (precious / "file").read_text() == "of the user"
    assert os.listdir(tmp_path / "top/deep") == ["mounted"]
    remove_tree(str(tmp_path / "top"))
    assert not (tmp_path / "top").exists()


def test_an_immutable_file_is_named_with_its_reason(tmp_path: Path) -> None:
    victim = tmp_path / "root/containers" / ID / "upper/file"
    victim.parent.mkdir(parents=True)
    victim.write_text("x")
    made = subprocess.run(["chattr", "+i", str(victim)], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip("this filesystem has no immutable files")
    SnapshotStore(str(tmp_path / "root")).remove(ID)
    trash = Trash(str(tmp_path / "root"))
    left = tmp_path / "root/trash" / os.listdir(tmp_path / "root/trash")[0] / "upper/file"
    try:
        with pytest.raises(OperationFailed) as caught:
            trash.empty()
        assert "upper/file: it, or its directory, is marked immutable" in caught.value.notes[0]
    finally:
        subprocess.run(["chattr", "-i", str(left)], check=True)
    trash.empty()
    assert os.listdir(tmp_path / "root/trash") == []


def test_a_hostile_layer_is_deleted_without_touching_what_it_points_at(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("x")
    store = SnapshotStore(str(tmp_path / "root"))
    image = tmp_path / "image"
    image.mkdir()
    upper = Path(store.prepare(ID, [str(image)]).upperdir)
    os.symlink(outside, upper / "link")
    os.mknod(upper / "disk", stat.S_IFBLK, os.makedev(8, 0))
    os.mknod(upper / "whiteout", stat.S_IFCHR, os.makedev(0, 0))
    (upper / "closed/inner").mkdir(parents=True)
    (upper / "closed").chmod(0)
    store.remove(ID)
    Trash(str(tmp_path / "root")).empty()
    assert os.listdir(tmp_path / "root/trash") == []
    assert (outside / "file").read_text() == "x"
