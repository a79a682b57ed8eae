"""What is remembered of a container between two calls: a directory below `--root`, with the process that it stands for.

A process is known by its number and the time it started, and signalled by a pidfd: a number that was given anew is never
taken for it.

    <root>/<id>/state.json     Record
               /config.json    the settled document
               /seccomp.bpf    the compiled filter, for what is executed later
               /start          a fifo, while PID 1 waits in it for `start`; until that is built: /unborn
               /lock
"""

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from orchestr8.errors import Conflict, InvalidInput, NotFound

if TYPE_CHECKING:
    from orchestr8.oci.groups import Group

_ID: Final = re.compile(r"[\w+.-]{1,1024}", re.ASCII)


class Record(NamedTuple):
    id: str
    bundle: str
    rootfs: str
    cgroup: str
    created: str  # RFC 3339
    oci_version: str
    annotations: dict[str, str]
    pid: int = 0  # 0: not there yet
    started: str = ""  # field 22 of proc_pid_stat(5)


class Container:
    """One directory of the root. Its record is read at each `open`."""

    def __init__(self, root: str, name: str) -> None:
        if not _ID.fullmatch(name) or name in {".", ".."}:
            raise InvalidInput(f"invalid container ID {name!r}", helps=["letters, digits, `_`, `+`, `-` and `.`"])
        self.id = name
        self.folder: Final = os.path.join(root, name)
        self._record: Record | None = None

    @classmethod
    def opened(cls, root: str, name: str) -> Self:
        found = cls(root, name)
        found.record  # noqa: B018 - raises NotFound
        return found

    @property
    def record(self) -> Record:
        if self._record is None:
            try:
                with open(f"{self.folder}/state.json", encoding="utf-8") as file:
                    self._record = Record(**json.load(file))
            except FileNotFoundError as error:
                raise NotFound(f"container {self.id}: container does not exist") from error
        return self._record

    def make(self) -> None:
        os.makedirs(os.path.dirname(self.folder), mode=0o700, exist_ok=True)
        try:
            os.mkdir(self.folder, 0o700)
        except FileExistsError as error:
            raise Conflict(f"container with id {self.id} exists already") from error

    def save(self, record: Record) -> None:
        self._record = record
        self.write("state.json", json.dumps(record._asdict()).encode())

    def write(self, name: str, content: bytes) -> None:
        replace(f"{self.folder}/{name}", content)

    def document(self) -> dict[str, Any]:
        with open(f"{self.folder}/config.json", encoding="utf-8") as file:
            return dict(json.load(file))

    @property
    def fifo(self) -> str:
        return f"{self.folder}/start"

    @property
    def unborn(self) -> str:
        """The fifo before PID 1 is ready. Who executed something in there by then would find the host's files."""
        return f"{self.folder}/unborn"

    @property
    def filter(self) -> str:
        """Path of the compiled filter, "" for none."""
        path = f"{self.folder}/seccomp.bpf"
        return path if os.path.exists(path) else ""

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One call at a time that changes it. Gone meanwhile: NotFound."""
        try:
            fd = os.open(f"{self.folder}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError as error:
            raise NotFound(f"container {self.id}: container does not exist") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            self._record = None
            yield
        finally:
            os.close(fd)

    def group(self) -> "Group":
        from orchestr8.oci.groups import Group  # which loads a lot, and who asks for what has ended needs none

        return Group(self.record.cgroup)

    def process(self) -> int:
        """A pidfd of PID 1, the caller's to close; -1: it has ended."""
        record = self.record
        if not record.pid:
            return -1
        try:
            pidfd = os.pidfd_open(record.pid)
        except ProcessLookupError:
            return -1
        if start_time(record.pid) != record.started:  # another one's by now; or it has ended, and was not waited for
            os.close(pidfd)
            return -1
        return pidfd

    def status(self) -> str:
        pidfd = self.process()
        if pidfd < 0:
            return "stopped" if self.record.pid else "creating"
        os.close(pidfd)
        if os.path.exists(self.unborn):
            return "creating"
        if os.path.exists(self.fifo):
            return "created"
        return "paused" if self.group().frozen() else "running"

    def signal(self, number: int) -> bool:
        """Send it to PID 1; False: that has ended."""
        import signal

        pidfd = self.process()
        if pidfd < 0:
            return False
        try:
            signal.pidfd_send_signal(pidfd, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(pidfd)
        return True

    def remove(self) -> None:
        """Forget it. No directory is in there; the record goes last, so that whoever is cut short may be followed by another."""
        for name in sorted(os.listdir(self.folder), key=lambda name: name == "state.json"):
            os.unlink(f"{self.folder}/{name}")
        os.rmdir(self.folder)

    def report(self, status: str = "") -> dict[str, Any]:
        """OCI's state (runtime.md), with what runc adds to it."""
        record, status = self.record, status or self.status()
        return {
            "ociVersion": record.oci_version,
            "id": record.id,
            "pid": 0 if status == "stopped" else record.pid,
            "status": status,
            "bundle": record.bundle,
            "rootfs": record.rootfs,
            "created": record.created,
            "annotations": record.annotations,
            "owner": "root",
        }


def replace(path: str, content: bytes) -> None:
    """Write a file that nobody ever sees half written."""
    fresh = f"{path}.{os.getpid()}"
    with open(fresh, "wb") as file:
        file.write(content)
    os.rename(fresh, path)


def start_time(pid: int) -> str:
    """Of a process, in clock ticks since boot; empty when there is none, or it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in {b"Z", b"X"} else fields[19].decode()


def every(root: str) -> list[Container]:
    """Those below the root, by name."""
    try:
        names = sorted(os.listdir(root))
    except FileNotFoundError:
        return []
    found = [Container(root, name) for name in names if _ID.fullmatch(name)]
    return [each for each in found if os.path.exists(f"{each.folder}/state.json")]
