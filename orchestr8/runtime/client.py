"""The engine's side of a shim: requests that await their answers, and news that arrive unasked."""

import contextlib
import itertools
import json
import logging
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import anyio

from orchestr8.errors import OperationFailed, Unavailable
from orchestr8.kernel import sockets
from orchestr8.runtime import messages
from orchestr8.runtime.channel import Channel
from orchestr8.runtime.messages import Message
from orchestr8.runtime.places import STATE_FILE

_log: Final = logging.getLogger(__name__)
_PREPARES: Final = 2  # the protocol since which a shim knows Prepare
_PROGRAM_HELPS: Final = {  # by what a shell would say, and how it is said
    126: {
        "cannot execute": "make it executable, or name what runs it: python3 FILE, sh FILE",
        "user ": "take one of the container's /etc/passwd, or a number, which needs no entry there",
        "working directory": "take an absolute path of a directory in the container, which the user may enter",
    },
    127: {"": "give its path as the container sees it; what only a shell knows needs one: sh -c '…'"},
}

_REACH_HELPS: Final = {  # by what is said of a receiver of logs, the first that is found
    "cannot be reached: syslog-tls-": "give the path of a file that is there, on this machine, and that the engine may read",
    "certificate verify failed": "`syslog-tls-ca-cert` names a file with the certificate of who has signed the receiver's",
    "": "start it first, or take another `logging.driver`; a container that has run once starts without it, too",
}


class _Pending:
    def __init__(self) -> None:
        self.done = anyio.Event()
        self.answer: Message | None = None
        self.fds: list[int] = []


class ShimListener(Protocol):
    """Who hears from a shim: called on the event loop, in the order in which the shim sent it."""

    def on_started(self, started: messages.Started) -> None:
        """The program runs; before the request for it is answered."""
        ...

    def on_status(self, status: messages.Status) -> None:
        """What the shim knows; before the query is answered."""
        ...

    def on_execs(self, pids: Mapping[str, int], codes: Mapping[str, int]) -> None:
        """Programs that an engine before this one started, by their exec ids: those that run, and how others ended."""
        ...

    def on_exit(self, exited: messages.Exited) -> None:
        """The run has ended."""
        ...

    def on_out_of_memory(self) -> None:
        """The kernel kills a process of the container for lack of memory; perhaps the container lives on."""
        ...

    def on_execs_used(self, read_bytes: int, written_bytes: int) -> None:
        """Of block devices, by all execs that have ended in this run."""

    def on_log_trouble(self, trouble: messages.LogTrouble) -> None:
        """The log loses output, or takes it again."""
        ...

    def on_lost(self) -> None:
        """The shim itself is gone, as told or by force. Comes once."""
        ...


class ShimClient:
    """One container's shim."""

    def __init__(self, sock: socket.socket, listener: ShimListener) -> None:
        self._listener = listener
        self._numbers = itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self._execs: dict[str, anyio.Event] = {}
        self._exec_codes: dict[str, int] = {}
        self._protocol = 1  # until it has said more
        self._channel = Channel(sock, self._receive, self._lost)

    @classmethod
    def connect(cls, path: str, listener: ShimListener) -> "ShimClient":
        """Adopt the shim that listens at `path`. Raises OSError when none does."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            sock.connect(path)
        except OSError:
            sock.close()
            raise
        return cls(sock, listener)

    @property
    def open(self) -> bool:
        return self._channel.open

    def _receive(self, message: Message, fds: list[int]) -> None:
        match message:
            case messages.Exited():
                self._listener.on_exit(message)
            case messages.OutOfMemory():
                self._listener.on_out_of_memory()
            case messages.LogTrouble():
                self._listener.on_log_trouble(message)
            case messages.ExecExited():
                self._listener.on_execs_used(message.read_bytes, message.written_bytes)
                if message.exec in self._execs:  # else it could not be run, or nobody here has heard of it
                    self._exec_codes[message.exec] = message.exit_code
                    self._execs[message.exec].set()
            case messages.Execs():
                for exec_id in message.running:
                    self._execs.setdefault(exec_id, anyio.Event())
                self._listener.on_execs(message.running, message.ended)
            case _:
                if isinstance(message, messages.Started | messages.Status):
                    self._protocol = message.protocol
                if isinstance(message, messages.Started):
                    self._listener.on_started(message)
                elif isinstance(message, messages.Status):
                    self._listener.on_status(message)
                pending = self._pending.pop(message.request, None)
                if pending is None:
                    sockets.close_all(fds)
                    return
                pending.answer, pending.fds = message, fds
                pending.done.set()

    def _lost(self) -> None:
        self._give_up()
        self._listener.on_lost()

    def _give_up(self) -> None:
        """Nothing more is coming."""
        for pending in self._pending.values():
            pending.done.set()
        self._pending.clear()
        for exec_id, ended in self._execs.items():
            self._exec_codes.setdefault(exec_id, 137)  # it died with the container
            ended.set()

    async def _request(self, message: Message, fds: Sequence[int] = ()) -> tuple[Message, list[int]]:
        message.request = next(self._numbers)
        pending = self._pending[message.request] = _Pending()
        try:
            self._channel.send(message, fds)
            await pending.done.wait()
        except BaseException:
            sockets.close_all(pending.fds)  # of an answer that came while this was being cancelled
            raise
        finally:
            self._pending.pop(message.request, None)
        if pending.answer is None:
            raise Unavailable("the process behind this container died", code="O8-903")
        if isinstance(pending.answer, messages.Failed):
            code, text = pending.answer.exit_code, pending.answer.text
            if code in _PROGRAM_HELPS:
                helps = [said for beginning, said in _PROGRAM_HELPS[code].items() if text.startswith(beginning)]
                raise OperationFailed(text, code=f"O8-{500 + code}", helps=helps)
            known = pending.answer.code or "O8-601"
            helps = [said for part, said in _REACH_HELPS.items() if known == "O8-631" and part in text][:1]
            raise OperationFailed(text, code=known, helps=helps)
        return pending.answer, pending.fds

    async def query(self) -> tuple[messages.Status, list[int]]:
        """Its status, and duplicates of the descriptors it keeps: the caller's to close."""
        answer, fds = await self._request(messages.Query())
        assert isinstance(answer, messages.Status)
        return answer, fds

    def place(self, cgroup_fd: int) -> None:
        """Tell it of its cgroup (messages.Place); it may start things now. Raises Unavailable."""
        self._channel.send(messages.Place(), [cgroup_fd])

    def equip(self, network_fd: int, kept: Sequence[int]) -> None:
        """Give it duplicates of the network and what comes with it (messages.Equip). Raises Unavailable."""
        self._channel.send(messages.Equip(), [network_fd, *kept])

    async def start(self, joined: Mapping[str, int] | None = None, *, reach: bool = False) -> messages.Started:
        """Run the program; returns once it has been executed. Raises OperationFailed: O8-626 not executable, O8-627 not found.

        `joined`: namespaces to share, by a descriptor each (messages.Start); the caller's to close. `reach`: O8-631 when
        its log has a receiver that cannot be reached.
        """
        shared = joined or {}
        answer, _ = await self._request(messages.Start(joined=list(shared), reach=reach), list(shared.values()))
        assert isinstance(answer, messages.Started)
        return answer

    def prepare(self) -> None:
        """Its program will be started again before long. One that does not know how to get ready is none the worse."""
        if self._protocol >= _PREPARES:
            with contextlib.suppress(Unavailable):
                self._channel.send(messages.Prepare())

    async def signal(self, number: int, exec_id: str = "") -> None:
        await self._request(messages.Signal(signal=number, exec=exec_id))

    async def resize(self, rows: int, columns: int, exec_id: str = "") -> None:
        await self._request(messages.Resize(exec=exec_id, rows=rows, columns=columns))

    async def attach(self, stream_fd: int, early: str, *, stdin: bool, guest: bool = False) -> None:
        await self._request(messages.Attach(stdin=stdin, guest=guest, early=early), [stream_fd])

    async def exec(self, order: messages.Exec, stream_fd: int) -> int:
        """Start a further program; its pid."""
        self._execs[order.exec] = anyio.Event()
        try:
            answer, _ = await self._request(order, [stream_fd])
        except BaseException:
            self._execs.pop(order.exec, None)
            raise
        return int(answer.pid)

    async def exec_ended(self, exec_id: str) -> int:
        """Wait for the end of that program; its exit code, which is told once."""
        await self._execs[exec_id].wait()
        del self._execs[exec_id]
        return self._exec_codes.pop(exec_id)

    def release(self) -> None:
        """Let the shim end. It closes the socket when it does, which is told as `on_lost`."""
        if self._channel.open:
            self._channel.send(messages.Release())

    def close(self) -> None:
        """Let go of the shim, which lives on."""
        self._channel.close()
        self._give_up()


def control_pair() -> tuple[socket.socket, socket.socket]:
    """(the engine's end, the shim's end) of a shim's first connection."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def process_start_ticks(pid: int) -> int:
    """When a process started, in clock ticks since boot (proc_pid_stat(5)): with the pid it names one process. 0: gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(stat.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError):
        return 0


def read_state(bundle: str) -> dict[str, Any]:
    """The shim's last state.json, {} when it never wrote one."""
    try:
        with open(os.path.join(bundle, STATE_FILE), "rb") as state:
            text = state.read()
    except FileNotFoundError:
        return {}
    return dict(json.loads(text)) if text.strip() else {}  # empty: a shim that died over its first write
