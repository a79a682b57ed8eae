"""The virtual machine's command line, and what is put on its disk; that it boots is seen by `make e2e-part`."""

import itertools
from pathlib import Path

import pytest

from e2e import vm


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    tree = tmp_path / "6.1.0-1-amd64"
    (tree / "boot").mkdir(parents=True)
    (tree / "boot" / "vmlinuz-6.1.0-1-amd64").touch()
    return tree


def test_the_machine_has_cgroup_v2_alone_its_own_disk_and_the_folder_for_answers(kernel: Path, tmp_path: Path) -> None:
    words = vm.command(kernel, tmp_path / "disk.img", tmp_path, tmp_path / "guest.sh")
    assert words[1:3] == ["-r", str(kernel / "boot" / "vmlinuz-6.1.0-1-amd64")]
    pairs = dict(itertools.pairwise(words))
    assert pairs["--append"] == "cgroup_no_v1=all"
    assert pairs["--disk"] == str(tmp_path / "disk.img")
    assert pairs["--rwdir"] == str(tmp_path)
    assert pairs["--exec"] == f"sh {tmp_path}/guest.sh"


def test_modules_are_linked_only_meanwhile(kernel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vm, "MODULES", tmp_path / "modules")
    with vm.linked_modules(kernel):
        assert (tmp_path / "modules" / kernel.name).readlink() == kernel / "lib" / "modules" / kernel.name
    assert not (tmp_path / "modules").exists()


def test_the_disk_has_what_belongs_to_the_project(tmp_path: Path) -> None:
    vm.copy_checkout(tmp_path / "checkout")
    names = {path.name for path in (tmp_path / "checkout").iterdir()}
    assert {"orchestr8", "tests", "e2e", "pyproject.toml"} <= names
    assert not {".venv", ".git", ".cache"} & names


def test_every_test_that_is_to_run_there_exists() -> None:
    for name in (*vm.PART, *vm.WHOLE):
        path, _, test = name.partition("::")
        assert (vm.HERE / path).exists(), name
        assert f"def {test}(" in (vm.HERE / path).read_text() if test else True, name
