"""The border between deciding and doing: what the reconciler needs from whatever runs containers.

Two implementations: `backends.native` (this machine) and `backends.memory` (a verified fake); both pass the same
contract tests, `tests/backends/contract/`.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from orchestr8.errors import Conflict
from orchestr8.model.actions import Action
from orchestr8.model.changes import FileChange
from orchestr8.model.events import Event
from orchestr8.model.figures import Figures
from orchestr8.model.ids import ContainerId, ContainerName, StackName
from orchestr8.model.images import CommitSpec, Committed
from orchestr8.model.observed import Snapshot
from orchestr8.model.processes import Process
from orchestr8.model.specs import Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """One run of a health check: exit code (None when it had to be killed at its time-out) and its output's start."""

    exit_code: int | None
    output: str  # at most 4096 bytes of stdout and stderr together
    started_at: float = field(default=0.0, compare=False)  # Unix time; known to who has asked for it
    ended_at: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecSpec:
    """A further program in a running container. "" and () mean: as the container's own."""

    argv: tuple[str, ...]
    environment: Pairs = ()  # added to the container's
    user: str = ""
    working_dir: str = ""
    tty: bool = False
    rows: int = 0  # of the terminal; 0: unknown
    columns: int = 0
    stdin: bool = True
    privileged: bool = False  # with every capability that the engine has, whatever the container has
    id: str = ""  # by which an engine that comes later finds it (`Backend.find_exec`); "": none will ask


class Paused(Conflict):
    """Nothing can be run in a container of which no process runs."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is paused", helps=["orchestr8 unpause lets it go on"])


class Content(NamedTuple):
    """What a secret or config holds."""

    data: bytes
    secret: bool  # never to be written to a disk


class PathStatus(NamedTuple):
    """What stands at a path in a container, as lstat(2) has it."""

    name: str  # its last part; "." where the path ends in that, or is the root
    mode: int  # kind and permissions
    size: int
    mtime_ns: int
    link: str = ""  # what a symlink says


class OpenedPath(Protocol):
    """A path in a container, resolved once and held until `close`. One of `send` and `receive` may follow, once."""

    @property
    def status(self) -> PathStatus: ...
    async def send(self, stream_fd: int, *, framed: bool) -> None:
        """Write what is there as tar to the client's connection, named as `status` has it: as an HTTP body of chunks, ended
        only when all is there; or in frames of stdout, with one for an error, or an announcement `{"whole": true}`.
        """
        ...

    async def receive(self, stream_fd: int, early: bytes, length: int | None) -> Sequence[str]:
        """Put the tar that comes on the client's connection into the directory, owners as it says.

        It is an HTTP body of `length` bytes, None: of chunks; `early` was read already. Returned is what could not be made
        and need not be, a sentence each. Raises InvalidInput (O8-641) for what is no tar, or leads out of the directory.
        """
        ...

    async def close(self) -> None:
        """Let go, whatever is under way."""
        ...


class ExecHandle(Protocol):
    """A program started by `Backend.exec`. It belongs to the container's shim: dropping the handle ends nothing."""

    @property
    def pid(self) -> int: ...
    async def wait(self) -> int:
        """Its exit code, 128 + n for a signal."""
        ...

    async def resize(self, rows: int, columns: int) -> None: ...


class Backend(Protocol):
    """Everything is addressed by name. Errors are `errors.Orchestr8Error`; repeating a done Action does nothing."""

    async def observe(self, stack: StackName | None = None) -> Snapshot:
        """What exists now; of one stack, or of all. `health` is None here: health is the reconciler's knowledge."""
        ...

    async def check_image(self, image: str) -> None:
        """Raise when no container can be made of this reference, before one that runs is stopped for the sake of it."""
        ...

    async def keep_contents(self, stack: StackName, contents: Mapping[str, Content]) -> None:
        """Have these at hand, by digest, for containers of `stack` that are yet to be created or started.

        Secrets are gone with the machine's memory: a start that needs one which is lost fails with O8-628.
        """
        ...

    async def drop_contents(self, stack: StackName, wanted: Collection[str]) -> None:
        """Forget what is neither `wanted` nor named by a container of `stack`."""
        ...

    async def apply(self, action: Action) -> Sequence[str]:
        """Do one Action and return when it is done. `WaitFor` never comes here: waiting is the reconciler's.

        What is returned is what this machine could not do as it was asked to, a sentence each.
        """
        ...

    async def probe(self, container: ContainerName, argv: tuple[str, ...], timeout_s: float) -> ProbeResult:
        """Run a command inside a running container, as its user and in its environment, and wait for its end."""
        ...

    async def exec(self, container: ContainerName, spec: ExecSpec, stream_fd: int, early: bytes = b"") -> ExecHandle:
        """Run a program with the client's connection as its stdio.

        `stream_fd` is a connected stream socket; the backend duplicates it. Out go Docker's 8-byte frames (raw bytes
        with a terminal); in come raw bytes, `early` (read too far by the caller) first; the peer's half-close is the
        end of input. The connection is closed by the backend when the program's output ends. A program that is not
        executable is an OperationFailed with code O8-626, one that is not found with O8-627; then nothing was sent.
        """
        ...

    def find_exec(self, exec_id: str) -> tuple[ContainerName, ExecHandle | int] | None:
        """A program that an engine before this one has started, or, if it has ended since, its exit code; told once."""
        ...

    async def attach(
        self, container: ContainerName, stream_fd: int, early: bytes = b"", *, stdin: bool, guest: bool = False
    ) -> None:
        """Connect a client to the container's own stdio, from now on; before the start, so that no byte is lost.

        Stream as for `exec`. But only a one-off runs for its client: of a service's containers, to which others may come, the
        end of a client's input ends nothing, and a client that is too slow misses output, and is told so. A `guest` is one of those wherever it comes, and comes to what runs: else
        Conflict.
        """
        ...

    async def resize(self, container: ContainerName, rows: int, columns: int) -> None:
        """Set the size of the container's terminal."""
        ...

    async def processes(self, container: ContainerName) -> list[Process]:
        """Those of a running container, what `exec` has started included. Conflict when it does not run."""
        ...

    async def figures(self, containers: Collection[ContainerName]) -> Mapping[ContainerName, Figures]:
        """What those of them that run use, read now. Nothing is counted, and nothing wakes up, while nobody asks."""
        ...

    async def changes(
        self, container: ContainerName, tell: Callable[[Sequence[FileChange]], Awaitable[None]]
    ) -> None:  # fmt: skip
        """Tell, some at a time, what differs from the image, whether the container runs or not: each directory before what
        is in it. What is mounted is no part of it. A program that runs may change things meanwhile.
        """
        ...

    async def export(self, container: ContainerName, send: Callable[[bytes], Awaitable[None]]) -> None:
        """All of its file system as a tar archive, in pieces, whether it runs or not. What is mounted is no part of it."""
        ...

    async def open_path(
        self, container: ContainerName, path: str, *, write: bool = False, follow: bool = False
    ) -> OpenedPath:  # fmt: skip
        """Find a path among the files of a container, which need not run: as its programs see it, mounts included.

        Symlinks on the way mean what they mean in the container; one at the end is itself, unless `follow` or the path ends
        in "/". `write`: it is a directory to put things into. Raises NotFound, InvalidInput for what is no directory then,
        Conflict (O8-642) where nothing can be written. The start and the removal of a container end what is open.
        """
        ...

    async def commit(self, container: ContainerName, wanted: CommitSpec) -> Committed:
        """Make an image of its files and settings, for containers to be made of: by its name, or its id.

        What is paused for it goes on afterwards, whatever becomes of who asked, or of this engine.
        """
        ...

    def log_path(self, container: ContainerName, meant: ContainerId | None = None) -> str:
        """The current log file: CRI lines, rotated to `<path>.1`, `<path>.2`. NotFound when another than the one that is `meant`
        has the name by now.
        """
        ...

    def subscribe(self, listener: Callable[[Event], None]) -> None:
        """Call `listener`, on the event loop and soon, for each event from now on."""
        ...
