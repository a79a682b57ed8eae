"""What a shim knows of its container, in the bundle: for an engine that finds no shim any more.

In place, one write of always the same length: whole or as it was, and no new inode each time. No fsync: after a power cut no
container runs anyway.
"""

import json
import os
import sys
from typing import Final

from orchestr8.runtime.messages import Status
from orchestr8.runtime.places import STATE_FILE, STATE_MODE

_SIZE: Final = 2048  # bytes; several times what it takes


class StateFile:
    def __init__(self, bundle: str) -> None:
        path = os.path.join(bundle, STATE_FILE)
        self._fd: Final = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, STATE_MODE)

    def save(self, status: Status) -> None:
        text = json.dumps(status.__dict__).encode()
        try:
            os.pwrite(self._fd, text.ljust(_SIZE), 0)
        except OSError as error:  # a full disk: the engine still hears it by message
            print(f"shim {status.container}: cannot write its state: {error}", file=sys.stderr, flush=True)

    def close(self) -> None:
        os.close(self._fd)
