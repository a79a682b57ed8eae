"""How an archive ends that could not be sent whole: so that nobody who reads it by a pipe takes it for one that is.

Who reads a pipe does not learn how its writer ended, and tar takes what ends between two files for a whole archive.
"""

from __future__ import annotations

import os
import select
from contextlib import contextmanager

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

# No header, wherever it comes; an odd number of blocks, for hardly a file lacks just so many; less than PIPE_BUF.
MARK: Final = (b"orchestr8: this archive is not whole.\n" * 100)[: 7 * 512 - 1] + b"\n"
_PATIENCE_MS: Final = 1000


@contextmanager
def marked(fd: int) -> Iterator[None]:
    """Let what is written to a descriptor end with `MARK`, if this fails; whoever takes no more is not waited for."""
    try:
        yield
    except BrokenPipeError:
        raise
    except BaseException:
        takes = select.poll()
        takes.register(fd, select.POLLOUT)
        try:
            if takes.poll(_PATIENCE_MS):
                os.write(fd, MARK)
        except OSError:
            pass  # it is the output that failed
        raise
