"""Hooks of an OCI document (config.md, "POSIX-platform Hooks"): programs that are given the container's state."""

import json
import os
import select
import signal
from collections.abc import Sequence
from typing import Any, Final

from orchestr8.errors import OperationFailed
from orchestr8.kernel.clone import exit_code
from orchestr8.runtime.program import reset_signals, variables_of

INSIDE: Final = "startContainer"  # in the container, where the program is about to begin
_ANYWHERE: Final = {INSIDE, "poststop"}  # by then the bundle may be gone
_SHOWN: Final = 2000  # bytes of what a hook said


def run(kind: str, hooks: Sequence[dict[str, Any]], state: dict[str, Any]) -> None:
    """One after the other, in the caller's own namespaces. Raises OperationFailed at the first that fails.

    The bundle is their working directory, as with runc and crun, while there surely is one.
    """
    for hook in hooks:
        _run(kind, hook, state)


def _run(kind: str, hook: dict[str, Any], state: dict[str, Any]) -> None:
    given, said = os.memfd_create("state"), os.memfd_create("output")
    try:
        os.write(given, json.dumps(state).encode())
        os.lseek(given, 0, os.SEEK_SET)
        code = _wait(_start(hook, given, said, "" if kind in _ANYWHERE else state["bundle"]), hook.get("timeout") or 0)
        if code:
            text = os.pread(said, _SHOWN, 0).decode(errors="replace").strip()
            raise OperationFailed(f"{kind} hook {hook['path']}: {code}{f': {text}' if text else ''}")
    finally:
        os.close(given)
        os.close(said)


def _start(hook: dict[str, Any], given: int, said: int, folder: str) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            for number, fd in enumerate((given, said, said)):
                os.dup2(fd, number, inheritable=True)
            reset_signals()
            if folder:
                os.chdir(folder)
            os.execve(hook["path"], hook.get("args") or [hook["path"]], variables_of(hook.get("env") or []))
        except OSError as error:
            os.write(2, os.strerror(error.errno or 0).encode())
        finally:
            os._exit(127)
    return pid


def _wait(pid: int, timeout_s: int) -> str:
    """What is wrong with its end; "": nothing."""
    pidfd = os.pidfd_open(pid)
    try:
        ended = select.select([pidfd], [], [], timeout_s or None)[0]
        if not ended:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(pidfd)
    if not ended:
        return f"timed out after {timeout_s} s"
    code = exit_code(status)
    return f"exit status {code}" if code else ""
