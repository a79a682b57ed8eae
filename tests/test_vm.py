"""The virtual machine's command line, and what is put on its disk; that it boots is seen by `make e2e-part`."""

import itertools
import os
import select
import shlex
import subprocess
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


def test_the_guest_is_told_what_to_run_word_by_word(kernel: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    script = vm.guest_script(kernel, folder, ["tests/system", "-k", "a or $b"])
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
    line = next(line for line in script.splitlines() if "-m pytest" in line)
    words = shlex.split(line)
    assert words[words.index("tests/system") :][:3] == ["tests/system", "-k", "a or $b"]
    assert words[words.index("--timeout") + 1] == str(vm.TEST_LIMIT_S * vm.SLOW)
    assert f">{folder}/out" in words
    assert f"ln -sfT {kernel}/lib/modules/{kernel.name} " in script


def ends(pid: int) -> bool:
    """Whether a process that was killed, and is no child of ours, is gone or goes."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with open(fd, "rb"):
        return bool(select.select([fd], [], [], 10)[0])


def test_a_machine_that_hangs_is_ended_and_what_it_said_is_kept(
    kernel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(vm, "CACHE", tmp_path / "cache")
    said = "echo booting; sleep 1000"
    monkeypatch.setattr(vm, "command", lambda *_: ["sh", "-c", f"{said} & echo $! >{tmp_path}/pid; wait"])
    assert vm.run(kernel, tmp_path / "disk.img", tmp_path, [], 1) == 1
    printed = capsys.readouterr().out
    assert "e2e: nothing after 1 s, the tests did not\nbooting\n" in printed
    assert (tmp_path / "cache" / "failed" / "boot.log").read_text() == "booting\n"
    assert ends(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("code", [0, 5])
def test_what_the_tests_print_and_their_exit_code_are_passed_on(
    code: int, kernel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(vm, "CACHE", tmp_path / "cache")
    guest = f"echo two passed >{tmp_path}/out; echo {code} >{tmp_path}/code"
    monkeypatch.setattr(vm, "command", lambda *_: ["sh", "-c", guest])
    assert vm.run(kernel, tmp_path / "disk.img", tmp_path, [], 10) == code
    assert capsys.readouterr().out.startswith("two passed\n")
    assert (tmp_path / "cache" / "failed" / "out").exists() == (code != 0)


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
