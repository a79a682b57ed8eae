"""Paths inside a directory that is hostile: whatever is in it, what is found or made lies inside."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestr8.kernel.libc import SyscallError
from orchestr8.kernel.openat2 import Resolve, is_directory, make_in_root, open_beneath, open_in_root, openat2


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a secret beside it, which nothing may reach."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "passwd").write_text("inside")
    (root / "absolute").symlink_to(tmp_path / "outside")
    (root / "upward").symlink_to("../outside")
    (root / "far").symlink_to("../" * 30 + str(tmp_path / "outside").lstrip("/"))
    (root / "etc-link").symlink_to("/etc")
    (root / "loop").symlink_to("loop")
    (root / "magic").symlink_to("/proc/self/root")
    return root


@pytest.fixture
def root_fd(root: Path) -> Iterator[int]:
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def where(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def refused(function: object, *arguments: object, **options: object) -> str:
    with pytest.raises(OSError) as caught:
        os.close(function(*arguments, **options))  # type: ignore[operator]
    return errno.errorcode[caught.value.errno or 0]


def test_paths_are_resolved_as_a_process_would_whose_root_it_is(root: Path, root_fd: int) -> None:
    for path in (
        "/etc/passwd",
        "etc/passwd",
        "/../../etc/passwd",
        "/etc-link/passwd",
        "//etc//passwd",
        "/etc/../etc/passwd",
    ):
        assert where(open_in_root(root_fd, path)) == str(root / "etc" / "passwd"), path
    assert where(open_in_root(root_fd, "/")) == where(open_in_root(root_fd, "")) == str(root)


@pytest.mark.parametrize("path", ["/absolute/secret", "/upward/secret", "/far/secret", "/../outside/secret"])
def test_nothing_outside_is_found(root_fd: int, path: str) -> None:
    assert refused(open_in_root, root_fd, path) == "ENOENT"


def test_magic_links_and_loops_are_refused(root: Path, root_fd: int) -> None:
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    assert refused(open_in_root, proc, "/self/root/etc") == "ELOOP"
    assert refused(open_in_root, proc, "/self/cwd") == "ELOOP"
    os.close(proc)
    assert refused(open_in_root, root_fd, "/loop") == "ELOOP"


def test_without_symlinks_there_are_none_in_any_part(root_fd: int) -> None:
    assert refused(open_in_root, root_fd, "/etc-link/passwd", resolve=Resolve.NO_SYMLINKS) == "ELOOP"
    os.close(open_in_root(root_fd, "/etc/passwd", resolve=Resolve.NO_SYMLINKS))


def test_beneath_refuses_to_leave_and_to_follow(root_fd: int) -> None:
    assert refused(open_beneath, root_fd, "../outside") == "EXDEV"
    assert refused(open_beneath, root_fd, "/etc") == "EXDEV"
    assert refused(open_beneath, root_fd, "etc-link") == "ELOOP"
    os.close(open_beneath(root_fd, "etc/passwd"))


def test_descriptors_close_on_exec_and_errors_name_the_path(root_fd: int) -> None:
    fd = openat2(root_fd, "etc", os.O_RDONLY)
    assert not os.get_inheritable(fd)
    os.close(fd)
    with pytest.raises(SyscallError, match="openat2 etc/missing: No such file or directory"):
        openat2(root_fd, "etc/missing", os.O_RDONLY)


def test_directories_and_files_are_made_with_their_parents(root: Path, root_fd: int) -> None:
    umask = os.umask(0)
    try:
        assert where(make_in_root(root_fd, "/a/b/c", directory=True)) == str(root / "a/b/c")
        assert where(make_in_root(root_fd, "/a/b/file", directory=False)) == str(root / "a/b/file")
    finally:
        os.umask(umask)
    assert (root / "a/b").stat().st_mode & 0o777 == 0o755
    assert (root / "a/b/file").stat().st_mode & 0o777 == 0o644
    assert (root / "a/b/file").read_bytes() == b""


def test_what_is_there_is_left_as_it_is(root: Path, root_fd: int) -> None:
    fd = make_in_root(root_fd, "/etc/passwd", directory=True)  # what it should be is the caller's to judge
    assert not is_directory(fd)
    assert where(fd) == str(root / "etc/passwd")
    assert (root / "etc/passwd").read_text() == "inside"


@pytest.mark.parametrize("directory", [True, False])
@pytest.mark.parametrize(
    ("link", "made"),
    [
        ("/run/lib/x", "run/lib/x"),
        ("../run/x", "run/x"),
        ("x", "etc/x"),
        ("../../../../../x", "x"),
        ("/etc-link/y", "etc/y"),
    ],
)
def test_what_a_dangling_symlink_names_is_made_inside(
    root: Path, root_fd: int, link: str, made: str, directory: bool
) -> None:
    (root / "etc" / "link").symlink_to(link)
    assert where(make_in_root(root_fd, "/etc/link", directory=directory)) == str(root / made)
    assert (root / made).is_dir() == directory
    assert where(make_in_root(root_fd, "/etc/link", directory=directory)) == str(root / made)


def test_a_dangling_symlink_in_the_middle_is_made_a_directory(root: Path, root_fd: int) -> None:
    (root / "var").symlink_to("/data/var")
    assert where(make_in_root(root_fd, "/var/lib/file", directory=False)) == str(root / "data/var/lib/file")


def test_chains_of_symlinks_end(root: Path, root_fd: int) -> None:
    for number in range(100):
        (root / f"link{number}").symlink_to(f"link{number + 1}")
    assert refused(make_in_root, root_fd, "/link0", directory=True) == "ELOOP"
    assert where(make_in_root(root_fd, "/link90", directory=True)) == str(root / "link100")


@pytest.mark.parametrize("path", ["/absolute/x", "/upward/x", "/far/x", "/../outside/x", "/etc/../../outside/x"])
def test_nothing_is_made_outside(root: Path, root_fd: int, path: str) -> None:
    assert where(make_in_root(root_fd, path, directory=True)).startswith(f"{root}/")
    assert sorted(os.listdir(root.parent / "outside")) == ["secret"]


def test_a_file_in_the_way_is_an_error(root_fd: int) -> None:
    assert refused(make_in_root, root_fd, "/etc/passwd/x", directory=True) == "ENOTDIR"
    assert refused(make_in_root, root_fd, "/loop/x", directory=True) == "ELOOP"


PARTS = st.lists(st.sampled_from(["a", "b", "..", ".", "", "link", "up", "abs"]), min_size=1, max_size=6)


@given(
    st.lists(st.tuples(st.sampled_from(["link", "up", "abs"]), PARTS, st.booleans()), max_size=4), PARTS, st.booleans()
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_path_over_any_symlinks_stays_inside(
    tmp_path_factory: pytest.TempPathFactory,
    links: list[tuple[str, list[str], bool]],
    parts: list[str],
    directory: bool,
) -> None:
    base = tmp_path_factory.mktemp("base")
    root = base / "root"
    (root / "a").mkdir(parents=True)
    for name, target, absolute in links:
        place = root / "a" / name if absolute else root / name
        if not place.is_symlink():
            place.symlink_to(("/" if absolute else "") + "/".join(target) or ".")
    root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY)
    before = len(os.listdir("/proc/self/fd"))
    try:
        fd = make_in_root(root_fd, "/" + "/".join(parts), directory=directory)
    except OSError:
        pass
    else:
        found = where(fd)
        assert found == str(root) or found.startswith(f"{root}/")
    assert os.listdir(base) == ["root"]
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(root_fd)
