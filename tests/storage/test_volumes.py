"""Volumes without root: the image's mount is stood in for by its directory."""

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from orchestr8.errors import InvalidInput, NotFound
from orchestr8.storage import volumes
from orchestr8.storage.covers import Cover, CoverKind
from orchestr8.storage.trash import Trash
from orchestr8.storage.volumes import VolumeStore


@contextlib.contextmanager
def open_plainly(lowerdirs: Sequence[str]) -> Iterator[int]:
    fd = os.open(lowerdirs[0], os.O_PATH | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VolumeStore:
    monkeypatch.setattr(volumes, "_image_root", open_plainly)
    return VolumeStore(str(tmp_path / "root"))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    (path / "data/sub").mkdir(parents=True)
    (path / "data/file").write_text("from the image")
    (path / "data").chmod(0o750)
    return path


def test_a_volume_is_made_once_and_keeps_its_files(store: VolumeStore, tmp_path: Path) -> None:
    path = store.create("shop_data")
    assert path == f"{tmp_path}/root/volumes/shop_data/data"
    Path(path, "file").write_text("x")
    assert store.create("shop_data") == path
    assert os.listdir(path) == ["file"]
    assert (store.exists("shop_data"), store.exists("other"), store.names()) == (True, False, ["shop_data"])


def test_volumes_are_closed_to_users_of_the_machine(store: VolumeStore, tmp_path: Path) -> None:
    store.create("v")
    assert stat.S_IMODE((tmp_path / "root/volumes").stat().st_mode) == 0o700


def test_removing_frees_the_name_at_once_and_is_safe_to_repeat(store: VolumeStore, tmp_path: Path) -> None:
    Path(store.create("v"), "file").write_text("x")
    store.remove("v")
    store.remove("v")
    assert (store.names(), store.exists("v")) == ([], False)
    assert os.listdir(store.create("v")) == []
    Trash(str(tmp_path / "root")).empty()
    assert os.listdir(tmp_path / "root/trash") == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "-a", "a b", "a" * 256])
def test_a_name_that_is_no_directory_name_is_refused(name: str, store: VolumeStore) -> None:
    for verb in (store.create, store.remove, store.exists):
        with pytest.raises(InvalidInput, match="cannot name a volume"):
            verb(name)


def test_an_empty_volume_is_filled_from_the_image(store: VolumeStore, image: Path) -> None:
    data = Path(store.create("v"))
    assert store.seed("v", [str(image)], "/data") is True
    assert (data / "file").read_text() == "from the image"
    assert (data / "sub").is_dir()
    assert stat.S_IMODE(data.stat().st_mode) == 0o750
    assert os.listdir(data.parent) == ["data"]


def test_a_volume_with_files_is_left_alone(store: VolumeStore, image: Path) -> None:
    data = Path(store.create("v"))
    (data / "mine").write_text("x")
    assert store.seed("v", [str(image)], "/data") is False
    assert os.listdir(data) == ["mine"]


def test_an_empty_directory_of_the_image_still_gives_its_mode(store: VolumeStore, image: Path) -> None:
    (image / "data/sub").chmod(0o1777)
    data = Path(store.create("v"))
    assert store.seed("v", [str(image)], "/data/sub") is True
    assert stat.S_IMODE(data.stat().st_mode) == 0o1777


@pytest.mark.parametrize("target", ["/missing", "/data/file", "/missing/deeper", "/loop"])
def test_nothing_is_copied_where_the_image_has_no_directory(target: str, store: VolumeStore, image: Path) -> None:
    (image / "loop").symlink_to("loop")
    data = Path(store.create("v"))
    assert store.seed("v", [str(image)], target) is False
    assert os.listdir(data.parent) == ["data"]


@pytest.mark.parametrize("link", ["/secret", "../../secret", "../../../../../../../secret"])
def test_a_link_in_the_image_cannot_lead_out_of_it(link: str, store: VolumeStore, image: Path) -> None:
    (image.parent / "secret").mkdir()
    (image.parent / "secret/key").write_text("of the host")
    (image / "data/out").symlink_to(link)
    data = Path(store.create("v"))
    assert store.seed("v", [str(image)], "/data/out") is False
    (image / "secret").mkdir()
    (image / "secret/key").write_text("of the image")
    assert store.seed("v", [str(image)], "/data/out") is True
    assert (data / "key").read_text() == "of the image"


def test_a_covered_place_is_not_copied_from_below_or_above(store: VolumeStore, image: Path) -> None:
    covers = [Cover("/data/sub", CoverKind.DIRECTORY, 0o700), Cover("/data/file", CoverKind.FILE, 0o400)]
    (image / "data/sub/inner").mkdir()
    (image / "data/sub/inner/key").write_text("secret")
    store.create("v")
    assert store.seed("v", [str(image)], "/data/sub", covers) is False
    assert store.seed("v", [str(image)], "/data/sub/inner", covers) is False
    assert store.seed("v", [str(image)], "/data", covers) is True
    data = Path(store.path("v"))
    assert sorted(str(path.relative_to(data)) for path in data.rglob("*")) == ["file", "sub"]
    assert (data / "file").read_text() == ""


def test_a_seed_that_a_crash_interrupted_is_completed_and_overwrites_nothing(store: VolumeStore, image: Path) -> None:
    data = Path(store.create("v"))
    (data.parent / "seeding/half").mkdir(parents=True)
    (data / "file").write_text("written since")
    assert store.seed("v", [str(image)], "/data") is True
    assert (data / "file").read_text() == "written since"
    assert sorted(os.listdir(data)) == ["file", "sub"]
    assert os.listdir(data.parent) == ["data"]


def test_a_missing_volume_cannot_be_filled(store: VolumeStore, image: Path) -> None:
    with pytest.raises(NotFound, match="no volume is called v"):
        store.seed("v", [str(image)], "/data")
