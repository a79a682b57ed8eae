"""A further program in a container, seen from the engine: what its shim is asked for, and the handle on what runs.

Whether the container can run one just now is `containers`' to say; the program itself is made by `runtime.execs`.
"""

import base64
import os
import signal

from orchestr8.model.backend import ExecSpec
from orchestr8.runtime import messages
from orchestr8.runtime.client import ShimClient


class RunningExec:
    """See model.backend.ExecHandle."""

    def __init__(self, shim: ShimClient, exec_id: str, pid: int) -> None:
        self._shim = shim
        self._id = exec_id
        self.pid = pid

    async def wait(self) -> int:
        return await self._shim.exec_ended(self._id)

    async def resize(self, rows: int, columns: int) -> None:
        await self._shim.resize(rows, columns, self._id)

    async def kill(self) -> None:
        await self._shim.signal(signal.SIGKILL, self._id)


async def start_exec(shim: ShimClient, spec: ExecSpec, stream_fd: int, early: bytes) -> RunningExec:
    """`early`: what was read from the stream already."""
    order = messages.Exec(
        exec=spec.id or os.urandom(16).hex(),
        keep=bool(spec.id),
        privileged=spec.privileged,
        argv=list(spec.argv),
        environment=[f"{key}={value}" for key, value in spec.environment],
        user=spec.user,
        working_dir=spec.working_dir,
        tty=spec.tty,
        rows=spec.rows,
        columns=spec.columns,
        stdin=spec.stdin,
        early=base64.b64encode(early).decode(),
    )
    pid = await shim.exec(order, stream_fd)
    return RunningExec(shim, order.exec, pid)
