import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestr8.errors import InvalidInput, NotFound, OperationFailed
from orchestr8.storage.blobs import Blob, BlobStore


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(str(tmp_path / "images"))


def test_a_blob_is_what_its_name_says(store: BlobStore, tmp_path: Path) -> None:
    blob = store.put(b"some")
    assert blob == Blob(f"sha256:{hashlib.sha256(b'some').hexdigest()}", 4)
    assert (store.has(blob), store.read(blob.digest)) == (True, b"some")
    assert store.put(b"some") == blob
    assert os.listdir(tmp_path / "images/blobs/sha256") == [blob.digest[7:]]
    assert json.loads((tmp_path / "images/oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}


def test_one_that_is_not_finished_is_not_there(store: BlobStore) -> None:
    with pytest.raises(KeyError), store.writing() as blob:
        blob.write(b"half")
        assert len(store.half_made()) == 1
        raise KeyError
    assert store.half_made() == []


def test_a_damaged_or_missing_one_is_told(store: BlobStore) -> None:
    blob = store.put(b"some")
    Path(store.path_of(blob.digest)).write_bytes(b"same")
    with pytest.raises(OperationFailed, match="is damaged"):
        store.read(blob.digest)
    os.unlink(store.path_of(blob.digest))
    with pytest.raises(NotFound):
        store.read(blob.digest)
    assert not store.has(blob)


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:../../x", f"sha256:{'A' * 64}", f"md5:{'0' * 64}"])
def test_no_name_leads_elsewhere(store: BlobStore, digest: str) -> None:
    with pytest.raises(InvalidInput):
        store.path_of(digest)


def test_the_disk_is_not_filled(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fstatvfs", lambda _: SimpleNamespace(f_bavail=70_000, f_frsize=4096))
    with pytest.raises(OperationFailed, match="would fill the disk") as caught, store.writing() as blob:
        blob.write(b"x")
    assert caught.value.code == "O8-505"
    assert store.half_made() == []


def test_an_index_is_empty_until_it_is_written_and_damage_is_told(store: BlobStore, tmp_path: Path) -> None:
    assert store.index() == []
    store.write_index([{"digest": "x"}])
    assert store.index() == [{"digest": "x"}]
    (tmp_path / "images/index.json").write_text("{")
    with pytest.raises(OperationFailed, match="damaged"):
        store.index()
