"""What tests of the runtime's parts share: a disk that is full when a test wants it."""

import errno
import os
from typing import Any

import pytest

from orchestr8.runtime import logwriter


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """os.writev takes as many bytes a call as the list says, then fails as a full disk does; empty: as usual."""
    room: list[int] = []
    real = os.writev

    def writev(fd: int, pieces: Any) -> int:
        if not room:
            return real(fd, pieces)
        count = room.pop(0)
        if count == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, [b"".join(pieces)[:count]])

    monkeypatch.setattr(logwriter.os, "writev", writev)
    return room
