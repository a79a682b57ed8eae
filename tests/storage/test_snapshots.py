import os
import stat
from pathlib import Path

import pytest

from orchestr8.errors import InvalidInput
from orchestr8.storage import snapshots
from orchestr8.storage.covers import Cover, CoverKind
from orchestr8.storage.overlay import OverlayMount
from orchestr8.storage.snapshots import SnapshotStore

ID = "0123456789ab"


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "image"
    (path / "etc").mkdir(parents=True)
    (path / "etc/shadow").write_text("secret")
    (path / "var/lib/engine").mkdir(parents=True)
    (path / "var").chmod(0o751)
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SnapshotStore:
    monkeypatch.setattr(snapshots, "_OPAQUE", "user.opaque")  # trusted attributes need root
    return SnapshotStore(str(tmp_path / "root"))


def test_a_layer_is_made_beside_the_bundle(store: SnapshotStore, image: str, tmp_path: Path) -> None:
    folder = f"{tmp_path}/root/containers/{ID}"
    expected = OverlayMount((image,), f"{folder}/upper", f"{folder}/work")
    assert store.prepare(ID, [image]) == expected
    assert store.mount(ID, [image]) == expected
    assert sorted(os.listdir(folder)) == ["upper", "work"]


def test_the_root_directory_looks_like_the_images(store: SnapshotStore, image: str) -> None:
    os.chmod(image, 0o711)
    assert stat.S_IMODE(os.stat(store.prepare(ID, [image]).upperdir).st_mode) == 0o711


def test_covers_hide_files_and_directories_but_leave_the_way_there_as_it_was(store: SnapshotStore, image: str) -> None:
    covers = [
        Cover("/etc/shadow", CoverKind.FILE, 0o400),
        Cover("/var/lib/engine", CoverKind.DIRECTORY, 0o700),
        Cover("/tmp", CoverKind.TMPFS, 0o1777),
    ]
    upper = Path(store.prepare(ID, [image], covers).upperdir)
    assert sorted(str(path.relative_to(upper)) for path in upper.rglob("*")) == [
        *("etc", "etc/shadow", "var", "var/lib", "var/lib/engine"),
    ]
    assert (upper / "etc/shadow").read_text() == ""
    assert [stat.S_IMODE((upper / name).stat().st_mode) for name in ("etc/shadow", "var", "var/lib/engine")] == [
        *(0o400, 0o751, 0o700),
    ]
    assert os.getxattr(upper / "var/lib/engine", "user.opaque") == b"y"
    assert os.listxattr(upper / "var") == []


def test_a_second_start_leaves_the_layer_alone(store: SnapshotStore, image: str) -> None:
    upper = Path(store.prepare(ID, [image]).upperdir)
    (upper / "etc").symlink_to("/etc")  # a container may do that; nothing may go through it
    store.prepare(ID, [image], [Cover("/etc/shadow", CoverKind.FILE, 0o400)])
    assert os.readlink(upper / "etc") == "/etc"


def test_a_half_made_layer_is_made_anew(store: SnapshotStore, image: str, tmp_path: Path) -> None:
    (tmp_path / f"root/containers/{ID}/upper.new/half").mkdir(parents=True)
    upper = Path(store.prepare(ID, [image]).upperdir)
    assert list(upper.iterdir()) == []


def test_the_containers_folder_is_closed_to_users(store: SnapshotStore, image: str, tmp_path: Path) -> None:
    store.prepare(ID, [image])
    assert stat.S_IMODE((tmp_path / "root/containers").stat().st_mode) == 0o700


def test_removing_frees_the_id_at_once_and_is_safe_to_repeat(store: SnapshotStore, image: str, tmp_path: Path) -> None:
    store.prepare(ID, [image])
    store.remove(ID)
    store.remove(ID)
    assert os.listdir(tmp_path / "root/containers") == []


@pytest.mark.parametrize("name", ["..", "a/b", "", "."])
def test_an_id_that_is_a_path_is_refused(name: str, store: SnapshotStore, image: str) -> None:
    with pytest.raises(InvalidInput):
        store.prepare(name, [image])
    with pytest.raises(InvalidInput):
        store.remove(name)
