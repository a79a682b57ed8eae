import os
from pathlib import Path

import pytest

from orchestr8.backends.native import making
from orchestr8.runtime import bundle
from orchestr8.runtime.logwriter import LogWriter
from orchestr8.runtime.places import LOG_FILE
from orchestr8.runtime.statefile import StateFile
from orchestr8.storage.blanks import FEW, READY, Blanks
from orchestr8.storage.snapshots import SnapshotStore
from orchestr8.storage.trash import Trash

ID = "0123456789ab"
FILES = {"hostname": "web\n", "hosts": "127.0.0.1 localhost\n", "resolv.conf": "nameserver 127.0.0.11\n"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "containers").mkdir(mode=0o700)
    return tmp_path


@pytest.fixture
def blanks(root: Path) -> Blanks:
    return making.blanks(str(root))


def shape(folder: str) -> dict[str, tuple[int, str]]:
    """Of everything below: mode, and what is in it."""
    return {
        os.path.relpath(path, folder): (path.stat().st_mode, path.read_text() if path.is_file() else "")
        for path in (Path(folder), *Path(folder).rglob("*"))
    }


def test_what_is_made_of_a_blank_is_what_would_have_been_made_without(root: Path, blanks: Blanks) -> None:
    found = []
    for number, ahead in enumerate((True, False)):
        name = f"{ID}{number}"
        folder = f"{root}/containers/{name}"
        if ahead:
            blanks.fill()
            assert blanks.take(folder)
        SnapshotStore(str(root)).prepare(name, ["/usr"], blank=ahead)
        bundle.write(folder, {"ociVersion": "1.2.0"}, FILES)
        StateFile(folder).close()
        LogWriter(f"{folder}/{LOG_FILE}").close()
        found.append(shape(folder))
    assert found[0] == found[1]
    assert "config.json" in found[0]


def test_as_many_as_are_taken_are_made_again(root: Path, blanks: Blanks) -> None:
    assert not blanks.take(f"{root}/containers/first"), "nobody has made any"
    blanks.fill()
    assert len(os.listdir(root / "blanks")) == READY
    assert not blanks.wanting
    taken = [blanks.take(f"{root}/containers/{number}") for number in range(READY + 1)]
    assert taken == [True] * READY + [False]
    assert blanks.wanting
    blanks.fill()
    assert len(os.listdir(root / "blanks")) == READY


def test_a_few_are_made_while_others_wait(root: Path, blanks: Blanks) -> None:
    assert blanks.scarce
    blanks.fill(FEW)
    assert len(os.listdir(root / "blanks")) == FEW
    assert blanks.wanting
    assert not blanks.scarce
    assert blanks.take(f"{root}/containers/{ID}")
    assert blanks.scarce


def test_what_an_interrupted_creation_left_is_not_replaced(root: Path, blanks: Blanks) -> None:
    (root / "containers/half/upper").mkdir(parents=True)
    blanks.fill()
    assert not blanks.take(f"{root}/containers/half")
    assert os.listdir(root / "containers/half") == ["upper"]
    assert not blanks.wanting, "the blank is there for the next"


def test_a_blank_that_is_gone_is_none(root: Path, blanks: Blanks) -> None:
    blanks.fill()
    for name in os.listdir(root / "blanks"):
        os.rename(root / "blanks" / name, root / f"stolen-{name}")
    assert not blanks.take(f"{root}/containers/{ID}")
    assert blanks.wanting


def test_the_blanks_of_an_engine_before_this_one_are_put_away(root: Path, blanks: Blanks) -> None:
    blanks.fill()
    (root / "blanks/5.new").mkdir()  # it died over this one
    next_engines = making.blanks(str(root))
    next_engines.clear()
    next_engines.fill()
    assert len(os.listdir(root / "blanks")) == READY
    next_engines.clear()
    assert not (root / "blanks").exists()
    Trash(str(root)).empty()
    assert not next_engines.take(f"{root}/containers/{ID}")


def test_what_cannot_be_made_to_its_end_is_put_away(root: Path) -> None:
    blanks = Blanks(str(root), folders={"work": 0o700}, files={"none/such": 0o600})
    with pytest.raises(FileNotFoundError):
        blanks.fill()
    assert not blanks.fill(), "tried again, and told once"
    assert os.listdir(root / "blanks") == []


def test_a_disk_that_refuses_is_told_and_tried_again(root: Path, blanks: Blanks) -> None:
    (root / "blanks").write_text("no folder")
    with pytest.raises(FileExistsError):
        blanks.fill()
    (root / "blanks").unlink()
    assert blanks.fill()
    assert not blanks.wanting
