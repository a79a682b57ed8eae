"""The files behind a stack: the only module of the package that opens any."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from orchestr8.errors import InvalidInput, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

STDIN: Final = "<stdin>"  # what spans call standard input

_instead: Mapping[str, str] = {}  # absolute path -> what is read in place of the file; `instead_of` sets it


@contextmanager
def instead_of(texts: Mapping[str, str]) -> Iterator[None]:
    """Within, these files have these texts: to see what a change would come to before it is written."""
    global _instead
    before, _instead = _instead, texts
    try:
        yield
    finally:
        _instead = before


def display_path(path: str, working_dir: str) -> str:
    """How a file is called in messages: relative when it lies at or below the directory the user stands in."""
    return path.removeprefix(working_dir.rstrip("/") + "/")


def read_text(path: str, code: str, what: str) -> str:
    """The text of a file. Raises NotFound, or InvalidInput when it is there and cannot be read."""
    if path in _instead:
        return _instead[path]
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read().removeprefix("\ufeff")
    except FileNotFoundError:
        raise NotFound(f"{what} not found: {path}", code=code) from None
    except IsADirectoryError:
        raise InvalidInput(f"{what} is a directory: {path}", code=code) from None
    except UnicodeDecodeError as error:
        message = f"{what} is not UTF-8 text: {path}: {error.reason} at byte {error.start}"
        raise InvalidInput(message, code=code) from error
    except OSError as error:
        raise InvalidInput(f"{what} cannot be read: {path}: {error.strerror}", code=code) from error


def is_file(path: str) -> bool:
    """A regular file: no directory, no pipe."""
    return os.path.isfile(path)


def exists(path: str) -> bool:
    return os.path.lexists(path)


def names_in(directory: str) -> list[str]:
    """The names in a directory; none when it cannot be read."""
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []
