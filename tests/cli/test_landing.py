"""Where a copy lands: what docker 28.5.2 did when it was asked, with `docker cp`, in each of these situations."""

import pytest

from orchestr8.cli.commands.cp import divided
from orchestr8.cli.landing import Landing, base_of, land
from orchestr8.errors import InvalidInput

# In /t there are dir, which is a directory, and file; docker's look-up of `file/` finds nothing.
THERE = {"/t/dir": True, "/t/dir/": True, "/t/dir/.": True, "/": True, "/t/file": False}
DIRECTORIES = {"src", "src/", "src/.", "/"}
NO_SUCH = "no such directory"
CANNOT = "cannot copy directory"

DOCKER = """
file1  /t/dir    /t/dir/file1
file1  /t/dir/   /t/dir/file1
file1  /t/file   /t/file
file1  /t/file/  no such directory
file1  /t/new    /t/new
file1  /t/new/   no such directory
file1  /t/no/new /t/no/new
src    /t/dir    /t/dir/src
src    /t/dir/   /t/dir/src
src    /t/file   cannot copy directory
src    /t/file/  /t/file
src    /t/new    /t/new
src    /t/new/   /t/new
src/   /t/dir    /t/dir/src
src/   /t/file   cannot copy directory
src/   /t/new    /t/new
src/   /t/new/   /t/new
src/.  /t/dir    /t/dir/.
src/.  /t/dir/   /t/dir/.
src/.  /t/file   cannot copy directory
src/.  /t/file/  /t/file
src/.  /t/new    /t/new
src/.  /t/new/   /t/new
src/.  /t/new/.  /t/new
/      /t/dir    /t/dir/.
/      /t/new    /t/new
file1  new       new
file1  /         /file1
"""


@pytest.mark.parametrize("line", DOCKER.strip().splitlines())
def test_a_copy_lands_where_dockers_does(line: str) -> None:
    source, destination, expected = line.split(maxsplit=2)
    there = destination in THERE

    def landed() -> Landing:
        return land(
            source,
            destination,
            source_is_dir=source in DIRECTORIES,
            there=there,
            there_is_dir=THERE.get(destination, False),
        )

    if expected in {NO_SUCH, CANNOT}:
        with pytest.raises(InvalidInput, match=f"^{expected}"):
            landed()
        return
    landing = landed()
    path = f"{landing.folder.rstrip('/')}/{landing.name}".removeprefix("./")
    assert path == expected


@pytest.mark.parametrize(
    ("path", "base"),
    [
        ("/etc", "etc"),
        ("/etc/", "etc"),
        ("/etc/.", "."),
        ("/", "."),
        (".", "."),
        ("a/..", "."),
        ("..", "."),
        ("x", "x"),
    ],
)
def test_a_copy_is_called_as_its_source(path: str, base: str) -> None:
    assert base_of(path) == base


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web:/etc", ("web", "/etc")),
        ("web:etc:x", ("web", "etc:x")),
        ("web:", ("web", "")),
        ("/tmp/a:b", ("", "/tmp/a:b")),
        ("./a:b", ("", "./a:b")),
        ("dir/a:b", ("", "dir/a:b")),
        ("plain", ("", "plain")),
        ("-", ("", "-")),
    ],
)
def test_a_service_stands_before_the_first_colon(text: str, expected: tuple[str, str]) -> None:
    assert divided(text) == expected
