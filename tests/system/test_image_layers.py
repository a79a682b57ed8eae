"""Layers of others, unpacked for the kernel: whiteouts, names and links that lead out, damage."""

import os
from pathlib import Path

import pytest

from orchestr8.errors import InvalidInput, OperationFailed
from orchestr8.image.unpack import unpack
from orchestr8.storage import tarformat
from orchestr8.storage.archive import ArchiveWriter
from orchestr8.storage.blobs import Blob, BlobStore
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs")]


def layer(tmp_path: Path, *entries: tarformat.Entry) -> tuple[str, Blob]:
    store = BlobStore(str(tmp_path / "store"))
    with store.writing() as made:
        writer = ArchiveWriter(made.write)
        for entry in entries:
            writer.add_entry(entry)
        writer.finish()
        blob = made.finish()
    return store.path_of(blob.digest), blob


def file(name: bytes) -> tarformat.Entry:
    return tarformat.Entry(name, tarformat.FILE)


def test_whiteouts_become_the_kernels(tmp_path: Path) -> None:
    names = (b"d/.wh..wh..opq", b"d/x", b".wh.gone", b"a/b/.wh.deep")
    path, made = layer(tmp_path, *map(file, names))
    unpack(path, made, str(tmp_path / "layer"), print)
    top = tmp_path / "layer"
    assert os.getxattr(top / "d", "trusted.overlay.opaque") == b"y"
    for name in ("gone", "a/b/deep"):
        status = (top / name).stat()
        assert ((top / name).is_char_device(), status.st_rdev) == (True, 0)
    assert sorted(os.listdir(tmp_path)) == ["layer", "store"]


@pytest.mark.parametrize("name", [b"../x", b"a/../../x", b".wh...", b"a/.wh..", b".wh."])
def test_no_name_leads_out_of_a_layer(tmp_path: Path, name: bytes) -> None:
    path, made = layer(tmp_path, file(name))
    with pytest.raises((InvalidInput, OperationFailed)):
        unpack(path, made, str(tmp_path / "in/layer"), print)
    assert (sorted(os.listdir(tmp_path)), os.listdir(tmp_path / "in")) == (["in", "store"], [])


def test_no_link_leads_out_of_a_layer(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = tarformat.Entry(b"l", tarformat.SYMLINK, link=os.fsencode(outside))
    for name in (b"l/x", b"l/.wh.x", b"l/.wh..wh..opq"):
        path, made = layer(tmp_path, link, file(name))
        with pytest.raises((InvalidInput, OperationFailed)):
            unpack(path, made, str(tmp_path / "in/layer"), print)
    assert (os.listdir(outside), os.listxattr(outside), os.listdir(tmp_path / "in")) == ([], [], [])


def test_a_damaged_layer_is_not_there(tmp_path: Path) -> None:
    path, made = layer(tmp_path, file(b"x"))
    data = bytearray(Path(path).read_bytes())
    data[-1] = 1
    Path(path).write_bytes(data)
    with pytest.raises(OperationFailed, match="is damaged"):
        unpack(path, made, str(tmp_path / "layer"), print)
    assert os.listdir(tmp_path) == ["store"]


def test_the_umask_of_this_process_stays_what_it_is(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        path, made = layer(tmp_path, tarformat.Entry(b"d/", tarformat.DIRECTORY, 0o777))
        unpack(path, made, str(tmp_path / "layer"), print)
        assert (tmp_path / "layer/d").stat().st_mode & 0o777 == 0o777
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
