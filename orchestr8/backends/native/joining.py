"""Namespaces of other containers that a container shares: found at each start, since they are new ones each time."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping

from orchestr8.errors import Conflict
from orchestr8.model.observed import ContainerState, ObservedContainer
from orchestr8.model.records import ContainerRecord


def find_sharer(containers: Iterable[ObservedContainer], record: ContainerRecord, whose: str) -> int:
    """The pid of PID 1 of `service:NAME`, the first replica that runs, or of `container:NAME` (or its id). Raises Conflict."""
    kind, _, name = whose.partition(":")
    if kind == "service":
        meant = [each for each in containers if (each.stack, each.service, each.oneoff) == (record.stack, name, False)]
    else:
        meant = [each for each in containers if each.name == name or (len(name) >= 12 and each.id == name)]
    running = [each for each in meant if each.state is ContainerState.RUNNING]
    if not running:
        why = "is not running" if meant else "does not exist"
        raise Conflict(f"{kind} {name}, whose namespace it shares, {why}", code="O8-617")
    return min(running, key=lambda each: each.number).pid


@contextlib.contextmanager
def opened(wanted: Mapping[str, str], find: Callable[[str], int]) -> Iterator[dict[str, int]]:
    """Kind of namespace → a pidfd of the process that has it, closed in the end.

    A pidfd that was opened while its process was known to run, and known to run still, means that process and no other.
    """
    with contextlib.ExitStack() as stack:
        fds = {}
        for kind, whose in wanted.items():
            pid = find(whose)
            try:
                fd = os.pidfd_open(pid)
            except ProcessLookupError as error:
                raise Conflict(f"{whose}, whose namespace it shares, has just ended", code="O8-617") from error
            stack.callback(os.close, fd)
            if find(whose) != pid:
                raise Conflict(f"{whose}, whose namespace it shares, has just ended", code="O8-617")
            fds[kind] = fd
        yield fds
