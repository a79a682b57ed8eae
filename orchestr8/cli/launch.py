"""Starts an engine where none answers, and waits until it does.

Two commands that find no engine at the same time start one: a lock on the folder of its socket decides who. An engine
outlives its starter, so it gets a session of its own, no open files and no environment but what it needs.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time

import orchestr8
from orchestr8.errors import Conflict, OperationFailed, Orchestr8Error, Unavailable, error_from_json
from orchestr8.wire.client import Client
from orchestr8.wire.paths import run_dir, socket_path

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

READY_FD: Final = 3
OTHER_ENGINE_S: Final = 10.0  # an engine that another process (the forkserver) is starting gets this long to listen
_ENVIRONMENT: Final = frozenset({"PATH", "LANG", "LC_ALL", "TZ", "HOME"})
# -I keeps the caller's directory and PYTHON* variables away from an engine that runs as root, and with them a checkout
# that is not installed: so the engine is told where this very package lies, last in the search order.
_BOOT: Final = (
    "import os, runpy, sys; os.chdir('/'); package = sys.argv.pop(1); "
    "package in sys.path or sys.path.append(package); "
    "runpy.run_module('orchestr8.engine', run_name='__main__', alter_sys=True)"
)


def start_engine(root: str, environ: Mapping[str, str]) -> None:
    """Return once an engine listens for this root. Raises the error that kept it from starting."""
    directory = run_dir(root, environ)
    try:
        lock = _lock(directory)
    except PermissionError as error:
        raise Unavailable(
            "no engine runs, and this user may not start one", notes=[str(error)], helps=["run this as root"]
        ) from error
    try:
        if not _listens(socket_path(root, environ)):
            _start(root, environ)
    except BaseException:
        _remove_if_empty(directory)  # nothing stays of an engine that never was
        raise
    finally:
        os.close(lock)


def _remove_if_empty(directory: str) -> None:
    try:
        os.rmdir(directory)
    except OSError:
        return  # an engine lives there, or has left something that is not ours to judge


def _lock(directory: str) -> int:
    """An exclusive lock on the folder, which an engine that ends may remove at any moment, and a next one make anew."""
    while True:
        os.makedirs(directory, exist_ok=True)
        try:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            if os.path.samestat(os.stat(directory), os.fstat(fd)):
                return fd
        except FileNotFoundError:
            pass
        os.close(fd)


def _listens(path: str) -> bool:
    try:
        Client(path).connect().close()
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    return True


def _start(root: str, environ: Mapping[str, str]) -> None:
    reader, writer = os.pipe()
    words = os.memfd_create("engine-stderr")  # what it says before it has a log of its own
    try:
        pid = _spawn(root, environ, writer, words)
        os.close(writer)
        writer = -1
        with os.fdopen(reader, "rb") as answers:
            reader = -1
            answer = _answer(answers.readline())
        if answer.get("ready"):
            return
        error = _failure(answer, pid, words)
        if isinstance(error, Conflict) and _comes_up(socket_path(root, environ)):
            return
        raise error
    finally:
        for fd in (reader, writer, words):
            if fd >= 0:
                os.close(fd)


def _spawn(root: str, environ: Mapping[str, str], ready: int, words: int) -> int:
    package = os.path.dirname(os.path.dirname(os.path.abspath(orchestr8.__file__)))
    argv = [sys.executable, "-I", "-c", _BOOT, package, "--root", root, "--ready-fd", str(READY_FD)]
    files: list[Any] = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        # by way of high numbers: a source could be the target of another
        (os.POSIX_SPAWN_DUP2, fcntl.fcntl(words, fcntl.F_DUPFD_CLOEXEC, 10), 2),
        (os.POSIX_SPAWN_DUP2, fcntl.fcntl(ready, fcntl.F_DUPFD_CLOEXEC, 10), READY_FD),
    ]
    kept = {name: value for name, value in environ.items() if name in _ENVIRONMENT or name.startswith("ORCHESTR8_")}
    try:
        return os.posix_spawn(
            sys.executable, argv, kept, file_actions=files, setsid=True, setsigmask=[],
            setsigdef=[signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGPIPE, signal.SIGTERM],
        )  # fmt: skip
    except OSError as error:
        raise OperationFailed(f"the engine could not be started: {error}") from error
    finally:
        for action in files[2:]:
            os.close(action[1])


def _answer(line: bytes) -> dict[str, Any]:
    """What the engine said on its ready pipe; {} when it died before it said anything."""
    try:
        answer = json.loads(line)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _failure(answer: dict[str, Any], pid: int, words: int) -> Orchestr8Error:
    if isinstance(answer.get("error"), dict):
        body = answer["error"]
        return error_from_json(409 if body.get("code") == Conflict.code else 500, body)
    _, status = os.waitpid(pid, 0)  # the pipe is closed, so it has ended or is about to
    code = os.waitstatus_to_exitcode(status)
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    said = os.pread(words, 1 << 20, 0).decode(errors="replace").strip().splitlines()
    return OperationFailed(f"the engine {how} while it started", code="O8-900", notes=said[-5:])


def _comes_up(path: str) -> bool:
    """Another engine holds the root: a restart by the forkserver may have come first, and will listen in a moment."""
    deadline = time.monotonic() + OTHER_ENGINE_S
    while not _listens(path):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
