"""A throw-away process in which something is tried: what it changes of itself and its namespaces ends with it."""

import contextlib
import json
import os
import select
import signal
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn

from orchestr8.doctor.findings import why
from orchestr8.errors import OperationFailed
from orchestr8.kernel.mount import MountFlag, set_propagation
from orchestr8.kernel.namespaces import CloneFlag, unshare
from orchestr8.kernel.prctl import set_parent_death_signal

_PATIENCE_MS: Final = 20_000  # a call that hangs in the kernel is an answer, too


def attempt(work: Callable[[], str], namespaces: CloneFlag = CloneFlag(0)) -> str:
    """What `work` returns in a child with new namespaces of these kinds. Raises OperationFailed with what it failed of."""
    reader, writer = os.pipe()
    words = os.memfd_create("doctor-stderr")  # libnftables says there what it has no other way to say
    pid = os.fork()
    if pid == 0:
        os.dup2(words, 2)
        _child(work, namespaces, writer)
    os.close(writer)
    try:
        answer = _answer(reader) or _last_words(words)
    finally:
        os.close(reader)
        os.close(words)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    if "error" in answer:
        raise OperationFailed(answer["error"], helps=[answer["remedy"]] if answer["remedy"] else [])
    return str(answer["found"])


def _child(work: Callable[[], str], namespaces: CloneFlag, writer: int) -> NoReturn:
    answer: dict[str, Any] = {"error": "it ended without a word", "remedy": ""}
    try:
        set_parent_death_signal(signal.SIGKILL)
        if namespaces:
            unshare(namespaces)
        if namespaces & CloneFlag.NEWNS:
            set_propagation("/", MountFlag.PRIVATE | MountFlag.REC)
        answer = {"found": work()}
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is the answer
        words, remedy = why(error)
        answer = {"error": words or type(error).__name__, "remedy": remedy}
    finally:
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)


def _answer(reader: int) -> dict[str, Any]:
    """{} of a child that ended without one."""
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    if not poll.poll(_PATIENCE_MS):
        return {"error": f"no answer within {_PATIENCE_MS // 1000} s", "remedy": ""}
    with os.fdopen(os.dup(reader), "rb") as file:
        text = file.read()
    answer: dict[str, Any] = json.loads(text) if text else {}
    return answer


def _last_words(fd: int) -> dict[str, Any]:
    said = os.pread(fd, 4096, 0).decode(errors="replace").strip().splitlines()
    return {"error": said[-1] if said else "the process that tried it was killed", "remedy": ""}


@contextlib.contextmanager
def scratch(directory: str) -> Iterator[str]:
    """A folder below `directory`, or below what of its path exists; removed with all that is in it."""
    with tempfile.TemporaryDirectory(prefix=".orchestr8-doctor-", dir=existing(directory)) as folder:
        yield folder


def existing(path: str) -> str:
    """The path, or the nearest one above it that is there."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path
