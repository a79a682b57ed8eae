"""The version of the HTTP interface, and paths that name one: `/v1.0/stacks` is `/stacks` as of version 1.0."""

import re
from typing import Final

from orchestr8.errors import InvalidInput

API_VERSION: Final = "1.0"
MIN_API_VERSION: Final = "1.0"

_PREFIX: Final = re.compile(r"/v(\d+)\.(\d+)(?=/)")


def without_version(path: str) -> str:
    """The path after its version. Raises InvalidInput, in Docker's words, for a version that is not spoken here."""
    found = _PREFIX.match(path)
    if not found:
        return path
    asked = (int(found[1]), int(found[2]))
    if asked > _numbers(API_VERSION):
        raise InvalidInput(f"client version {_text(asked)} is too new. Maximum supported API version is {API_VERSION}")
    if asked < _numbers(MIN_API_VERSION):
        raise InvalidInput(
            f"client version {_text(asked)} is too old. Minimum supported API version is {MIN_API_VERSION}, "
            "please upgrade your client to a newer version"
        )
    return path[found.end() :]


def _numbers(version: str) -> tuple[int, int]:
    major, minor = version.split(".")
    return int(major), int(minor)


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
