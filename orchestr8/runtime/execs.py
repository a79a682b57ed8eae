"""The further programs in one container, as its shim looks after them: their clients, and the news of their ends.

How such a process comes to be is `runtime.exec`'s. An engine that comes later is told of all that run, and of those that
have ended lately: the engine that had started them may have died before it heard.
"""

import binascii
import os
import socket
from collections.abc import Callable
from typing import Final

from orchestr8.runtime import messages
from orchestr8.runtime.blockio import block_io
from orchestr8.runtime.exec import ExecProcess
from orchestr8.runtime.messages import Message
from orchestr8.runtime.poller import ENDED, Poller
from orchestr8.runtime.streams import STDERR, STDOUT, Input, Output, Session
from orchestr8.runtime.successors import Ends, bury, kill

_KEPT: Final = 100  # exit codes that are remembered


class Execs:
    """`answer(engine, message)` and `tell_all(message)` are the shim's."""

    def __init__(
        self,
        poller: Poller,
        container: messages.Spawn,
        answer: Callable[[socket.socket, Message], None],
        tell_all: Callable[[Message], None],
        ends: Ends,
    ) -> None:
        self.poller = poller
        self.ends = ends
        self.container = container
        self.answer = answer
        self._tell_all = tell_all
        self._running: dict[str, RunningExec] = {}
        self._codes: dict[str, int] = {}
        self._unread: list[Session] = []
        self.read_bytes = 0  # from block devices, by those that have ended in this run
        self.written_bytes = 0

    def begin_run(self) -> None:
        self.read_bytes = self.written_bytes = 0

    @property
    def unread(self) -> bool:
        """Does a client still have to read what a program that has ended wrote?"""
        return bool(self._unread)

    def start(self, engine: socket.socket, order: messages.Exec, client_fd: int, init_pidfd: int, null: int) -> None:
        """Takes over `client_fd`, unless it raises OSError."""
        self._running[order.exec] = RunningExec(self, engine, order, client_fd, init_pidfd, null)

    def find(self, exec_id: str) -> "RunningExec | None":
        return self._running.get(exec_id)

    def known(self) -> messages.Execs | None:
        """What an engine that comes later has to hear; None: nothing."""
        if not self._running and not self._codes:
            return None
        return messages.Execs(running={each.order.exec: each.pid for each in self._running.values()}, ended=self._codes)

    def ended(self, order: messages.Exec, exit_code: int) -> None:
        del self._running[order.exec]
        if order.keep:
            self._codes[order.exec] = exit_code
            if len(self._codes) > _KEPT:
                del self._codes[next(iter(self._codes))]
        self._tell_all(
            messages.ExecExited(
                exec=order.exec, exit_code=exit_code, read_bytes=self.read_bytes, written_bytes=self.written_bytes
            )
        )

    def count(self, read_bytes: int, written_bytes: int) -> None:
        self.read_bytes += read_bytes
        self.written_bytes += written_bytes

    def let_read(self, session: Session) -> None:
        """The program of this session has ended: stay until its client has read the rest."""
        self._unread.append(session)
        session.on_end = lambda: self._unread.remove(session)
        if session.open:
            session.finish()
        else:
            self._unread.remove(session)


class RunningExec:
    """One of them: its process, its client, and the news of both."""

    def __init__(
        self, execs: Execs, engine: socket.socket, order: messages.Exec, client_fd: int, init_pidfd: int, null: int
    ) -> None:
        self._execs = execs
        self._engine = engine
        self.order = order
        self._client_fd = client_fd
        self._outputs: list[Output] = []
        self._input: Input | None = None
        self._session: Session | None = None
        self.master = -1
        self._process = ExecProcess(execs.poller, execs.ends, order, execs.container, init_pidfd, null, self._launched)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def pidfd(self) -> int:
        return self._process.pidfd

    def _launched(self, error: tuple[str, int] | None) -> None:
        process, order, poller = self._process, self.order, self._execs.poller
        stdio = process.stdio
        typed = -1
        if error is None and stdio.master >= 0:
            try:
                typed = os.dup(stdio.master)
            except OSError as lack:
                error = (str(lack), 128)
        if error is not None:
            kill(process.pidfd)  # it is ending by itself, or has to be made to
            bury(poller, process.pidfd)
            stdio.close()
            os.close(self._client_fd)
            text, code = error
            self._execs.answer(self._engine, messages.Failed(request=order.request, text=text, exit_code=code))
            self._execs.ended(order, code)
            return
        self.master = stdio.master
        if stdio.master >= 0:
            self._input = Input(poller, typed, by_key=True)
            self._outputs = [Output(poller, stdio.master, STDOUT, None)]
        else:
            self._input = Input(poller, stdio.stdin) if stdio.stdin >= 0 else None
            self._outputs = [Output(poller, stdio.stdout, STDOUT, None), Output(poller, stdio.stderr, STDERR, None)]
        early = binascii.a2b_base64(order.early)
        wanted = self._input is not None
        self._session = Session(poller, self._client_fd, raw=order.tty, wants_input=wanted, early=early)
        if self._input is not None:
            self._session.take_input(self._input, owned=True)
        for output in self._outputs:
            output.add(self._session)
        poller.watch(process.pidfd, ENDED, self._ended)
        started = messages.ExecStarted(request=order.request, exec=order.exec, pid=process.pid)
        self._execs.answer(self._engine, started)

    def _ended(self, _events: int) -> None:
        pidfd = self._process.pidfd
        used = block_io(
            self._process.pid
        )  # of what is waited for the kernel adds it to this shim's own, which writes the log
        ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
        if ended is None:
            return
        self._execs.count(*used)
        self._execs.poller.forget(pidfd)
        os.close(pidfd)
        self._process.stdio.close_slave()
        for output in self._outputs:
            output.drain()
        assert self._session is not None
        self._execs.let_read(self._session)
        code = ended.si_status if ended.si_code == os.CLD_EXITED else 128 + ended.si_status
        self._execs.ended(self.order, code)
