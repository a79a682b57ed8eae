"""What can be said of a root file system without mounting anything. The rest is in tests/system."""

import os
from pathlib import Path
from typing import Any

import pytest

from orchestr8.errors import OperationFailed
from orchestr8.kernel.mount import MountAttr
from orchestr8.runtime.rootfs import Rootfs, open_pty, split_options


@pytest.mark.parametrize(
    ("options", "attributes", "data"),
    [
        ([], MountAttr(0), []),
        (["nosuid", "nodev", "noexec"], MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC, []),
        (["ro", "noatime", "strictatime"], MountAttr.RDONLY | MountAttr.NOATIME | MountAttr.STRICTATIME, []),
        (["rw", "rbind", "rprivate", "relatime", "defaults", "exec", "suid", "dev"], MountAttr(0), []),
        (
            ["mode=755", "size=64k", "newinstance"],
            MountAttr(0),
            [("mode", "755"), ("size", "64k"), ("newinstance", None)],
        ),
        (["context=a=b", "empty="], MountAttr(0), [("context", "a=b"), ("empty", "")]),
        (["nosuid", "uid=5"], MountAttr.NOSUID, [("uid", "5")]),
        (["ro", "nosuid", "nodev", "noexec", "rw", "exec", "suid", "dev"], MountAttr(0), []),
        (["exec", "noexec"], MountAttr.NOEXEC, []),
        (["noatime", "atime", "strictatime", "relatime"], MountAttr(0), []),
    ],
)
def test_options_are_split_into_attributes_of_the_mount_and_data_of_the_file_system(
    options: list[str], attributes: MountAttr, data: list[tuple[str, str | None]]
) -> None:
    assert split_options(options) == (attributes, data)


@pytest.fixture
def rootfs(tmp_path: Path) -> Rootfs:
    (tmp_path / "root").mkdir()
    made = Rootfs(str(tmp_path), {"root": {"path": "root"}})
    made._root_fd = os.open(tmp_path / "root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    yield made
    os.close(made._root_fd)


def place(rootfs: Rootfs, destination: str, *, directory: bool = True) -> str:
    """Where a mount on `destination` would lie, as a path of the root."""
    fd = rootfs._open_target(destination, directory=directory)
    try:
        return os.readlink(f"/proc/self/fd/{fd}").removeprefix(rootfs._path)
    finally:
        os.close(fd)


def test_targets_are_made_with_their_parents_inside_the_root(rootfs: Rootfs) -> None:
    assert place(rootfs, "/a/b/c") == "/a/b/c"
    assert place(rootfs, "/a/file", directory=False) == "/a/file"
    assert os.path.isdir(f"{rootfs._path}/a/b/c")
    assert os.path.isfile(f"{rootfs._path}/a/file")


def test_symlinks_are_followed_as_the_container_sees_them(rootfs: Rootfs, tmp_path: Path) -> None:
    os.symlink("/data", f"{rootfs._path}/absolute")
    os.symlink("../../../../../../..", f"{rootfs._path}/above")
    os.symlink(str(tmp_path), f"{rootfs._path}/host")
    assert place(rootfs, "/absolute/x") == "/data/x", "dangling: what it names is made, in the root"
    assert place(rootfs, "/above/y") == "/y"
    assert place(rootfs, "/host/z") == f"{tmp_path}/z"
    assert os.listdir(tmp_path) == ["root"]


@pytest.mark.parametrize(
    ("destination", "directory", "why"),
    [
        ("/", True, "a mount cannot replace the container's root"),
        ("/self", True, "it is a symlink to the container's root"),
        ("/folder", False, "the source is a file and the target a directory"),
        ("/file", True, "the source is a directory and the target a file"),
        ("/file/below", True, "Not a directory"),
        ("/loop", True, "Too many levels of symbolic links"),
        ("/loop/below", False, "Too many levels of symbolic links"),
    ],
)
def test_targets_that_cannot_be_are_told(rootfs: Rootfs, destination: str, directory: bool, why: str) -> None:
    os.symlink("/", f"{rootfs._path}/self")
    os.symlink("loop", f"{rootfs._path}/loop")
    os.mkdir(f"{rootfs._path}/folder")
    Path(f"{rootfs._path}/file").touch()
    with pytest.raises(OperationFailed, match=why) as caught:
        place(rootfs, destination, directory=directory)
    assert caught.value.code == "O8-621"


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
def test_the_kernels_directories_are_made_when_missing_and_never_symlinks(rootfs: Rootfs, name: str) -> None:
    assert place(rootfs, f"/{name}") == f"/{name}"
    assert place(rootfs, f"/{name}") == f"/{name}"
    os.rmdir(f"{rootfs._path}/{name}")
    os.mkdir(f"{rootfs._path}/elsewhere")
    for make in (lambda path: os.symlink("elsewhere", path), lambda path: Path(path).touch(), os.mkfifo):
        make(f"{rootfs._path}/{name}")
        with pytest.raises(OperationFailed, match=f"/{name} of the image must be a directory"):
            place(rootfs, f"/{name}")
        os.unlink(f"{rootfs._path}/{name}")


def test_nothing_lies_in_proc(rootfs: Rootfs) -> None:
    os.mkdir(f"{rootfs._path}/proc")
    rootfs._proc_device = os.stat(f"{rootfs._path}/proc").st_dev
    with pytest.raises(OperationFailed, match="it lies in /proc"):
        place(rootfs, "/proc/sys")


@pytest.mark.parametrize("kind", ["missing", "file", "fifo", "symlink", "null"])
def test_a_terminal_is_only_made_by_a_multiplexer(tmp_path: Path, kind: str) -> None:
    ptmx = tmp_path / "ptmx"
    make: dict[str, Any] = {
        "missing": lambda: None,
        "file": ptmx.touch,
        "fifo": lambda: os.mkfifo(ptmx),
        "symlink": lambda: ptmx.symlink_to("/dev/ptmx"),
        "null": lambda: ptmx.symlink_to("/dev/null"),
    }
    make[kind]()
    folder = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises((OperationFailed, OSError)):
        open_pty(folder)
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(folder)
