"""Where a copy lands, and under which name: docker's rules for `cp`, which are those of cp(1) made strict. Pure.

A directory that exists takes what is copied into it; what does not exist becomes the copy, if its parent is there. What ends in
"/." stands for what is in that directory. Paths are a POSIX system's, whichever side they are of.
"""

from __future__ import annotations

from collections import namedtuple

from orchestr8.errors import InvalidInput

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Final, NamedTuple

CONTENTS: Final = "."  # the name of what a directory has in it

if TYPE_CHECKING:

    class Landing(NamedTuple):
        folder: str  # what takes the archive
        name: str  # of the copy in there; CONTENTS: the folder itself takes what is in the directory
else:
    Landing = namedtuple("Landing", ("folder", "name"))  # noqa: PYI024  see above


def base_of(path: str) -> str:
    """The name that a copy of this path has where it keeps it."""
    last = path.rstrip("/").rpartition("/")[2]
    return CONTENTS if last in {"", ".", ".."} else last


def split(path: str) -> tuple[str, str]:
    """Directory and name; what ends in "/" or "/." is named by what stands before."""
    path = stripped(path)
    folder, slash, name = path.rpartition("/")
    return folder or slash or ".", name


def stripped(path: str) -> str:
    """Without what asserts that it is a directory."""
    while asserts_directory(path) and path.strip("/."):
        path = path.removesuffix(".").rstrip("/")
    return path


def asserts_directory(path: str) -> bool:
    return path.endswith(("/", "/."))


def land(source: str, destination: str, *, source_is_dir: bool, there: bool, there_is_dir: bool) -> Landing:
    """`there`: something stands at `destination`. Raises InvalidInput for what no copy can become."""
    if there and there_is_dir:
        return Landing(destination, base_of(source))
    if source_is_dir and there:
        raise InvalidInput(
            f"cannot copy directory {source} to {destination}, which is a file", code="O8-640"
        )  # fmt: skip
    if not source_is_dir and not there and asserts_directory(destination):
        raise InvalidInput(f"no such directory: {destination}", code="O8-640")
    return Landing(*split(destination))
