"""What becomes of a container that is made: `start`, `delete`. Light: each is a process of its own, and makes nothing."""

import contextlib
import errno
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from orchestr8.errors import Conflict, OperationFailed
from orchestr8.oci.state import Container

if TYPE_CHECKING:
    from orchestr8.oci.groups import Group

Warn = Callable[[str], None]
_KILL_WAIT_S: Final = 10.0


def clear(group: "Group") -> None:
    if group.pids():
        group.kill()
    group.remove()


def start(container: Container, warn: Warn) -> None:
    """Let PID 1 go. Raises Conflict for one that does not wait."""
    with container.locked():
        status = container.status()
        if status == "stopped":
            raise Conflict("cannot start a container that has stopped")
        if status != "created":
            raise Conflict(f"cannot start a container in the {status} state")
        try:
            fifo = os.open(container.fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            raise Conflict("cannot start a container that has stopped") from error
        os.write(fifo, b"0")
        os.close(fifo)
        os.unlink(container.fifo)
    _run_later("poststart", container, "running", warn)


def _run_later(kind: str, container: Container, status: str, warn: Warn) -> None:
    """Those hooks that can no longer change anything: a failure is told, and all goes on (runtime.md, "Lifecycle")."""
    try:
        found = container.document()["hooks"][kind]
    except FileNotFoundError:  # another `delete` has come further, and was cut short
        return
    if not found:
        return
    from orchestr8.oci import hooks

    for hook in found:
        try:
            hooks.run(kind, [hook], container.report(status))
        except OperationFailed as error:
            warn(error.message)


def delete(container: Container, *, force: bool, warn: Warn) -> None:
    """End what runs, if that may be, and undo what was made; once more is as good when it was cut short."""
    with container.locked():
        status = container.status()
        if not force and status not in {"stopped", "created", "creating"}:
            raise Conflict(f"cannot delete container {container.id} that is not stopped: {status}")
        group = container.group()
        if status == "paused":
            group.thaw()
        _stop(container)
        clear(group)
        _run_later("poststop", container, "stopped", warn)
        container.remove()


def _stop(container: Container) -> None:
    pidfd = container.process()
    if pidfd < 0:
        return
    try:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        if not ended(pidfd, _KILL_WAIT_S):
            raise OperationFailed(f"PID 1 of container {container.id} does not end")
    finally:
        os.close(pidfd)


def ended(pidfd: int, within_s: float | None) -> bool:
    """Wait for the end of a process, whoever's child it is."""
    import select

    return bool(select.select([pidfd], [], [], within_s)[0])
