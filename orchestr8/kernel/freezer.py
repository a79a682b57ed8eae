"""The two freezers of a cgroup: v1's controller (admin-guide/cgroup-v1/freezer-subsystem.rst), and v2's own (cgroup-v2.rst).

Which one a group has, and who is frozen why, is `kernel.cgroup`'s business.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from orchestr8.errors import OperationFailed
from orchestr8.kernel import cgroup_files as files

_PAUSE_MAX_S: Final = 1.1  # with doubled pauses, 2 s in all


class Freezer(Protocol):
    """One group's."""

    def set(self, *, frozen: bool) -> bool:
        """Ask for it; False where the group is gone or this kernel has no such thing."""
        ...

    def asked(self) -> bool:
        """Whether the group is to be frozen."""
        ...

    def rests(self) -> bool:
        """Whether it is, to its last process."""
        ...


class FreezerV2:
    def __init__(self, directory: str) -> None:
        self._directory = directory

    def set(self, *, frozen: bool) -> bool:
        return _written(f"{self._directory}/cgroup.freeze", "1" if frozen else "0")

    def asked(self) -> bool:
        return files.read_if_there(f"{self._directory}/cgroup.freeze").strip() == "1"

    def rests(self) -> bool:
        return "frozen 1" in files.read_if_there(f"{self._directory}/cgroup.events").splitlines()


class FreezerV1:
    """Reading the state is what has the kernel look whether all are frozen by now."""

    def __init__(self, directory: str) -> None:
        self._file = f"{directory}/freezer.state"

    def set(self, *, frozen: bool) -> bool:
        return _written(self._file, "FROZEN" if frozen else "THAWED")

    def asked(self) -> bool:
        return files.read_if_there(self._file).strip() in {"FREEZING", "FROZEN"}

    def rests(self) -> bool:
        return files.read_if_there(self._file).strip() == "FROZEN"


def freeze(freezer: Freezer | None, sleep: Callable[[float], None]) -> None:
    """Returns once all processes of the group rest; `sleep` takes seconds, up to 2 in all.

    Raises OperationFailed where this machine has no freezer, or when a process is stuck in the kernel.
    """
    if freezer is None or not freezer.set(frozen=True):
        raise OperationFailed("this machine has no freezer: neither cgroup v2 of Linux 5.2 nor the controller of v1")
    pause_s = 0.001
    while not freezer.rests():
        if pause_s > _PAUSE_MAX_S:
            freezer.set(frozen=False)
            raise OperationFailed("not all processes can be paused now: one is stuck in the kernel")
        sleep(pause_s)
        pause_s *= 2


@contextlib.contextmanager
def frozen(freezer: Freezer | None) -> Iterator[None]:
    """No process of the group runs meanwhile, so that none forks away. Thawed whatever happens; without a freezer they run."""
    if freezer is None or not freezer.set(frozen=True):
        yield
        return
    try:
        yield
    finally:
        freezer.set(frozen=False)


def _written(file: str, text: str) -> bool:
    try:
        files.write(file, text)
    except FileNotFoundError:
        return False
    return True
