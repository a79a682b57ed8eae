"""The files of an engine: its root (state, kept) and its run directory (sockets, gone with it), and the lock on them."""

import fcntl
import os
import socket
from dataclasses import dataclass
from typing import Final, Self

from orchestr8.errors import Conflict, OperationFailed, Unavailable
from orchestr8.wire.paths import instance_hash, run_dir, socket_path

ROOT_GROUP: Final = 0
SOCKET_MODE: Final = 0o660
BACKLOG: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePaths:
    root: str
    run_dir: str
    socket: str
    instance: str  # tells this engine's bridges, tables and cgroups from another's

    @classmethod
    def of(cls, root: str) -> Self:
        return cls(root=root, run_dir=run_dir(root), socket=socket_path(root), instance=instance_hash(root))

    @property
    def database(self) -> str:
        return f"{self.root}/state.db"

    @property
    def log(self) -> str:
        return f"{self.root}/engine.log"

    @property
    def lock(self) -> str:
        return f"{self.root}/lock"

    def make(self) -> None:
        """Make the directories. What is in them is for root alone, apart from the socket."""
        try:
            os.makedirs(self.root, mode=0o710, exist_ok=True)
            os.makedirs(self.run_dir, mode=0o755, exist_ok=True)
        except OSError as error:
            allowed = not isinstance(error, PermissionError)
            raise OperationFailed(
                f"cannot make the engine's directory {error.filename}: {error.strerror}",
                helps=["choose another place by --root, or ORCHESTR8_ROOT" if allowed else "run this as root"],
            ) from error


class RootLock:
    """flock(2) on the root: held as long as the engine lives, whatever ends it."""

    def __init__(self, path: str) -> None:
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OperationFailed(f"cannot open the engine's lock: {error}", helps=["run this as root"]) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 20, 0).decode(errors="replace").strip()
            os.close(self._fd)
            raise Conflict(
                f"another engine{f' (pid {holder})' if holder else ''} runs on {os.path.dirname(path)}",
                helps=["every engine needs a --root of its own"],
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def listen(paths: EnginePaths) -> socket.socket:
    """A listening socket for root and its group. The lock is held, so what lies there belongs to no living engine."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if os.path.lexists(paths.socket):
            os.unlink(paths.socket)
        # Nobody may connect before owner and mode are right. Not by umask(2), which threads that make files share.
        os.fchmod(listener.fileno(), 0)
        listener.bind(paths.socket)
        if os.geteuid() == 0:
            os.chown(paths.socket, 0, ROOT_GROUP)
        os.chmod(paths.socket, SOCKET_MODE)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise Unavailable(f"cannot listen at {paths.socket}: {error}") from error
    except BaseException:
        listener.close()
        raise
    return listener


def stop_listening(paths: EnginePaths) -> None:
    """Remove the socket, so that a client finds nobody rather than a dead end."""
    if os.path.lexists(paths.socket):
        os.unlink(paths.socket)


def leave(paths: EnginePaths) -> None:
    """Remove the run directory, once engine and backend have ended, unless something lives there."""
    try:
        os.rmdir(paths.run_dir)
    except OSError:
        return  # shims of running containers have their sockets there
