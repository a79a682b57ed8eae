import os
from pathlib import Path

import pytest

from orchestr8.errors import OperationFailed
from orchestr8.storage import remove
from orchestr8.storage.remove import remove_tree
from orchestr8.storage.trash import Trash


def test_a_tree_of_everything_is_deleted(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "a/b/c").mkdir(parents=True)
    (top / "a/file").write_text("x")
    (top / "a/b/empty").mkdir()
    os.mkfifo(top / "fifo")
    os.symlink("/nonexistent", top / "dangling")
    (top / "no\nnewline\udcff").write_text("x")
    remove_tree(str(top))
    assert os.listdir(tmp_path) == []


def test_links_are_deleted_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    top = tmp_path / "top"
    (top / "sub").mkdir(parents=True)
    os.symlink(outside, top / "directory")
    os.symlink(outside / "precious", top / "sub/file")
    os.link(outside / "precious", top / "hard")
    remove_tree(str(top))
    assert os.listdir(tmp_path) == ["outside"]
    assert (outside / "precious").read_text() == "x"


def test_a_link_itself_can_be_the_top(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    os.symlink(outside, tmp_path / "top")
    remove_tree(str(tmp_path / "top"))
    assert os.listdir(tmp_path) == ["outside"]


def test_depth_has_no_limit(tmp_path: Path) -> None:
    """Deeper than PATH_MAX, the recursion limit and the number of descriptors a process may have."""
    os.mkdir(tmp_path / "top")
    fd = os.open(tmp_path / "top", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    remove_tree(str(tmp_path / "top"))
    assert os.listdir(tmp_path) == []


def test_a_directory_with_many_entries_is_deleted_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remove, "_BATCH", 7)
    for number in range(100):
        (tmp_path / f"top/d{number}").mkdir(parents=True)
        (tmp_path / f"top/d{number}/inner").write_text("x")
        (tmp_path / f"top/f{number}").write_text("x")
    remove_tree(str(tmp_path / "top"))
    assert os.listdir(tmp_path) == []


def test_nothing_there_is_fine(tmp_path: Path) -> None:
    remove_tree(str(tmp_path / "missing"))
    remove_tree(str(tmp_path / "missing/deeper"))


def test_what_resists_is_named_and_the_rest_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "top/a/stays").mkdir(parents=True)
    (tmp_path / "top/a/file").write_text("x")
    (tmp_path / "top/b").mkdir()
    real_rmdir = os.rmdir

    def rmdir(name: str, *, dir_fd: int) -> None:
        if name == "stays":
            raise OSError(16, "Device or resource busy")
        real_rmdir(name, dir_fd=dir_fd)

    monkeypatch.setattr(remove.os, "rmdir", rmdir)
    with pytest.raises(OperationFailed, match="cannot delete all of 'top'") as caught:
        remove_tree(str(tmp_path / "top"))
    assert caught.value.notes == ["top/a/stays: something is mounted on it"]
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["top", "top/a", "top/a/stays"]


def test_many_failures_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        (tmp_path / f"top/{number:02}").mkdir(parents=True)

    def rmdir(name: str, *, dir_fd: int) -> None:
        raise OSError(39 if name == "top" else 16, "")

    monkeypatch.setattr(remove.os, "rmdir", rmdir)
    with pytest.raises(OperationFailed) as caught:
        remove_tree(str(tmp_path / "top"))
    assert len(caught.value.notes) == 11
    assert caught.value.notes[-1] == "and 2 more"


def test_a_discarded_name_is_free_at_once_and_deleted_later(tmp_path: Path) -> None:
    trash = Trash(str(tmp_path))
    for _ in range(2):
        (tmp_path / "thing/inner").mkdir(parents=True)
        trash.discard(str(tmp_path / "thing"))
        assert not (tmp_path / "thing").exists()
    assert len(os.listdir(tmp_path / "trash")) == 2
    trash.empty()
    assert os.listdir(tmp_path / "trash") == []


def test_discarding_what_is_gone_and_emptying_nothing_are_fine(tmp_path: Path) -> None:
    trash = Trash(str(tmp_path))
    trash.empty()
    trash.discard(str(tmp_path / "missing"))
    trash.empty()


def test_the_trash_is_closed_to_others(tmp_path: Path) -> None:
    Trash(str(tmp_path)).discard(str(tmp_path / "missing"))
    assert (tmp_path / "trash").stat().st_mode & 0o777 == 0o700
