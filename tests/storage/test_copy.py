"""Copying a tree, without root: owners are this user's, device nodes are left to the system tests."""

import ctypes
import os
import shutil
import signal
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestr8.errors import OperationFailed
from orchestr8.storage import copy
from orchestr8.storage.copy import Identity, TreeCopy, identity
from orchestr8.storage.covers import Cover, CoverKind

NOTHING: Mapping[Identity, Cover] = {}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.mkdir()
    return path


def copied(source: Path, hidden: Mapping[Identity, Cover] = NOTHING) -> Path:
    target = source.parent / "target"
    target.mkdir()
    source_fd, target_fd = os.open(source, os.O_RDONLY), os.open(target, os.O_RDONLY)
    TreeCopy(source_fd, target_fd, hidden).run()
    os.close(source_fd)
    os.close(target_fd)
    return target


def test_contents_modes_and_times_are_kept(source: Path) -> None:
    (source / "sub").mkdir()
    (source / "sub/program").write_bytes(b"\0\xff" * 5000)
    (source / "sub/program").chmod(0o4751)
    os.utime(source / "sub/program", ns=(1_000_000_001, 2_000_000_002))
    (source / "sub").chmod(0o2750)
    os.utime(source / "sub", ns=(3_000_000_003, 4_000_000_004))
    source.chmod(0o711)
    target = copied(source)
    status = (target / "sub/program").stat()
    assert (target / "sub/program").read_bytes() == b"\0\xff" * 5000
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o4751, 2_000_000_002)
    status = (target / "sub").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o2750, 4_000_000_004)
    assert stat.S_IMODE(target.stat().st_mode) == 0o711


def test_the_umask_does_not_matter(source: Path) -> None:
    (source / "sub").mkdir()
    (source / "sub").chmod(0o777)
    before = os.umask(0o077)
    try:
        target = copied(source)
    finally:
        os.umask(before)
    assert stat.S_IMODE((target / "sub").stat().st_mode) == 0o777


def test_links_are_copied_as_links(source: Path) -> None:
    os.symlink("/etc", source / "absolute")
    os.symlink("../../etc/passwd", source / "relative")
    os.symlink("gone", source / "dangling")
    target = copied(source)
    assert {name: os.readlink(target / name) for name in os.listdir(target)} == {
        "absolute": "/etc",
        "relative": "../../etc/passwd",
        "dangling": "gone",
    }


def test_names_of_one_file_stay_names_of_one_file(source: Path) -> None:
    (source / "sub").mkdir()
    (source / "one").write_text("x")
    os.link(source / "one", source / "sub/two")
    os.symlink("x", source / "link")
    os.link(source / "link", source / "sub/link", follow_symlinks=False)
    target = copied(source)
    assert os.path.samestat((target / "one").stat(), (target / "sub/two").stat())
    assert os.path.samestat((target / "link").lstat(), (target / "sub/link").lstat())
    assert (target / "one").stat().st_nlink == 2


def test_a_fifo_is_made_and_never_opened(source: Path) -> None:
    os.mkfifo(source / "fifo", 0o640)
    (source / "fifo").chmod(0o622)
    assert (copied(source) / "fifo").lstat().st_mode == stat.S_IFIFO | 0o622


def test_holes_stay_holes(source: Path) -> None:
    with (source / "sparse").open("wb") as file:
        file.seek(64 << 20)
        file.write(b"end")
        file.truncate(128 << 20)
    status = (copied(source) / "sparse").stat()
    assert status.st_size == 128 << 20
    assert status.st_blocks * 512 < 1 << 20
    with (source.parent / "target/sparse").open("rb") as file:
        file.seek(64 << 20)
        assert file.read(4) == b"end\0"


def test_without_copy_file_range_the_bytes_are_the_same(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source / "file").write_bytes(os.urandom(100_000))

    def refuse(*_arguments: object) -> int:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(copy.os, "copy_file_range", refuse)
    assert (copied(source) / "file").read_bytes() == (source / "file").read_bytes()


def test_extended_attributes_are_kept(source: Path) -> None:
    (source / "file").write_text("x")
    try:
        os.setxattr(source / "file", "user.colour", b"blue")
        os.setxattr(source / "file", "user.overlay.opaque", b"y")
    except OSError:
        pytest.skip("this filesystem has no user attributes")
    target = copied(source)
    assert os.getxattr(target / "file", "user.colour") == b"blue"
    assert "user.overlay.opaque" not in os.listxattr(target / "file")


def test_what_is_hidden_is_replaced_by_its_cover(source: Path) -> None:
    (source / "private").mkdir()
    (source / "private/key").write_text("secret")
    (source / "shadow").write_text("secret")
    hidden = {
        identity((source / "private").stat()): Cover("/private", CoverKind.DIRECTORY, 0o700),
        identity((source / "shadow").stat()): Cover("/shadow", CoverKind.FILE, 0o400),
    }
    target = copied(source, hidden)
    assert list((target / "private").iterdir()) == []
    assert (target / "shadow").stat().st_size == 0
    assert stat.S_IMODE((target / "shadow").stat().st_mode) == 0o400


def test_a_tree_deeper_than_we_can_hold_open_is_an_error(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy, "_DEPTH_MAX", 5)
    (source / "1/2/3/4/5/6").mkdir(parents=True)
    with pytest.raises(OperationFailed, match="nests directories deeper than 5"):
        copied(source)


def test_a_file_that_vanishes_meanwhile_is_left_out(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source / "stays").write_text("x")
    real_listdir = os.listdir
    monkeypatch.setattr(copy.os, "listdir", lambda fd: ["gone", *real_listdir(fd)])
    assert real_listdir(copied(source)) == ["stays"]


def test_what_is_swapped_for_a_link_while_it_is_copied_is_never_followed(source: Path, tmp_path: Path) -> None:
    """`rootfs:` images are live: a directory or a file that becomes a symlink, 500 times and more, as fast as it goes."""
    outside = tmp_path / "outside"
    (outside / "sub").mkdir(parents=True)
    (outside / "sub/secret").write_text("secret")
    for place in ("folder", "file"):
        (source / place).mkdir()
        (source / place / "other").symlink_to(outside / "sub" if place == "folder" else outside / "sub/secret")
    (source / "folder/swap").mkdir()
    (source / "folder/swap/ours").write_text("ours")
    (source / "file/swap").write_text("ours")
    child = os.fork()
    if not child:
        exchange = ctypes.CDLL(None).renameat2
        pairs = [[os.fsencode(source / place / name) for name in ("swap", "other")] for place in ("folder", "file")]
        while all(exchange(-100, first, -100, second, 2) == 0 for first, second in pairs):
            pass
        os._exit(1)
    refused = failed = 0
    target = tmp_path / "copies"
    try:
        for _ in range(500):
            target.mkdir()
            source_fd, target_fd = (os.open(each, os.O_RDONLY | os.O_DIRECTORY) for each in (source, target))
            try:
                TreeCopy(source_fd, target_fd, {}).run()
            except OperationFailed as error:
                refused += "was replaced while it was being copied" in error.message
                failed += 1
            finally:
                os.close(source_fd)
                os.close(target_fd)
            found = [path for path in target.rglob("*") if path.is_file() and not path.is_symlink()]
            assert {path.read_text() for path in found} <= {"ours", ""}
            shutil.rmtree(target)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert refused == failed < 500
