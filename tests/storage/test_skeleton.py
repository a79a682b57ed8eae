import os
from pathlib import Path

from orchestr8.storage.skeleton import half_made, with_skeleton


def test_the_skeleton_lies_below_the_image(tmp_path: Path) -> None:
    layers = with_skeleton(["/srv/image"], str(tmp_path))
    assert layers == ("/srv/image", f"{tmp_path}/skeleton")
    found = sorted(str(path.relative_to(layers[1])) for path in Path(layers[1]).rglob("*"))
    assert found == ["dev", "etc", "etc/hostname", "etc/hosts", "etc/resolv.conf", "proc", "sys"]


def test_it_is_made_once(tmp_path: Path) -> None:
    _, path = with_skeleton(["/srv/image"], str(tmp_path))
    before = os.stat(path).st_ino
    with_skeleton(["/srv/other"], str(tmp_path))
    assert os.stat(path).st_ino == before
    assert os.listdir(tmp_path) == ["skeleton"]


def test_an_image_that_holds_the_engines_state_goes_without(tmp_path: Path) -> None:
    assert with_skeleton(["/"], str(tmp_path)) == ("/",)
    assert with_skeleton([str(tmp_path.parent)], str(tmp_path)) == (str(tmp_path.parent),)
    assert os.listdir(tmp_path) == []


def test_one_that_was_being_made_is_found(tmp_path: Path) -> None:
    (tmp_path / "skeleton.0123abcd/etc").mkdir(parents=True)
    with_skeleton(["/srv/image"], str(tmp_path))
    assert half_made(str(tmp_path)) == [f"{tmp_path}/skeleton.0123abcd"]
