"""What can be said of bind sources without mounting anything. The rest is in tests/system/test_mounts.py."""

import os
from pathlib import Path

import pytest

from orchestr8.errors import OperationFailed
from orchestr8.kernel.mount import MountAttr, MountFlag
from orchestr8.runtime.sources import BindOptions, _open_in_volume, _open_on_host, bind_options


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["rbind"], BindOptions(recursive=True)),
        (["bind", "rprivate", "rw"], BindOptions(propagates_below=True)),
        (["rbind", "private", "ro"], BindOptions(recursive=True, here=MountAttr.RDONLY)),
        (["rbind", "rprivate", "rro"], BindOptions(recursive=True, below=MountAttr.RDONLY, propagates_below=True)),
        (["bind", "slave", "nosuid", "nodev"],
         BindOptions(here=MountAttr.NOSUID | MountAttr.NODEV, propagation=MountFlag.SLAVE)),
        (["rbind", "rshared", "rnoexec"],
         BindOptions(recursive=True, below=MountAttr.NOEXEC, propagation=MountFlag.SHARED, propagates_below=True)),
        (["rbind", "unbindable"], BindOptions(recursive=True, propagation=MountFlag.UNBINDABLE)),
    ],
)  # fmt: skip
def test_words_are_options_of_the_mount_or_of_all_below_it(words: list[str], options: BindOptions) -> None:
    assert bind_options(words) == options


def test_a_part_of_a_volume_is_found_without_any_link(tmp_path: Path) -> None:
    (tmp_path / "volume/a/b").mkdir(parents=True)
    for name, target in (("up", ".."), ("here", "a"), ("far", "/etc"), ("magic", "/proc/self/root")):
        (tmp_path / "volume" / name).symlink_to(target)
    root = str(tmp_path / "volume")
    fd = _open_in_volume(f"{root}/a/b", root)
    assert os.path.samestat(os.fstat(fd), os.stat(f"{root}/a/b"))
    os.close(fd)
    for path in ("up", "here", "here/b", "far/passwd", "magic/etc", "../x", "absent"):
        with pytest.raises(OperationFailed, match="cannot mount") as caught:
            _open_in_volume(f"{root}/{path}", root)
        assert caught.value.code == "O8-620"


def test_a_path_of_the_host_leads_through_links_but_not_through_processes(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    os.close(_open_on_host(str(tmp_path / "link/passwd")))
    for path in ("/proc/self/root/etc", "/proc/1/cwd", "/proc/self/fd/0"):
        with pytest.raises(OperationFailed, match=path):
            _open_on_host(path)
