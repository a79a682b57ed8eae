"""Mounts in a mount namespace of a child's own: as root, or as root of a user namespace where that is allowed."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestr8.kernel import mount
from orchestr8.kernel.libc import SyscallError

PACKAGE_PARENT = str(Path(__file__).parent.parent.parent)
PREAMBLE = f"""
import errno, json, os, sys
sys.path.append({PACKAGE_PARENT!r})
from orchestr8.kernel import mount
from orchestr8.kernel.mount import MountAttr, MountFlag
from orchestr8.kernel.namespaces import CloneFlag, unshare
uid = os.getuid()
unshare(CloneFlag.NEWNS | (CloneFlag.NEWUSER if uid else CloneFlag(0)))
if uid:
    open("/proc/self/setgroups", "w").write("deny")
    open("/proc/self/uid_map", "w").write(f"0 {{uid}} 1")
mount.set_propagation("/", MountFlag.REC | MountFlag.PRIVATE)
here = sys.argv[1]
def folder(name):
    os.makedirs(f"{{here}}/{{name}}", exist_ok=True)
    return os.open(f"{{here}}/{{name}}", os.O_PATH | os.O_DIRECTORY)
def attach(tree, name):
    mount.move_mount(tree, folder(name))
    return tree
def options(name):
    for line in open("/proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        if before.split()[4] == f"{{here}}/{{name}}":
            found = sorted(before.split()[5].split(",")), after.split()[0]
    return found
def attempt(function, *arguments, **named):
    try:
        function(*arguments, **named)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "ok"
def write(name):
    return attempt(lambda: open(f"{{here}}/{{name}}", "w").close())
told = None
"""


@pytest.fixture
def inside(tmp_path: Path) -> Any:
    """Run a script in a namespace of its own; what it left in `told`."""

    def run(script: str) -> Any:
        code = PREAMBLE + script + "\nprint(json.dumps(told))"
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
        if done.returncode and "unshare" in done.stderr.splitlines()[-1]:
            pytest.skip(f"needs root, or user namespaces: {done.stderr.splitlines()[-1]}")
        assert done.returncode == 0, done.stderr
        assert os.listdir(tmp_path) == [] or not any(each.is_mount() for each in tmp_path.iterdir())
        return json.loads(done.stdout)

    return run


def test_a_new_file_system_has_the_attributes_and_the_data_that_it_was_given(inside: Any) -> None:
    told = inside("""
attach(mount.new_filesystem("tmpfs", [("mode", "700"), ("size", "64k")], MountAttr.NOSUID | MountAttr.NOEXEC, "mine"), "a")
told = [*options("a"), oct(os.stat(f"{here}/a").st_mode & 0o777), os.statvfs(f"{here}/a").f_blocks * 4096]
""")
    assert told == [["noexec", "nosuid", "relatime", "rw"], "tmpfs", "0o700", 65536]


def test_attributes_can_be_added_and_taken_back(inside: Any) -> None:
    told = inside("""
tree = attach(mount.new_filesystem("tmpfs"), "a")
told = [write("a/x")]
mount.set_attributes(tree, on=MountAttr.RDONLY | MountAttr.NODEV)
told += [write("a/x"), options("a")[0]]
mount.set_attributes(tree, off=MountAttr.RDONLY)
told += [write("a/x"), options("a")[0]]
""")
    assert told == ["ok", "EROFS", ["nodev", "relatime", "ro"], "ok", ["nodev", "relatime", "rw"]]


@pytest.mark.parametrize(("attribute", "shown"), [("NOATIME", ["noatime", "rw"]), ("STRICTATIME", ["rw"])])
def test_access_times_are_one_choice_of_several(inside: Any, attribute: str, shown: list[str]) -> None:
    told = inside(f"""
tree = attach(mount.new_filesystem("tmpfs"), "a")
mount.set_attributes(tree, on=MountAttr.{attribute})
told = options("a")[0]
""")
    assert told == shown


def test_a_tree_is_cloned_alone_or_with_what_is_mounted_below(inside: Any) -> None:
    told = inside("""
attach(mount.new_filesystem("tmpfs"), "a")
write("a/top")
attach(mount.new_filesystem("tmpfs"), "a/b")
write("a/b/below")
attach(mount.open_tree(f"{here}/a"), "flat")
attach(mount.open_tree(f"{here}/a", recursive=True), "deep")
told = [sorted(os.listdir(f"{here}/{name}")) for name in ("flat", "flat/b", "deep", "deep/b")]
mount.set_attributes(os.open(f"{here}/deep", os.O_PATH), on=MountAttr.RDONLY, recursive=True)
told += [write("deep/x"), write("deep/b/x"), write("a/b/x")]
""")
    assert told == [["b", "top"], [], ["b", "top"], ["below"], "EROFS", "EROFS", "ok"]


def test_a_mount_lands_on_the_descriptor_whatever_happens_to_the_path(inside: Any) -> None:
    told = inside("""
target = folder("a/real")
os.rename(f"{here}/a/real", f"{here}/a/moved")
folder("a/elsewhere")
os.symlink("elsewhere", f"{here}/a/real")
mount.move_mount(mount.new_filesystem("tmpfs"), target)
told = [os.path.ismount(f"{here}/a/moved"), os.path.ismount(f"{here}/a/elsewhere")]
mount.unmount(f"{here}/a/moved", mount.MNT_DETACH)
told += [os.path.ismount(f"{here}/a/moved")]
""")
    assert told == [True, False, False]


def test_a_file_can_be_bound_over_a_file(inside: Any) -> None:
    told = inside("""
attach(mount.new_filesystem("tmpfs"), "a")
for name in ("one", "two"):
    open(f"{here}/a/{name}", "w").write(name)
mount.move_mount(mount.open_tree(f"{here}/a/one"), os.open(f"{here}/a/two", os.O_PATH))
told = open(f"{here}/a/two").read()
""")
    assert told == "one"


def test_the_root_is_pivoted_and_the_old_one_gone(inside: Any) -> None:
    told = inside("""
attach(mount.new_filesystem("tmpfs"), "root")
os.mkdir(f"{here}/root/only")
os.chdir(f"{here}/root")
mount.pivot_root(".", ".")
mount.unmount(".", mount.MNT_DETACH)
os.chdir("/")
told = [os.listdir("/"), os.listdir(".."), os.getcwd()]
""")
    assert told == [["only"], ["only"], "/"]


def test_what_the_kernel_says_of_a_bad_option_is_in_the_error(inside: Any) -> None:
    told = inside("""
told = []
for kind, data in (("tmpfs", [("nonsense", "1")]), ("tmpfs", [("size", "much")]), ("nofs", [])):
    before = len(os.listdir("/proc/self/fd"))
    try:
        mount.new_filesystem(kind, data)
    except OSError as error:
        told.append(str(error))
    assert len(os.listdir("/proc/self/fd")) == before
""")
    assert told[0].startswith("fsconfig tmpfs nonsense=1")
    assert "nknown parameter" in told[0]
    assert told[1].startswith("fsconfig tmpfs size=much")
    assert told[2] == "fsopen nofs: No such device"


def test_options_that_the_kernel_would_cut_off_are_refused() -> None:
    with pytest.raises(SyscallError) as caught:
        mount.mount("overlay", "/nowhere", "overlay", "lowerdir=" + "x" * 4096)
    assert caught.value.errno == errno.E2BIG
    assert str(caught.value) == "mount overlay on /nowhere: Argument list too long"


def test_a_source_that_is_missing_is_told() -> None:
    with pytest.raises(SyscallError, match="open_tree /nowhere") as caught:
        mount.open_tree("/nowhere")
    assert caught.value.errno in {errno.ENOENT, errno.EPERM}
