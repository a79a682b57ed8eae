"""Coming into a container that runs: by its PID 1's pidfd, and as the successor of who came in. For `exec` of both kinds.

Who joins has the host's rights until it is confined. So the pid namespace comes last, by a successor that is confined already: no
program of the container ever sees a process that it could go to the host by (CVE-2016-9962).
"""

import errno
import os

from orchestr8.errors import OperationFailed
from orchestr8.kernel.clone import Successor
from orchestr8.kernel.namespaces import CloneFlag, setns
from orchestr8.runtime import program
from orchestr8.runtime.rootfs import open_pty


def join(init_pidfd: int, namespaces: CloneFlag) -> None:
    """Enter those of PID 1's; the pid namespace is entered by the next child. Raises OperationFailed when it has ended."""
    try:
        setns(init_pidfd, namespaces)
    except OSError as error:
        if error.errno == errno.ESRCH:
            raise _not_running() from error
        raise


def take_over(successor: Successor) -> None:
    """Be succeeded: two processes for a moment, which the container's limits must have room for."""
    try:
        successor.take_over()
    except OSError as error:
        if error.errno == errno.EAGAIN:
            raise program.no_room() from error
        if error.errno == errno.ENOMEM:  # so it is where PID 1 of the pid namespace has ended (pid_namespaces(7))
            raise _not_running() from error
        raise program.ProgramError(f"cannot fork in the container: {os.strerror(error.errno or 0)}", 126) from error


def _not_running() -> OperationFailed:
    return OperationFailed("the container is not running")


def open_terminal() -> tuple[int, int]:
    """(master, slave) of a new terminal in the devpts of the container that was joined."""
    pts = os.open("/dev/pts", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return open_pty(pts)
    finally:
        os.close(pts)
