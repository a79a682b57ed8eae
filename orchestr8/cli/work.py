"""Has the engine do a piece of work, and tells its progress: what up, down, start, stop, restart, kill and run share."""

from __future__ import annotations

import time

from orchestr8.cli.follow import ENGINES, NEXT_ENGINE_S, await_next_engine
from orchestr8.cli.loop import Loop
from orchestr8.cli.output import YELLOW
from orchestr8.errors import Diagnostic, Orchestr8Error, Unavailable, Unheard, error_from_json
from orchestr8.wire.body import cut_off
from orchestr8.wire.client import Client, Lines

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Any, Self

    from orchestr8.cli.context import Context
    from orchestr8.cli.progress import Progress
    from orchestr8.wire.client import Response


class Work:
    """A request that answers with progress lines. `take` reads once; `result` is the last line, once it has come.

    An engine that was killed over it is followed by one that goes on with the work. Where that is so (`resumable`), it is
    asked for what is left, and tells of it; else the engine's death is an error.
    """

    def __init__(
        self, context: Context, progress: Progress, path: str, body: dict[str, Any], *, resumable: bool
    ) -> None:
        self._context = context
        self._progress = progress
        self._path = path
        self._engines_left = ENGINES if resumable else 1
        self._again = {**body, "since": time.time()}
        self._open(context.client, body)
        self._busy = False  # something was to be done, or to be said
        self.planned = False  # whether the engine has made its plan, and so knows the stack
        self.result: dict[str, Any] | None = None

    def _open(self, client: Client, body: Any) -> None:
        self._response: Response = client.open("POST", self._path, body=body)
        self._lines = Lines(self._response)
        self.lost = False  # the engine died; `go_on` asks the next one

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """What is under way goes on, and is told no more."""
        self._response.close()

    def fileno(self) -> int:
        return self._response.fileno()

    @property
    def ready(self) -> bool:
        return self._response.ready

    @property
    def idle(self) -> bool:
        """Was nothing to be done?"""
        return self.planned and not self._busy

    def take(self) -> None:
        """Tell what one read brings. Raises the error that made the work fail."""
        try:
            lines = self._lines.take()
        except Unavailable as error:
            self._lose(error)
            return
        for line in lines:
            self._line(line)
        if self._lines.ended and self.result is None:
            self._lose(cut_off())

    def _lose(self, error: Unavailable) -> None:
        self._engines_left -= 1
        if not self._engines_left:
            raise error
        self.lost = True

    def go_on(self) -> None:
        """Wait for the engine after the one that died, and ask it: on another connection, so watch this anew."""
        self.close()
        own = self._context.client
        try:
            self._open(Client(own.path, lambda: await_next_engine(own.path, NEXT_ENGINE_S)), self._again)
        except Unheard:  # none comes by itself, so this request starts one
            self._open(own, self._again)

    def _line(self, line: dict[str, Any]) -> None:
        kind = line.get("type")
        if kind == "step":
            self._progress.step(line)
        elif kind == "plan":
            self.planned = True
            steps = int(line.get("steps", 0))
            self._busy = self._busy or steps > 0
            self._progress.planned(steps)
        elif kind == "warning":
            self._busy = True
            self._warn(line)
        elif kind == "done":
            self.result = line
        elif kind == "error":
            raise failure(line)

    def _warn(self, line: dict[str, Any]) -> None:
        message, code = str(line.get("message", "")), str(line.get("code", ""))
        if not code:  # a remark of the plan, such as what stays: nothing to look up
            helps = "".join(f"\n  = help: {each}" for each in line.get("helps") or ())
            self._progress.say(f"{self._context.err.paint('warning', YELLOW)}: {message}{helps}")
            return
        from orchestr8.cli.render import diagnostics_text

        found = Diagnostic(
            code, message, severity="warning", notes=line.get("notes") or (), helps=line.get("helps") or ()
        )  # fmt: skip
        text = diagnostics_text([found], {}, self._context.err, self._context.error_format)
        self._progress.say(text.rstrip("\n"))


def failure(line: dict[str, Any]) -> Orchestr8Error:
    """The error in a last line, as its class."""
    return error_from_json(int(line.get("status", 500)), line)


def do_work(
    context: Context, title: str, path: str, body: dict[str, Any], *, resumable: bool, when_idle: str = ""
) -> dict[str, Any]:
    """Have it done, telling its progress, and return the last line. Raises the error that made it fail.

    `when_idle`: a warning for when there was nothing to do.
    """
    with context.progress() as progress:
        progress.begin(title)
        with Work(context, progress, path, body, resumable=resumable) as work:
            try:
                finish(work, progress)
                if work.idle and when_idle:
                    progress.say(f"{context.err.paint('warning', YELLOW)}: {when_idle}")
            except KeyboardInterrupt:
                progress.say(f"interrupted; the engine goes on with: {title}")
                raise
    assert work.result is not None
    return work.result


def finish(work: Work, progress: Progress) -> None:
    """Wait for the end of a work."""
    loop = Loop()

    def take() -> None:
        work.take()
        if work.lost:
            loop.forget(work)
            work.go_on()
            loop.watch(work, take)
        elif work.result is not None:
            loop.stop()

    loop.watch(work, take)
    loop.run(progress.tick)
