"""What a process has read from block devices and written to them, with the children that it has waited for: /proc/<pid>/io.

Shims load this module, so it is light.
"""

import contextlib
import os
from typing import Final

_READ_BYTES: Final = 4096


def block_io(pid: int) -> tuple[int, int]:
    """Bytes read and written. Of one that has ended too, until it is waited for; nothing of one that is gone, or where the
    kernel does not account for it.
    """
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        fd = os.open(f"/proc/{pid}/io", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return parse_io(os.read(fd, _READ_BYTES).decode())
        finally:
            os.close(fd)
    return 0, 0


def parse_io(text: str) -> tuple[int, int]:
    """proc_pid_io(5): bytes that came from devices and that went or will go to them."""
    fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    return int(fields.get("read_bytes", 0)), int(fields.get("write_bytes", 0))
