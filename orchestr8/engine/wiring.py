"""Which backend an engine has: the only place that names concrete ones."""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from orchestr8.engine.paths import EnginePaths
from orchestr8.errors import InvalidInput
from orchestr8.model.backend import Backend
from orchestr8.model.ids import ContainerName
from orchestr8.model.records import Registry
from orchestr8.reconcile.faults import Faults

VARIABLE: Final = "ORCHESTR8_BACKEND"
OWN_FLAGS: Final = frozenset({"--root", "--ready-fd", "--forkserver-fd"})


class EngineBackend(Backend, Protocol):
    """A backend with a life of its own. `start` and `close` are called from the same task."""

    async def start(self) -> None: ...
    async def close(self, *, remove: bool) -> None:
        """Let go of what exists. `remove`: nothing is left, so take away what was made for it too."""
        ...

    @property
    def forkserver_pid(self) -> int:
        """0 where there is none."""
        ...

    def shim_pid(self, container: ContainerName) -> int:
        """0 where there is none."""
        ...


MakeBackend = Callable[[EnginePaths, Registry], EngineBackend]


def backend_maker(environ: Mapping[str, str], forkserver_fd: int | None, log_fd: int) -> MakeBackend:
    """What makes the backend that the environment asks for: the machine's, or one in memory for tests."""
    name = environ.get(VARIABLE, "native")
    if name == "memory":
        return _memory
    if name != "native":
        raise InvalidInput(f"{VARIABLE}={name}: there is no such backend", helps=["unset it, or say memory"])

    def native(paths: EnginePaths, registry: Registry) -> EngineBackend:
        from orchestr8.backends.native.backend import (
            NativeBackend,  # libnftables, dnslib and more, which memory does not need
        )

        return NativeBackend(
            root=paths.root,
            run_dir=paths.run_dir,
            instance=paths.instance,
            registry=registry,
            engine_argv=tuple(own_argv(sys.orig_argv, paths.root)),
            engine_environment=dict(environ),
            forkserver=_given_forkserver(forkserver_fd),
            log_fd=log_fd,
        )

    return native


def _memory(paths: EnginePaths, _: Registry) -> EngineBackend:
    from orchestr8.backends.memory import MemoryBackend

    class LivingMemoryBackend(MemoryBackend):
        forkserver_pid = 0

        async def start(self) -> None:
            """Nothing to adopt: it all ended with the process that remembered it."""

        async def close(self, *, remove: bool) -> None:
            """Nothing to let go of."""

        def shim_pid(self, container: ContainerName) -> int:  # noqa: ARG002 - none has a shim
            return 0

    return LivingMemoryBackend(paths.root)


def own_argv(argv: list[str], root: str) -> list[str]:
    """The command that starts this engine again, from any directory and without this process's own descriptors."""
    kept = [sys.executable]
    words = iter(argv[1:])
    for word in words:
        if word in OWN_FLAGS:
            next(words, None)
        elif word.split("=", 1)[0] not in OWN_FLAGS:
            kept.append(word)
    return [*kept, "--root", root]


def _given_forkserver(fd: int | None) -> tuple[socket.socket, int] | None:
    """The forkserver that restarted this engine: its end of a socket, and its pid, for it is the parent."""
    if fd is None:
        return None
    os.set_inheritable(fd, False)
    return socket.socket(fileno=fd), os.getppid()


def dismiss_forkserver(fd: int) -> None:
    """End the forkserver behind `fd`: another one has taken its place."""
    from orchestr8.kernel import sockets
    from orchestr8.runtime import messages

    with socket.socket(fileno=fd) as forkserver, contextlib.suppress(ConnectionError):  # it is gone already
        sockets.send_packet(forkserver, messages.encode(messages.Shutdown()))


def faults_of(environ: Mapping[str, str], backend: EngineBackend) -> Faults:
    """Fault points for crash tests; none unless the environment asks for one."""

    def kill(victim: str, target: str) -> None:
        pids: dict[str, Callable[[], int]] = {
            "engine": os.getpid,
            "forkserver": lambda: backend.forkserver_pid,
            "shim": lambda: backend.shim_pid(ContainerName(target)),
        }
        pid = pids[victim]()
        if pid <= 0:  # 0 would be this process's whole group
            raise InvalidInput(f"there is no {victim} of {target} to be killed")
        os.kill(pid, signal.SIGKILL)

    return Faults.from_environment(environ, kill)
