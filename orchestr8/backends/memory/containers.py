"""One container that is only remembered: what is seen of it, its program while it runs, who is connected to it, its log.

Whether it may exist, and what it is given, is `backend`'s to say; what its program does, `programs`'.
"""

import asyncio
import dataclasses
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from orchestr8.backends.memory.programs import Peer, Program
from orchestr8.model.ids import VolumeName
from orchestr8.model.observed import ContainerState, ObservedContainer
from orchestr8.model.specs import ContainerSpec
from orchestr8.wire.frames import STDERR


@dataclass(slots=True, kw_only=True)
class MemoryContainer:
    seen: ObservedContainer
    spec: ContainerSpec
    volumes: tuple[VolumeName, ...] = ()  # anonymous ones
    program: Program | None = None
    gone: asyncio.Event = field(default_factory=asyncio.Event)  # the current run is over
    _peers: list[Peer] = field(default_factory=list)
    _talkers: list[tuple[Peer, bytes]] = field(default_factory=list)  # with input for a program not yet started

    def update(self, **changes: object) -> None:
        self.seen = dataclasses.replace(self.seen, **changes)  # type: ignore[arg-type]

    # --- its program ----------------------------------------------------------------------------------------------

    def load(self, write: Callable[[int, bytes], None], ended: Callable[[int], None]) -> Program:
        """Its program, not started yet. What clients have sent already is its first input."""
        self.gone = asyncio.Event()
        argv = self.seen.command or ("sleep", "infinity")
        self.program = Program(argv, write, ended, stdin=self.spec.stdin_open)
        for peer, early in self._talkers:
            peer.listen(self._listener(self.program), early)
        self._talkers.clear()
        return self.program

    def pause(self, *, paused: bool) -> bool:
        """Whether that is news."""
        if self.program is None or self.seen.paused == paused:
            return False
        self.program.pause() if paused else self.program.go_on()
        self.update(paused=paused)
        return True

    def ended(self, code: int, at: float) -> None:
        self.program = None
        self.update(state=ContainerState.EXITED, pid=0, exit_code=code, finished_at=at, ports=(), paused=False)
        self.disconnect()
        self.gone.set()

    # --- who is connected -----------------------------------------------------------------------------------------

    def connect(self, stream_fd: int, early: bytes, *, stdin: bool) -> None:
        peer = Peer(stream_fd, tty=self.spec.tty)
        self._peers.append(peer)
        if stdin and self.program is not None:
            peer.listen(self._listener(self.program), early)
        elif stdin:
            self._talkers.append((peer, early))

    def show(self, stream: int, data: bytes) -> None:
        for peer in self._peers:
            peer.write(stream, data)

    def disconnect(self) -> None:
        for peer in self._peers:
            peer.close()
        self._peers.clear()

    def _listener(self, program: Program) -> Callable[[bytes], None]:
        """What takes a client's input; b"" is its end, which is a service's container's only where it is a one-off."""
        if self.seen.oneoff:
            return program.feed
        return lambda data: program.feed(data) if data else None


def append_log(path: str, stream: int, data: bytes, at: float) -> None:
    """As records of CRI, which real containers' logs are made of."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + ".000000000Z"
    name = b"stderr" if stream == STDERR else b"stdout"
    with open(path, "ab") as file:
        for line in data.splitlines(keepends=True):
            tag = b"F" if line.endswith(b"\n") else b"P"
            file.write(b"%s %s %s %s\n" % (stamp.encode(), name, tag, line.removesuffix(b"\n")))
