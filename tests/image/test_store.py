from pathlib import Path

import pytest

from orchestr8.errors import OperationFailed, Unsupported
from orchestr8.image.store import ImageStore
from orchestr8.storage.blobs import Blob
from orchestr8.storage.overlay import OverlayMount


def made(store: ImageStore, name: str, text: bytes = b"layer", message: str = "") -> str:
    """The id of an image of one layer."""
    layer = store.blobs.put(text)
    history = [{"created": "2026-01-01T00:00:00Z", "comment": message}]
    return store.add(
        {"Cmd": ["x"]}, [(layer, layer.digest)], history, name=name, created="2026-01-01T00:00:00Z", author=""
    ).id  # fmt: skip


def names(store: ImageStore) -> list[str]:
    return [next(iter(each.get("annotations", {"": "-"}).values())) for each in store.blobs.index()]


def test_an_image_is_found_by_name_and_by_id(tmp_path: Path) -> None:
    store = ImageStore(str(tmp_path))
    assert store.find("a:1") is None
    one = made(store, "a:1")
    found = store.find("a:1")
    assert found is not None
    assert found == store.find(one) == store.find(found.digest)
    assert (found.id, found.config, len(found.layers)) == (one, {"Cmd": ["x"]}, 1)
    assert store.find(f"sha256:{'0' * 64}") is None


def test_a_name_is_the_newests_and_the_one_before_is_known_by_its_id(tmp_path: Path) -> None:
    store = ImageStore(str(tmp_path))
    one, two = made(store, "a:1", message="one"), made(store, "a:1", message="two")
    assert names(store) == ["-", "a:1"]
    assert [store.find(each) is not None for each in (one, two)] == [True, True]
    found = store.find("a:1")
    assert found is not None
    assert found.id == two


def test_the_same_again_is_the_same_once_with_all_its_names(tmp_path: Path) -> None:
    store = ImageStore(str(tmp_path))
    ids = {made(store, name) for name in ("", "", "a:1", "a:1", "b:1", "")}
    assert (len(ids), names(store)) == (1, ["a:1", "b:1"])


def test_a_directory_is_packed_again_when_its_layer_is_lost_or_it_changed_meanwhile(tmp_path: Path) -> None:
    store = ImageStore(str(tmp_path))
    packed: list[Blob] = []

    def pack(same: bool) -> tuple[Blob, bool]:
        packed.append(store.blobs.put(b"%d" % len(packed)))
        return packed[-1], same

    assert store.base("f", lambda: pack(False)) == packed[0]
    assert store.base("f", lambda: pack(True)) == packed[1]
    assert store.base("f", lambda: pack(True)) == packed[1]
    Path(store.blobs.path_of(packed[1].digest)).unlink()
    assert store.base("f", lambda: pack(True)) == packed[2]
    assert len(packed) == 3


@pytest.mark.parametrize("root", ["/r", "/var/lib/orchestr8", "/" + "x" * 200])
def test_as_many_layers_are_taken_as_one_mount_can_be_told_of(root: str) -> None:
    store = ImageStore(root)
    count = 1
    with pytest.raises(Unsupported) as caught:
        while True:
            store.check_height(count)
            count += 1
    assert caught.value.code == "O8-507"
    lower = [f"{root}/layers/{number:040}" for number in range(count - 1)]
    folder = f"{root}/containers/0123456789ab"
    options = OverlayMount((*lower, f"{root}/skeleton"), f"{folder}/upper", f"{folder}/work").data()
    assert len(options) < 4096
    assert count - 1 >= 10


def test_what_the_index_names_and_is_not_there_is_told(tmp_path: Path) -> None:
    store = ImageStore(str(tmp_path))
    made(store, "a:1")
    found = store.find("a:1")
    assert found is not None
    Path(store.blobs.path_of(found.digest)).write_bytes(b"{}")
    with pytest.raises(OperationFailed, match="is damaged"):
        store.find("a:1")
