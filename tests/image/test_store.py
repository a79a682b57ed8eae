import json
from pathlib import Path

import pytest

from orchestr8.errors import OperationFailed, Unsupported
from orchestr8.image import documents
from orchestr8.image.instructions import apply_changes
from orchestr8.image.store import ImageStore
from orchestr8.model.specs import ContainerSpec
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
    for name in ("a:1", found.digest):
        with pytest.raises(OperationFailed, match="is damaged"):
            store.find(name)


@pytest.mark.parametrize("how", ["damaged", "gone", "no manifest", "no digest", "without a config"])
def test_a_damaged_image_hides_no_other_one_from_who_looks_by_id(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    store = ImageStore(str(tmp_path))
    digest = made_digest(store, "bad:1")
    good = made(store, "good:1", message="good")
    if how == "damaged":
        Path(store.blobs.path_of(digest)).write_bytes(b"{}")
    elif how == "gone":
        Path(store.blobs.path_of(digest)).unlink()
    else:
        digest = "../../x" if how == "no digest" else store.blobs.put(b"[]" if how == "no manifest" else BARE).digest
        store.blobs.write_index([{"digest": digest}, *store.blobs.index()])
    found = store.find(good)
    assert found is not None
    assert found.id == good
    (told,) = caplog.messages
    assert f"the image '{digest}' in {tmp_path}/images is passed over: " in told


BARE = json.dumps({"config": {"digest": f"sha256:{'0' * 64}"}, "layers": None}).encode()


def made_digest(store: ImageStore, name: str) -> str:
    made(store, name)
    return store.named[name]


def test_layers_that_the_config_does_not_tell_of_are_a_damage(tmp_path: Path) -> None:
    store = ImageStore(str(tmp_path))
    config = store.blobs.put(documents.image_config({}, [], [], created="2026-01-01T00:00:00Z", author=""))
    manifest = store.blobs.put(documents.manifest(config, [store.blobs.put(b"layer")]))
    with pytest.raises(OperationFailed, match="has 1 layers, and its config tells of 0"):
        store.stored(manifest.digest)


def test_what_is_null_in_a_foreign_image_is_empty(tmp_path: Path) -> None:
    store = ImageStore(str(tmp_path))
    fields = (
        "Env",
        "Entrypoint",
        "Cmd",
        "Labels",
        "Volumes",
        "ExposedPorts",
        "OnBuild",
        "User",
        "WorkingDir",
        "StopSignal",
    )
    document = {"config": dict.fromkeys(fields), "rootfs": {"type": "layers", "diff_ids": None}, "history": None}
    config = store.blobs.put(json.dumps(document).encode())
    manifest = store.blobs.put(json.dumps({"config": {"digest": config.digest}, "layers": None}).encode())
    found = store.stored(manifest.digest)
    assert (found.config, found.layers, found.diff_ids) == ({}, (), ())
    changes = ("ENV A=1", "LABEL b=2", "EXPOSE 80", "VOLUME /v", "ONBUILD RUN x", "WORKDIR w")
    assert apply_changes(documents.config_of(ContainerSpec(image="x"), document["config"]), changes) == {
        "Env": ["A=1"], "Labels": {"b": "2"}, "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/v": {}},
        "OnBuild": ["RUN x"], "WorkingDir": "/w",
    }  # fmt: skip
