"""What the routes need from the engine, as protocols: `api` lies below `engine` and does not know how it is done."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from orchestr8.api.progress import Progress
from orchestr8.model.backend import Content, ExecSpec, OpenedPath
from orchestr8.model.changes import FileChange
from orchestr8.model.figures import Figures
from orchestr8.model.ids import ContainerId, ContainerName, ServiceName, StackName
from orchestr8.model.images import CommitSpec, Committed
from orchestr8.model.observed import ObservedContainer, RunEnd
from orchestr8.plan.options import (
    DownOptions,
    KillOptions,
    OneOff,
    PauseOptions,
    RestartOptions,
    StartOptions,
    StopOptions,
    UpOptions,
)
from orchestr8.wire.http import Hijacked, Send

Options = UpOptions | DownOptions | StartOptions | StopOptions | RestartOptions | KillOptions | PauseOptions | OneOff

OPTIONS: Final[dict[str, type[Any]]] = {
    "up": UpOptions,
    "down": DownOptions,
    "start": StartOptions,
    "stop": StopOptions,
    "restart": RestartOptions,
    "kill": KillOptions,
    "pause": PauseOptions,
    "unpause": PauseOptions,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One verb for one stack. `document`: canonical; None where the engine is to use the one it has.

    `since`: of an order that an engine died over, the Unix time at which it was given; what has been done since then is
    not done again.
    """

    stack: StackName
    verb: str
    options: Options
    document: dict[str, Any] | None = None
    contents: Mapping[str, Content] = field(default_factory=dict, repr=False)  # by digest, of secrets and configs
    service: ServiceName | None = None  # of `run`
    since: float | None = None


@dataclass(frozen=True, slots=True)
class LogPlace:
    """From where a container's log is read on; see `runtime.logs.Place`."""

    container: ContainerId
    head: str
    offset: int
    skip_lines: int
    records: int = -1  # before it; -1: not counted
    lines: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    stack: StackName
    services: tuple[ServiceName, ...] = ()  # or single containers, by name; () and "": all of them
    container: str = ""
    index: int | None = None  # which container of the service
    follow: bool = False
    until_exit: bool = False  # a followed log ends when nothing selected runs or will be started again
    tail: int | None = None  # of each container
    since: float | None = None  # Unix time
    ends_since: float | None = None  # ends of runs that came after it are told, too, though nobody followed yet
    until: float | None = None  # the moment itself included
    timestamps: bool = False
    places: tuple[LogPlace, ...] = ()
    ended: frozenset[str] = frozenset()  # those of them the end of whose run was told
    tell_places: bool = False  # announce them: who follows can go on with another engine without a gap


class EngineService(Protocol):
    async def info(self) -> dict[str, Any]: ...
    def stop(self, *, containers: bool) -> None:
        """End soon. `containers`: bring every stack down first, its volumes kept."""
        ...

    async def write_log(self, send: Send, *, tail: int | None, follow: bool) -> None:
        """The engine's own log as text."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    container: ObservedContainer
    restarting: bool  # it ended, and its policy is going to start it again


class Measured(NamedTuple):
    container: ObservedContainer
    figures: Figures | None  # None: it does not run


class StackService(Protocol):
    async def all(self) -> list[dict[str, Any]]: ...
    async def containers(self, stack: StackName, *, services: tuple[str, ...], stopped: bool) -> list[Listed]:
        """Those of these services, or with these names; without any, all."""
        ...

    async def figures(self, stack: StackName, *, services: tuple[str, ...], stopped: bool) -> list[Measured]:
        """What each uses, read now; those that do not run only with `stopped`."""
        ...

    async def plan(self, order: Order) -> dict[str, Any]:
        """The steps that `work` would take now, as `plan.Plan.to_json`."""
        ...

    async def work(self, order: Order) -> Progress:
        """Begin the work. Raises for an order that cannot be begun; what happens afterwards is in the progress."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    container: ObservedContainer
    has_terminal: bool


class ContainerService(Protocol):
    async def find(self, reference: str) -> Found:
        """By name, id, or an id's beginning. Raises NotFound, or Conflict when several ids begin so."""
        ...

    async def top(self, reference: str) -> dict[str, Any]:
        """Docker's `{"Titles": […], "Processes": [[…], …]}` of one that runs; found and raising as `find`."""
        ...

    async def inspect(self, reference: str) -> dict[str, Any]:
        """All that is known of one, with Docker's names; found and raising as `find`."""
        ...

    async def start(self, name: ContainerName) -> Sequence[str]:
        """Returns what this machine cannot do as it was asked to, a sentence each."""
        ...

    async def kill(self, name: ContainerName, signal: str) -> None: ...
    async def pause(self, name: ContainerName, *, paused: bool) -> None: ...
    async def remove(self, container: ObservedContainer, *, force: bool) -> None: ...
    async def resize(self, name: ContainerName, rows: int, columns: int) -> None: ...
    def departed(self, reference: str) -> RunEnd | None:
        """The end of a one-off that was removed at its end, by its id; None: no such thing is known (any more)."""
        ...

    def past(self, container: ObservedContainer, run: float) -> RunEnd:
        """The end of a run that began at `run` and is not the last one. Raises Conflict when it is not known any more."""
        ...

    async def wait(
        self,
        container: ObservedContainer,
        condition: str,
        begun: Callable[[], Awaitable[None]],
        run: float | None = None,
    ) -> RunEnd:
        """The end, once the condition ("", "not-running", "next-exit" or "removed") holds; or of the run that began
        at `run`, Unix time, which may be over; see `past`.

        `begun` is called as soon as no end can be missed any more.
        """
        ...

    async def open_path(
        self, name: ContainerName, path: str, *, write: bool = False, follow: bool = False
    ) -> OpenedPath:
        """See `model.backend.Backend.open_path`."""
        ...

    async def attach(self, found: Found, connection: Hijacked, *, stdin: bool, guest: bool) -> None: ...


class LayerService(Protocol):
    async def changes(self, name: ContainerName, tell: Callable[[Sequence[FileChange]], Awaitable[None]]) -> None:
        """See `model.backend.Backend.changes`."""
        ...

    async def export(self, name: ContainerName, send: Send) -> None:
        """See `model.backend.Backend.export`."""
        ...

    async def commit(self, name: ContainerName, wanted: CommitSpec) -> Committed:
        """See `model.backend.Backend.commit`. It goes on when the client leaves."""
        ...

    async def export_framed(self, name: ContainerName, connection: Hijacked) -> None:
        """The same in frames: how it ended is told, too."""
        ...


class ExecService(Protocol):
    def create(self, container: ObservedContainer, spec: ExecSpec) -> str:
        """The id of a program that `start` will run. Raises Conflict when the container does not run."""
        ...

    def spec(self, exec_id: str) -> ExecSpec: ...
    async def start(self, exec_id: str, connection: Hijacked) -> None:
        """Run it with the connection as its stdio; returns once it runs, or could not be run."""
        ...

    async def start_detached(self, exec_id: str) -> None:
        """Run it with nobody connected. Raises why it could not be run."""
        ...

    async def resize(self, exec_id: str, rows: int, columns: int) -> None: ...
    async def inspect(self, exec_id: str, *, wait: bool) -> dict[str, Any]:
        """Docker's fields. `wait`: once it has ended."""
        ...


class LogService(Protocol):
    async def check(self, query: LogQuery) -> None:
        """Raises NotFound for a service or container that the stack does not have."""
        ...

    async def write(self, query: LogQuery, send: Send) -> None:
        """Frames, until the end of what was asked for."""
        ...


class EventService(Protocol):
    async def write(self, stack: StackName | None, send: Send, *, since: float | None, until: float | None) -> None:
        """JSON lines, an event each, or `{"missed": true}` where the reader was too slow for some.

        From now on, or first those since a moment (Unix time, s) that are remembered; without end, or until a moment.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    engine: EngineService
    stacks: StackService
    containers: ContainerService
    execs: ExecService
    layers: LayerService
    logs: LogService
    events: EventService
