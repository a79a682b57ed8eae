"""When an image counts as made, and what is said when it cannot be."""

from pathlib import Path

import pytest

from e2e.programs import images
from e2e.programs.images import ImageError, Recipe, is_made, main, make


@pytest.fixture
def mmdebstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in that makes an empty tree of its last argument: the real one takes its time, and a mirror."""
    program = tmp_path / "bin" / "mmdebstrap"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nfor last; do :; done\nmkdir "$last"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    return program


def test_an_image_is_kept_until_its_recipe_changes(
    mmdebstrap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "images"
    assert not is_made("redis", folder)
    make("redis", folder)
    assert is_made("redis", folder)
    assert (folder / "redis").is_dir()
    monkeypatch.setitem(images.RECIPES, "redis", Recipe(packages=("redis-server", "curl")))
    assert not is_made("redis", folder)
    (folder / "redis" / "old").touch()
    make("redis", folder)
    assert is_made("redis", folder)
    assert not (folder / "redis" / "old").exists()


def test_an_image_that_could_not_be_made_is_none_and_its_reason_is_told(mmdebstrap: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    make("redis", folder)
    mmdebstrap.write_text('#!/bin/sh\necho "E: no mirror" >&2\nexit 1\n', encoding="utf-8")
    with pytest.raises(ImageError, match=r"redis: `mmdebstrap .* failed:\nE: no mirror"):
        make("redis", folder)
    assert not is_made("redis", folder)


def test_what_has_no_recipe_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["redis", "oracle"]) == 2
    assert "no recipe for oracle; there are redis, nginx" in capsys.readouterr().err
