"""setrlimit(2) and prlimit(2): how many descriptors a process may have open."""

import contextlib
import resource

Limit = tuple[int, int]  # soft, hard


def raise_descriptors() -> Limit:
    """As many as this process may give itself; the limit before, for those who are not to inherit this one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft, hard


def limit_descriptors(pid: int, limit: Limit) -> None:
    """Of another process, unless it has ended; it keeps what it has open."""
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
