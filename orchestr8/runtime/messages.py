"""What engine, forkserver and shim say to each other: one typed message a packet, JSON with a version.

Shims outlive engines, so an engine may talk to a shim of an older release: fields are only ever added, unknown ones
are ignored, and a shim's `protocol` says what it understands. Descriptors ride beside a packet (kernel.sockets); each
message names those that it takes, in their order.

Plain classes with slots: these live in every forked process, and dataclasses would bring `inspect` along.
"""

import json
from typing import Any, ClassVar, Final

from orchestr8.errors import OperationFailed

PROTOCOL: Final = 2  # since 2 there is Prepare
_PROCESSOR: Final = b'"processor": '


class Message:
    """Base of all messages: `fields` with their defaults are the wire format."""

    __slots__ = ("__dict__",)
    fields: ClassVar[dict[str, Any]] = {}

    def __init__(self, **values: Any) -> None:
        unknown = values.keys() - self.fields.keys()
        if unknown:
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
        self.__dict__.update(self.fields)
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:  # for mypy: what a message has is in its `fields`
        raise AttributeError(f"{type(self).__name__} has no {name}")

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in self.__dict__.items())})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]  # messages are read once, never collected


# --- engine → forkserver ---------------------------------------------------------------------------------------


class Configure(Message):
    """The first packet. `cgroup_files` take a "0" to move in. By `engine_cgroup_files` the next engine moves out again,
    by the first of each list that lets it.

    Descriptor, if the engine is to be started again when it dies: a file with JSON {"argv": […], "environment": {…}}.
    """

    fields: ClassVar = {"cgroup_files": (), "engine_cgroup_files": ()}


class Spawn(Message):
    """Fork a shim; it answers on its control socket, which is the descriptor.

    `seccomp`: path of the compiled filter, "" for none. `oom_file`: the cgroup file with a line "oom_kill N".
    `oom_score`: the program's oom_score_adj. `host_cgroup`: without a cgroup namespace of its own.
    `id_base`, `id_count`: of the ids in a user namespace of its own; 0: none.
    `namespaces`: CLONE_NEW flags of those in which PID 1 is born; the others it shares. `plain`: it is to be forked, and not
    born in a process made ahead (runtime.cradle). `rows`, `columns`: of its terminal, once somebody has given it a size.
    `log`: what `logorder` made of a `model.specs.LogSpec`; what is missing is as the writer has it by default.
    `throttled`: it may read or write a disk so and so fast, which is no speed for the kernel to unmount its root at.
    `processor`: on which the engine is busy with the rest of the start (`processor_of`); -1: nobody knows.
    """

    fields: ClassVar = {
        "container": "", "bundle": "", "socket": "", "terminal": False, "stdin": False, "reaper": True,
        "seccomp": "", "cgroup_files": (), "cgroup_leaf": "", "host_cgroup": False, "oom_file": "", "oom_score": 0,
        "namespaces": 0x2C020000, "id_base": 0, "id_count": 0, "log": {}, "plain": True, "rows": 0, "columns": 0,
        "throttled": False,
        "processor": -1,  # the last one: see processor_of
    }  # fmt: skip


class Copy(Message):
    """Fork a process that resolves a path among a container's files, and may then read or write there (runtime.copying).

    `bundle`: the container's. `write`: `path` is a directory to put things into. `follow`: what a symlink at its end leads to.
    Descriptors: its control socket; a pipe that the engine holds the other end of, and with which the process ends;
    a pidfd of a container that runs; else, where there is one, the mount of a layer of limited size.
    """

    fields: ClassVar = {
        "bundle": "", "pid": 0, "path": "/", "write": False, "follow": False, "id_base": 0, "id_count": 0,
    }  # fmt: skip


class Shutdown(Message):
    """The engine ends on purpose: end too, and do not start it again."""


# --- engine → shim: each carries a number that its answer repeats --------------------------------------------------


class Place(Message):
    """The container's cgroup is there: it comes once, before the first Start. No answer.

    Descriptor: the cgroup v2 directory in which PID 1 is born, or, where there is none, /dev/null.
    """

    fields: ClassVar = {"request": 0}


class Equip(Message):
    """The network is there: it comes once. A program that is being started waits for it. No answer.

    Descriptors: the network namespace, then those that the shim merely keeps.
    """

    fields: ClassVar = {"request": 0}


class Prepare(Message):
    """The program will be started again before long: what of that can be done now is to be done. No answer."""

    fields: ClassVar = {"request": 0}


class Start(Message):
    """Run the bundle's program. Answer: Started or Failed.

    `joined`: kinds of namespaces ("pid", "ipc") that are another container's for this run. Descriptors: for each, a
    pidfd of a process in it. `reach`: fail when its log has a receiver that cannot be reached.
    """

    fields: ClassVar = {"request": 0, "joined": (), "reach": False}


class Signal(Message):
    """Send a signal to PID 1 of the container, or to an exec's process. Answer: Done or Failed."""

    fields: ClassVar = {"request": 0, "signal": 0, "exec": ""}


class Exec(Message):
    """Run a further program. Descriptor: the client's connection. Answer: ExecStarted or Failed, later ExecExited.

    `early`: base64 of input that was read before the connection was handed over. `keep`: how it ended is told to an
    engine that comes later, too.
    """

    fields: ClassVar = {
        "request": 0, "exec": "", "argv": (), "environment": (), "user": "", "working_dir": "", "tty": False,
        "rows": 0, "columns": 0, "stdin": True, "early": "", "keep": True, "privileged": False,
    }  # fmt: skip


class Attach(Message):
    """Connect a client to the program's own stdio. Descriptor: the client's connection. Answer: Done or Failed.

    `guest`: neither the end of what it sends nor its slowness is the program's matter; it is not what that runs for.
    """

    fields: ClassVar = {"request": 0, "stdin": False, "guest": False, "early": ""}


class Resize(Message):
    """Set a terminal's size; `exec` "" means the container's own. Answer: Done or Failed."""

    fields: ClassVar = {"request": 0, "exec": "", "rows": 0, "columns": 0}


class Query(Message):
    """Answer: Status, with the kept descriptors in the order in which Equip brought them."""

    fields: ClassVar = {"request": 0}


class Release(Message):
    """End, now or as soon as nothing runs. No answer: the socket closes."""

    fields: ClassVar = {"request": 0}


# --- engine → copying process, and back ----------------------------------------------------------------------------


class Send(Message):
    """Write what is at the path, as tar. Descriptor: the client's connection. Answer: Copied or Refused.

    `framed`: in frames of stdout, an error in one of its own; else as an HTTP body of chunks.
    """

    fields: ClassVar = {"framed": False}


class Receive(Message):
    """Put a tar into the directory. Descriptors: the client's connection; a memfd of what was read too far.

    `length`: of the body; None: it is in chunks. Answer: Copied or Refused.
    """

    fields: ClassVar = {"length": None}


class Copying(Message):
    """The first packet. Descriptor: a pidfd of the process."""


class Found(Message):
    """What is at the path; times in nanoseconds, `mode` with the file's kind."""

    fields: ClassVar = {"name": "", "mode": 0, "size": 0, "mtime_ns": 0, "link": ""}


class Copied(Message):
    """All of it; `told`: what need not be and could not, a sentence each."""

    fields: ClassVar = {"told": ()}


class Refused(Message):
    """It cannot be. `status`: HTTP's of the error's class; `error`: `Orchestr8Error.to_json`."""

    fields: ClassVar = {"status": 500, "error": {}}


# --- shim → engine -----------------------------------------------------------------------------------------------


class Done(Message):
    fields: ClassVar = {"request": 0}


class Failed(Message):
    """`exit_code`: what a shell would say (126, 127, 128); `text`: why; `code`: of `codes`, where there is one of its own."""

    fields: ClassVar = {"request": 0, "text": "", "exit_code": 128, "code": ""}


class Started(Message):
    """`protocol`: the shim's, which of old does not say."""

    fields: ClassVar = {"request": 0, "pid": 0, "started_at": 0.0, "protocol": 1}


class ExecStarted(Message):
    fields: ClassVar = {"request": 0, "exec": "", "pid": 0}


class Status(Message):
    """What the shim knows of its container; also the content of the bundle's state.json.

    `log_lost_bytes`: what a full disk, or the log's receiver, did not take of it. `execs_read_bytes` and
    `execs_written_bytes`: as ExecExited has them.
    """

    fields: ClassVar = {
        "request": 0, "protocol": PROTOCOL, "container": "", "boot_id": "", "shim_pid": 0, "shim_start_ticks": 0,
        "state": "created", "pid": 0, "exit_code": None, "oom_killed": False, "started_at": 0.0, "finished_at": 0.0,
        "runs": 0, "kept": 0, "log_lost_bytes": 0, "execs_read_bytes": 0, "execs_written_bytes": 0,
    }  # fmt: skip


class Exited(Message):
    """Sent to every connected engine when the program has ended and its output is in the log."""

    fields: ClassVar = {"exit_code": 0, "oom_killed": False, "started_at": 0.0, "finished_at": 0.0, "run": 0}


class OutOfMemory(Message):
    """Sent to every connected engine when the container has used up its memory: the kernel kills one of its processes."""

    fields: ClassVar = {"run": 0}


class LogTrouble(Message):
    """Sent to every connected engine when the log begins to lose output, and why; when it takes it again, with reason "".

    `lost_bytes`: as in Status.
    """

    fields: ClassVar = {"reason": "", "lost_bytes": 0}


class ExecExited(Message):
    """`read_bytes`, `written_bytes`: from and to block devices, by all such programs that have ended in this run."""

    fields: ClassVar = {"exec": "", "exit_code": 0, "read_bytes": 0, "written_bytes": 0}


class Execs(Message):
    """Before the Status that a Query asks for, where there is something to tell: exec → pid, exec → exit code."""

    fields: ClassVar = {"running": {}, "ended": {}}


_KINDS: Final[dict[str, type[Message]]] = {
    kind.__name__: kind
    for kind in (
        *(Configure, Spawn, Shutdown, Place, Equip, Prepare, Start, Signal, Exec, Attach, Resize, Query, Release),
        *(Done, Failed, Started, ExecStarted, Status, Exited, OutOfMemory, LogTrouble, ExecExited, Execs),
        *(Copy, Send, Receive, Copying, Found, Copied, Refused),
    )
}


def encode(message: Message) -> bytes:
    """`Type {"v": …}`: the type stands first, so that the forkserver can tell a Spawn without decoding it."""
    return f"{type(message).__name__} {json.dumps({'v': PROTOCOL, **message.__dict__})}".encode()


def decode(packet: bytes) -> Message:
    """The message of one packet. Raises OperationFailed for what is no message of ours."""
    name, _, body = packet.partition(b" ")
    try:
        kind = _KINDS[name.decode()]
        values = json.loads(body)
        return kind(**{key: value for key, value in values.items() if key in kind.fields})
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise OperationFailed(f"not a message of protocol {PROTOCOL}: {packet[:80]!r}", code="O8-902") from error


def request_of(packet: bytes) -> int:
    """The number that an answer to this packet repeats, whatever its kind; 0 where there is none."""
    try:
        return int(json.loads(packet.partition(b" ")[2])["request"])
    except (ValueError, KeyError, TypeError):
        return 0


def is_spawn(packet: bytes) -> bool:
    return packet.startswith(b"Spawn ")


def processor_of(packet: bytes) -> int:
    """Of a Spawn, by whom it is not decoded; -1 where that has none, or another release has put more behind it."""
    at = packet.rfind(_PROCESSOR)
    number = packet[at + len(_PROCESSOR) : -1] if at >= 0 else b""
    return int(number) if number.isdigit() else -1


def is_copy(packet: bytes) -> bool:
    return packet.startswith(b"Copy ")
