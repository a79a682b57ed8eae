"""What a container has changed of the file system that it was made with."""

import enum
from typing import NamedTuple


class ChangeKind(enum.StrEnum):
    """In Docker's letters."""

    ADDED = "A"
    CHANGED = "C"
    DELETED = "D"


class FileChange(NamedTuple):
    kind: ChangeKind
    path: str  # absolute in the container; bytes that are no UTF-8 as Python's file system encoding has them
