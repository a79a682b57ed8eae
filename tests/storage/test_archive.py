"""Trees to archives and back, as any user; owners and devices are left to the system's tests."""

import bz2
import errno
import gzip
import io
import lzma
import os
import shutil
import socket
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestr8.errors import OperationFailed, Unsupported
from orchestr8.storage import tarformat
from orchestr8.storage.archive import ArchiveWriter
from orchestr8.storage.tarformat import Entry
from orchestr8.storage.tarread import TarReader
from tests.requires import requires
from tests.storage.archives import looks, made, nested, packed, refused, source_of, unpack


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "tree"
    (path / "sub/deeper").mkdir(parents=True)
    (path / "empty").mkdir()
    (path / "nothing").touch()
    (path / "sub/binary").write_bytes(bytes(range(256)) * 5)
    (path / "sub/block").write_bytes(b"x" * 512)
    (path / "sub/deeper" / ("long" * 40)).write_bytes(b"1")
    (path / "sub/name with\nnewline").write_bytes(b"2")
    os.close(os.open(os.fsencode(path) + b"/bad\xffname", os.O_CREAT | os.O_WRONLY))
    (path / "link").symlink_to("../nowhere/" + "far" * 50)
    os.mkfifo(path / "fifo", 0o600)
    (path / "sub/binary").chmod(0o751)
    os.utime(path / "sub/binary", ns=(0, 1_234_567_890_123_456_789))
    os.utime(path / "link", ns=(0, 77_000_000_001), follow_symlinks=False)
    (path / "sub").chmod(0o700)
    os.utime(path / "sub", ns=(0, 99))
    return path


@pytest.mark.parametrize("step", [1, 511, 512, 4000, 1 << 20])
def test_a_tree_comes_out_as_it_went_in(tree: Path, tmp_path: Path, step: int) -> None:
    assert unpack(packed(tree), tmp_path / "there", step=step) == []
    assert looks(tmp_path / "there/tree") == looks(tree)


def test_tarfile_unpacks_the_same(tree: Path, tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(packed(tree))) as archive:
        archive.extraction_filter = lambda member, _: member  # of Python 3.12 and later: as it is
        archive.extractall(tmp_path / "there")
    theirs, ours = looks(tmp_path / "there/tree"), looks(tree)
    assert {name: (kind, mode, what) for name, (kind, mode, _, what) in theirs.items()} == {
        name: (kind, mode, what) for name, (kind, mode, _, what) in ours.items()
    }


@requires("program:tar")
def test_gnu_tar_unpacks_the_same_times_included(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    subprocess.run(["tar", "-xpf", "-", "-C", tmp_path / "there"], input=packed(tree), check=True)
    assert looks(tmp_path / "there/tree") == looks(tree)


@requires("program:tar")
@pytest.mark.parametrize("how", ["gnu", "posix", "ustar"])
def test_what_gnu_tar_packs_is_unpacked(tree: Path, tmp_path: Path, how: str) -> None:
    if how == "ustar":  # which cannot have them
        (tree / "link").unlink()
        shutil.rmtree(tree / "sub/deeper")
    done = subprocess.run(
        ["tar", f"--format={how}", "-cf", "-", "-C", tree.parent, "tree"], capture_output=True, check=True
    )
    unpack(done.stdout, tmp_path / "there")
    ours = looks(tree)
    if how != "posix":  # whole seconds
        ours = {name: (kind, mode, time // 10**9 * 10**9, what) for name, (kind, mode, time, what) in ours.items()}  # type: ignore[operator]
    assert looks(tmp_path / "there/tree") == ours


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("step", [1, 5, 9000])
def test_compressed_archives_are_unpacked(tmp_path: Path, compress: Callable[[bytes], bytes], step: int) -> None:
    data = made((Entry(b"a"), b"1" * 3000), (Entry(b"b"), os.urandom(2000)))
    unpack(compress(data[:1000]) + compress(data[1000:]), tmp_path / "there", step=step)
    assert (tmp_path / "there/a").read_bytes() == b"1" * 3000
    error = refused(compress(data)[:-30], tmp_path / "cut")
    assert (error.message, error.code) == ("the archive ends in the middle", "O8-641")


def test_zstd_says_what_to_do(tmp_path: Path) -> None:
    error = refused(b"\x28\xb5\x2f\xfd" + bytes(100), tmp_path / "there")
    assert isinstance(error, Unsupported)
    assert error.helps == ["decompress it: zstd -dc FILE"]


def test_hard_links_stay_links(tmp_path: Path) -> None:
    path = tmp_path / "tree"
    path.mkdir()
    (path / "a").write_bytes(b"once")
    os.link(path / "a", path / "b")
    data = packed(path)
    assert data.count(b"once") == 1
    unpack(data, tmp_path / "there", rename=(b"tree", b"other"))
    assert (tmp_path / "there/other/a").stat().st_ino == (tmp_path / "there/other/b").stat().st_ino


def test_of_files_with_several_names_those_are_held_that_have_more_to_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestr8.storage.archive.LINKED_BYTES_MAX", 2 * (250 + len("tree/a/00")))
    for folder in "abc":
        (tmp_path / "tree" / folder).mkdir(parents=True)
    for number in range(0, 20, 2):
        (tmp_path / f"tree/a/{number:02}").touch()
        (tmp_path / f"tree/a/{number + 1:02}").hardlink_to(tmp_path / f"tree/a/{number:02}")
    unpack(packed(tmp_path / "tree"), tmp_path / "there")
    assert {each.stat().st_nlink for each in (tmp_path / "there/tree/a").iterdir()} == {2}
    for number in range(3):
        (tmp_path / f"tree/b/0{number}").touch()
        (tmp_path / f"tree/c/0{number}").hardlink_to(tmp_path / f"tree/b/0{number}")
    with pytest.raises(
        OperationFailed, match=r"^tree/b/02 cannot be in an archive: 2 files before it have several names"
    ):
        packed(tmp_path / "tree")


def test_a_socket_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "tree"
    path.mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path / "s"))
        unpack(packed(path), tmp_path / "there")
    assert list((tmp_path / "there/tree").iterdir()) == []


def sparse(path: Path, size: int, *written: tuple[int, bytes]) -> Path:
    with path.open("wb") as file:
        for offset, data in written:
            file.seek(offset)
            file.write(data)
        file.truncate(size)
    return path


HUGE = 1 << 40  # a copy that does not see holes would not end


@pytest.mark.parametrize(
    "written",
    [(), ((0, b"begin"),), ((HUGE - 3, b"end"),), ((1 << 30, b"amid" * 5000), (1 << 35, b"late"))],
    ids=["nothing", "begin", "end", "amid"],
)
def test_holes_of_a_file_stay_holes(tmp_path: Path, written: tuple[tuple[int, bytes], ...]) -> None:
    path = sparse(tmp_path / "tree", HUGE, *written)
    if path.stat().st_blocks > 4096:
        pytest.skip("this file system has no sparse files")
    data = packed(path)
    assert len(data) < 1 << 20
    for step in (300, 1 << 20):
        unpack(data, tmp_path / "there", step=step)
        copy = tmp_path / "there/tree"
        assert (copy.stat().st_size, copy.stat().st_blocks <= 4096) == (HUGE, True)
        with copy.open("rb") as file:
            for offset, expected in written:
                file.seek(offset)
                assert file.read(len(expected)) == expected


def test_a_file_with_more_holes_than_a_map_may_tell_is_written_whole_unless_it_is_huge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tarformat, "MAP_BYTES_MAX", 1024)
    written = tuple((8192 * number, b"x" * 4096) for number in range(100))
    path = sparse(tmp_path / "tree", 8192 * 100, *written)
    if path.stat().st_blocks > 1200:
        pytest.skip("this file system has no sparse files")
    unpack(packed(path), tmp_path / "there")
    assert (tmp_path / "there/tree").read_bytes() == path.read_bytes()
    sparse(path, HUGE, *written)
    with pytest.raises(OperationFailed, match="tree cannot be in an archive: it has more holes") as caught:
        packed(path)
    assert caught.value.code == "O8-651"


def test_a_path_that_nobody_can_unpack_is_refused(tmp_path: Path) -> None:
    nested(tmp_path / "tree", "d" * 254, 16)
    unpack(packed(tmp_path / "tree", b"x" * 14), tmp_path / "there")  # "/", 14 and 16 times 255 are 4,095
    with pytest.raises(OperationFailed, match=r"its path has 4,096 bytes, 4,095 are the most") as caught:
        packed(tmp_path / "tree", b"x" * 15)
    assert (caught.value.code, caught.value.helps) == ("O8-651", ["move it further up, or delete it"])
    writer = ArchiveWriter(lambda data: None)
    writer.add_entry(Entry(b"x" * 4094))
    with pytest.raises(OperationFailed, match=r"its path has 4,096 bytes"):
        writer.add_entry(Entry(b"x" * 4095))


def test_an_attribute_whose_name_no_record_can_have_is_told_or_refused() -> None:
    entry = Entry(b"x", xattrs={"user.a=b": b"1", "user.c": b"2"})
    with pytest.raises(OperationFailed, match=r'^x cannot be in an archive: its extended attribute user.a=b has a "="'):
        ArchiveWriter(lambda data: None).add_entry(entry)
    pieces: list[bytes] = []
    told: list[str] = []
    writer = ArchiveWriter(pieces.append, told=told.append)
    writer.add_entry(entry)
    writer.finish()
    assert told == ['x: the extended attribute user.a=b is left out: it has a "=" in its name']
    (found,) = TarReader(source_of(b"".join(pieces)))
    assert found.xattrs == {"user.c": b"2"}


@pytest.mark.parametrize("kind", [tarformat.FILE, tarformat.SYMLINK, tarformat.FIFO, tarformat.DIRECTORY])
def test_what_cannot_be_given_to_its_owner_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: bytes
) -> None:
    seen: list[int] = []

    def fails(what: object, *_: object, **__: object) -> None:
        if isinstance(what, int):
            seen.append(os.fstat(what).st_size)
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fchown", fails)
    monkeypatch.setattr(os, "chown", fails)
    entry = Entry(b"x", kind, link=b"to" if kind == tarformat.SYMLINK else b"", uid=os.geteuid() + 1)
    data = b"secret" if kind == tarformat.FILE else b""
    assert refused(made((entry, data)), tmp_path / "to", own=True).message == "cannot write x: Invalid argument"
    assert os.listdir(tmp_path / "to") == []
    assert seen == ([0] if kind in {tarformat.FILE, tarformat.DIRECTORY} else [])  # nothing was in it yet


def test_attributes_that_are_too_many_to_be_read_are_not_written() -> None:
    writer = ArchiveWriter(lambda data: None)
    with pytest.raises(
        OperationFailed, match=r"^x cannot be in an archive: its extended attributes have 140,012 bytes"
    ):
        writer.add_entry(Entry(b"x", xattrs={"user.a": b"x" * 70_000, "user.b": b"x" * 70_000}))


@requires("program:tar")
def test_gnu_tar_and_we_agree_on_holes(tmp_path: Path) -> None:
    path = sparse(tmp_path / "tree", 50_000_000, (1_000_000, b"x" * 9000), (40_000_000, b"y"))
    theirs = ["tar", "-S", "--format=posix", "--sparse-version=1.0", "-cf", "-", "-C", tmp_path, "tree"]
    unpack(subprocess.run(theirs, capture_output=True, check=True).stdout, tmp_path / "there")
    assert (tmp_path / "there/tree").read_bytes() == path.read_bytes()
    (tmp_path / "back").mkdir()
    subprocess.run(["tar", "-xf", "-", "-C", tmp_path / "back"], input=packed(path), check=True)
    assert (tmp_path / "back/tree").read_bytes() == path.read_bytes()


@requires("program:tar")
def test_gnu_tars_older_sparse_formats_are_refused_with_the_remedy(tmp_path: Path) -> None:
    sparse(tmp_path / "tree", 50_000_000, (1_000_000, b"x"))
    for how in ("--format=gnu", "--sparse-version=0.1"):
        args = ["tar", "-S", "--format=posix", how, "-cf", "-", "-C", tmp_path, "tree"]
        error = refused(subprocess.run(args, capture_output=True, check=True).stdout, tmp_path / "there")
        assert "tar --format=posix" in error.helps[0]


def test_a_file_that_shrinks_is_filled_up_and_one_that_grows_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tree"
    path.mkdir()
    (path / "shrinks").write_bytes(b"s" * 3000)
    (path / "grows").write_bytes(b"g" * 3000)
    real = os.fstat

    def then_changes(fd: int) -> os.stat_result:
        status = real(fd)
        for name, size in (("shrinks", 1000), ("grows", 5000)):
            if (path / name).stat().st_ino == status.st_ino:
                os.truncate(path / name, size)
        return status

    monkeypatch.setattr(os, "fstat", then_changes)
    data = packed(path)
    monkeypatch.undo()
    unpack(data, tmp_path / "there")
    assert (tmp_path / "there/tree/shrinks").read_bytes() == b"s" * 1000 + bytes(2000)
    assert (tmp_path / "there/tree/grows").read_bytes() == b"g" * 3000


def test_what_is_deleted_while_it_is_listed_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tree"
    path.mkdir()
    (path / "a").touch()
    (path / "b").touch()
    real = os.open

    def then_gone(name: str, *arguments: object, **keywords: object) -> int:
        if name == "a":
            (path / "b").unlink(missing_ok=True)
        return real(name, *arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", then_gone)
    data = packed(path)
    monkeypatch.undo()
    unpack(data, tmp_path / "there")
    assert [each.name for each in (tmp_path / "there/tree").iterdir()] == ["a"]


def test_an_owner_may_be_given_and_takes_rights_of_another_one_away(tmp_path: Path) -> None:
    path = tmp_path / "tree"
    path.touch()
    path.chmod(0o6755)
    with tarfile.open(fileobj=io.BytesIO(packed(path, owner=(12345, 6)))) as archive:
        (member,) = archive.getmembers()
    assert (member.uid, member.gid, member.mode) == (12345, 6, 0o755)
    with tarfile.open(fileobj=io.BytesIO(packed(path, owner=(os.geteuid(), path.stat().st_gid)))) as archive:
        (member,) = archive.getmembers()
    assert member.mode == 0o6755


def test_extended_attributes_come_along(tmp_path: Path) -> None:
    path = tmp_path / "tree"
    path.touch()
    try:
        os.setxattr(path, "user.note", b"\0binary\n")
    except OSError:
        pytest.skip("this file system has no extended attributes for users")
    unpack(packed(path), tmp_path / "there")
    assert os.getxattr(tmp_path / "there/tree", "user.note") == b"\0binary\n"


@pytest.mark.parametrize("seconds", [2**63 - 1, 4_700_000_000, -(2**31)])
def test_whatever_time_a_file_can_have_comes_along(tmp_path: Path, seconds: int) -> None:
    path = tmp_path / "tree"
    path.touch()
    os.utime(path, ns=(seconds * 10**9, seconds * 10**9))  # of which the file system makes what it can tell
    unpack(packed(path), tmp_path / "there")
    assert (tmp_path / "there/tree").stat().st_mtime_ns == path.stat().st_mtime_ns


def test_set_id_bits_are_an_owners(tmp_path: Path) -> None:
    data = made((Entry(b"d/", tarformat.DIRECTORY, 0o2755), b""), (Entry(b"d/program", mode=0o6755), b""))
    unpack(data, tmp_path / "there")
    assert stat.S_IMODE((tmp_path / "there/d/program").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "there/d").stat().st_mode) == 0o755


def test_a_device_is_not_made_for_who_does_not_ask(tmp_path: Path) -> None:
    told = unpack(made((Entry(b"disk", tarformat.DEVICE, major=8), b"")), tmp_path / "there")
    assert told == ["disk is a device, and was left out; -a makes it"]
    assert list((tmp_path / "there").iterdir()) == []
