"""The stdio of a container's program, between its pipes or terminal, its log, and the clients that are attached.

The clients outlive single runs: who attaches before a start waits for it, and who still reads the run before goes on doing so.
"""

import functools
import os
from collections.abc import Callable
from typing import Final

from orchestr8.runtime.launch import Stdio
from orchestr8.runtime.poller import Poller
from orchestr8.runtime.streams import STDERR, STDOUT, Input, Output, Session

Write = Callable[[bytes, bytes], None]


class Console:
    """`write(name, data)` is the log's."""

    def __init__(self, poller: Poller) -> None:
        self._poller: Final = poller
        self._outputs: list[Output] = []
        self._sessions: list[Session] = []
        self._input: Input | None = None
        self.master = -1  # of the terminal, while the program runs

    @property
    def attached(self) -> bool:
        """Is there anybody who may still have to read?"""
        return bool(self._sessions)

    def open(self, stdio: Stdio, write: Write) -> None:
        """A run begins: its output goes to the log and to whoever waits."""
        self.master = stdio.master
        if stdio.master >= 0:
            sources = [(stdio.master, STDOUT, b"stdout")]
        else:
            sources = [(stdio.stdout, STDOUT, b"stdout"), (stdio.stderr, STDERR, b"stderr")]
            self._input = Input(self._poller, stdio.stdin) if stdio.stdin >= 0 else None
        self._outputs = [
            Output(self._poller, fd, stream, functools.partial(write, name)) for fd, stream, name in sources
        ]
        for session in list(self._sessions):
            if not session.finishing:  # else it still reads the run before
                self._connect(session)

    def attach(self, session: Session) -> None:
        """A client, for as long as it likes."""
        self._sessions.append(session)
        session.on_end = lambda: self._sessions.remove(session)
        if self._outputs:
            self._connect(session)

    def _connect(self, session: Session) -> None:
        for output in self._outputs:
            output.add(session)
        if session.wants_input and self.master >= 0:
            session.take_input(Input(self._poller, os.dup(self.master)), owned=True)
        elif session.wants_input and self._input is not None:
            session.take_input(self._input, owned=False)
        else:
            session.refuse_input()

    def drain(self) -> None:
        """The program has ended: take what it has written to the end."""
        for output in self._outputs:
            output.drain()
        self._outputs = []
        self.master = -1

    def finish(self) -> None:
        """Nothing more comes: let the clients read to the end."""
        if self._input is not None:
            self._input.close()
            self._input = None
        for session in list(self._sessions):
            session.finish()
