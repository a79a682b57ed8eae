"""What an archive may not do to who unpacks it: names and links that lead out, kinds that change, sizes that lie."""

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from orchestr8.errors import InvalidInput, OperationFailed
from orchestr8.kernel.openat2 import Resolve
from orchestr8.storage import tarformat
from orchestr8.storage.tarformat import Entry
from tests.storage.archives import made, nested, packed, refused, unpack


@pytest.mark.parametrize("name", [b"../out", b"a/../../out", b"/../out", b".."])
def test_no_name_leads_out(tmp_path: Path, name: bytes) -> None:
    error = refused(made((Entry(name), b"evil")), tmp_path / "there")
    assert isinstance(error, InvalidInput)
    assert error.message.endswith("leads out of it")
    assert not (tmp_path / "out").exists()


def test_an_absolute_name_lies_below(tmp_path: Path) -> None:
    unpack(made((Entry(b"/etc/x"), b"1")), tmp_path / "there")
    assert (tmp_path / "there/etc/x").read_bytes() == b"1"


@pytest.mark.parametrize("resolve", [Resolve.BENEATH | Resolve.NO_SYMLINKS, Resolve.BENEATH])
@pytest.mark.parametrize("to", ["/", "..", "../there/../.."])
def test_no_symlink_of_the_archive_leads_out(tmp_path: Path, to: str, resolve: Resolve) -> None:
    out = tmp_path / "outside"
    out.mkdir()
    entry = Entry(b"l", tarformat.SYMLINK, link=to.encode())
    error = refused(
        made((entry, b""), (Entry(b"l" + os.fsencode(tmp_path) + b"/outside/x"), b"evil")),
        tmp_path / "there",
        resolve=resolve,
    )
    assert isinstance(error, OperationFailed)
    assert list(out.iterdir()) == []
    error = refused(made((Entry(b"l/outside/x"), b"evil")), tmp_path / "there", resolve=resolve)
    assert isinstance(error, OperationFailed)
    assert list(out.iterdir()) == []


def test_no_hard_link_leads_out(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"s")
    for target in (b"../secret", b"l/secret"):
        link = Entry(b"l", tarformat.SYMLINK, link=b"..")
        error = refused(made((link, b""), (Entry(b"h", tarformat.HARD_LINK, link=target), b"")), tmp_path / "there")
        assert error.code in {"O8-640", "O8-641"}
    assert (tmp_path / "secret").stat().st_nlink == 1


def test_a_file_takes_a_links_place_and_not_its_targets(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "kept").write_bytes(b"kept")
    (tmp_path / "there/x").symlink_to(tmp_path / "kept")
    os.link(tmp_path / "kept", tmp_path / "there/y")
    unpack(made((Entry(b"x"), b"new"), (Entry(b"y"), b"new")), tmp_path / "there")
    assert (tmp_path / "kept").read_bytes() == b"kept"
    assert (tmp_path / "there/x").read_bytes() == b"new"
    assert not (tmp_path / "there/x").is_symlink()


def test_a_fifo_is_replaced_and_never_opened(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    os.mkfifo(tmp_path / "there/x")  # to open it for writing would wait for ever
    unpack(made((Entry(b"x"), b"new")), tmp_path / "there")
    assert (tmp_path / "there/x").read_bytes() == b"new"


def test_directories_are_merged_and_no_kind_takes_the_others_place(tmp_path: Path) -> None:
    there = tmp_path / "there"
    (there / "d").mkdir(parents=True)
    (there / "d/old").touch()
    (there / "f").touch()
    unpack(made((Entry(b"d/", tarformat.DIRECTORY, 0o750), b""), (Entry(b"d/new"), b"")), there)
    assert sorted(each.name for each in (there / "d").iterdir()) == ["new", "old"]
    assert stat.S_IMODE((there / "d").stat().st_mode) == 0o750
    error = refused(made((Entry(b"d"), b"")), there)
    assert error.message == 'cannot overwrite directory "d" with non-directory'
    error = refused(made((Entry(b"f/", tarformat.DIRECTORY), b"")), there)
    assert error.message == 'cannot overwrite non-directory "f" with directory'


def test_parents_that_are_missing_are_made(tmp_path: Path) -> None:
    unpack(made((Entry(b"a/b/c"), b"1")), tmp_path / "there")
    assert (tmp_path / "there/a/b/c").read_bytes() == b"1"


def test_symlinks_of_parents_may_be_followed_below(tmp_path: Path) -> None:
    there = tmp_path / "there"
    (there / "usr/lib").mkdir(parents=True)
    (there / "lib").symlink_to("usr/lib")
    unpack(made((Entry(b"lib/x"), b"1")), there, resolve=Resolve.BENEATH)
    assert (there / "usr/lib/x").read_bytes() == b"1"


def test_depth_has_a_limit(tmp_path: Path) -> None:
    error = refused(made((Entry(b"d/" * 500 + b"x"), b"")), tmp_path / "there")
    assert error.message.endswith("lies deeper than 400 directories")
    nested(tmp_path / "tree", "d", 405)
    with pytest.raises(OperationFailed, match="nest deeper than 400"):
        packed(tmp_path / "tree")


@pytest.mark.parametrize("left", [100, 600, 1100, 1500])
def test_an_archive_that_is_cut_is_told(tmp_path: Path, left: int) -> None:
    data = made((Entry(b"a"), b"1" * 600), (Entry(b"b"), b""))
    assert refused(data[:left], tmp_path / "there").message == "the archive ends in the middle"


@pytest.mark.parametrize("size", [3000, 3 << 20])
def test_a_file_that_does_not_come_whole_is_not_there(tmp_path: Path, size: int) -> None:
    data = made((Entry(b"d/", tarformat.DIRECTORY), b""), (Entry(b"d/whole"), b"w"), (Entry(b"d/cut"), b"x" * size))
    (tmp_path / "to/d").mkdir(parents=True)
    (tmp_path / "to/d/cut").write_text("before")
    assert refused(data[:-2000], tmp_path / "to").message == "the archive ends in the middle"
    assert os.listdir(tmp_path / "to/d") == ["whole"]


def test_a_sparse_map_that_lies_is_refused(tmp_path: Path) -> None:
    for text in (b"1\n4096\n512\n", b"x\n", b"99999999\n", b"1\n0\n", b"2\n0\n512\n"):
        data = tarformat.padding(0) + text.ljust(512, b"\0") + b"d" * 512
        entry = Entry(b"s", size=len(data), sparse_size=1000)
        error = refused(tarformat.encode(entry) + data + tarformat.END, tmp_path / "there")
        assert error.code == "O8-641", text


def test_many_directories_take_few_descriptors(tmp_path: Path) -> None:
    data = made(*((Entry(b"d%d/x" % number), b"") for number in range(300)))
    unpack(data, tmp_path / "there")
    assert len(list((tmp_path / "there").iterdir())) == 300


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (Entry(b"a\0" + b"b" * 150), "in the archive has a name that no file can have"),
        (Entry(b"x" * 70_000), "has too long a name"),
        (Entry(b"l", kind=tarformat.SYMLINK, link=b"x" * 70_000), "has too long a name"),
        (Entry(b"x", xattrs={"user.a": b"x" * 140_000}), "has attributes that are too large"),
        (Entry(b"x", sparse_size=2**63), "has a size that cannot be"),
        (Entry(b"x", mtime_ns=2**63 * 10**9), "has an owner or a time that cannot be"),
    ],
)
def test_what_no_file_can_be_is_refused_before_it_is_made(tmp_path: Path, entry: Entry, said: str) -> None:
    assert said in refused(made((entry, b"")), tmp_path / "to").message


def test_records_for_the_whole_archive_have_a_limit(tmp_path: Path) -> None:
    """They stay in memory to its end, and ten kilobytes of gzip may have as many as they like."""
    packed = io.BytesIO()
    with tarfile.open(
        fileobj=packed, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "x" * 1_100_000}
    ) as tar:
        tar.addfile(tarfile.TarInfo("file"))
    assert "the records for all of the archive are too large" in refused(packed.getvalue(), tmp_path / "to").message
