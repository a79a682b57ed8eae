"""The two freezers of a cgroup: v1's controller (admin-guide/cgroup-v1/freezer-subsystem.rst), and v2's own (cgroup-v2.rst).

Which one a group has, and who is frozen why, is `kernel.cgroup`'s business.
"""

from typing import Protocol

from orchestr8.kernel import cgroup_files as files


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


def _written(file: str, text: str) -> bool:
    try:
        files.write(file, text)
    except FileNotFoundError:
        return False
    return True
