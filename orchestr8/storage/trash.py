"""Deleting in two steps: a rename, after which the name is free, and the deletion proper whenever there is time.

A crash in between loses nothing: what lies in the trash is deleted by the next `empty`.
"""

import contextlib
import os
from typing import Final

from orchestr8.errors import OperationFailed
from orchestr8.storage.remove import remove_tree_at


class Trash:
    """The folder `<root>/trash` of one engine."""

    def __init__(self, root: str) -> None:
        self._path: Final = f"{root}/trash"

    def discard(self, path: str) -> None:
        """Move the file or directory at `path` out of the way; nothing there is fine."""
        os.makedirs(self._path, mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.rename(path, f"{self._path}/{os.urandom(8).hex()}")

    def empty(self) -> None:
        """Delete what was discarded. What resists stays in the trash and is named in the error."""
        try:
            trash_fd = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        notes: list[str] = []
        try:
            for name in sorted(os.listdir(trash_fd)):
                try:
                    remove_tree_at(trash_fd, name)
                except OperationFailed as error:
                    notes += error.notes or [error.message]
        finally:
            os.close(trash_fd)
        if notes:
            raise OperationFailed(f"cannot delete everything in {self._path}", notes=notes)
