"""`up`: have the engine make the stack as the file says; attached, show its logs until it ends or is interrupted.

The engine does the work, so nothing here is needed for it to go on: a CLI that is killed leaves the stack running.
"""

from __future__ import annotations

import signal
import time

from orchestr8.cli.documents import check_recreate, check_wait, sent_document, up_options
from orchestr8.cli.follow import FollowedLogs
from orchestr8.cli.logview import LogView
from orchestr8.cli.loop import Loop, Signals
from orchestr8.cli.work import Work, do_work

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Any

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options
    from orchestr8.cli.progress import Progress
    from orchestr8.wire.client import Stream


def run(context: Context, options: Options) -> int:
    check_recreate(options)
    check_wait(options)
    document = sent_document(context, options.services, options.scale, acting=True, complete=True)
    stack = document["name"]
    wanted = up_options(options, context.environ)
    if options.dry_run:
        from orchestr8.cli.commands.plan import show_plan

        show_plan(context, stack, "up", document, wanted)
        return 0
    body = {"document": document, "options": wanted}
    if options.detach or options.wait:
        done = do_work(context, f"up {stack}", f"/stacks/{stack}/up", body, resumable=resumable(wanted))
        with context.progress() as progress:
            tell_addresses(progress, done)
        return 0
    with context.progress() as progress:
        return _Attached(context, options, stack, body, progress).run()


class _Attached:
    """An `up` that stays: its progress, the logs of what it starts, and the signals that end it.

    The log stream is the engine's to end, when nothing of the selection runs, will run again, or is being worked on.
    """

    def __init__(
        self, context: Context, options: Options, stack: str, body: dict[str, Any], progress: Progress
    ) -> None:
        self._context = context
        self._options = options
        self._stack = stack
        self._body = body
        self._progress = progress
        self._loop = Loop()
        self._since = time.time()
        self._logs: FollowedLogs | None = None
        self._work: Work | None = None  # what the engine is doing for us now
        self._interrupts = 0
        self._exit_code = 0

    def run(self) -> int:
        try:
            with Signals((signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)) as signals:
                self._loop.watch(signals, lambda: self._signalled(signals))
                self._begin(f"up {self._stack}", "up", self._body)
                self._loop.run(self._progress.tick)
        finally:
            self._drop_work()
            self._drop_logs()
        return self._exit_code

    # --- the work ---------------------------------------------------------------------------------------------

    def _begin(self, title: str, verb: str, body: dict[str, Any]) -> None:
        """Have the engine do something; what it did for us before goes on untold."""
        self._drop_work()
        self._progress.begin(title)
        self._work = Work(
            self._context,
            self._progress,
            f"/stacks/{self._stack}/{verb}",
            body,
            resumable=verb == "stop" or (verb == "up" and resumable(body["options"])),
        )
        self._loop.watch(self._work, self._worked)

    def _drop_work(self) -> None:
        if self._work is not None:
            self._loop.forget(self._work)
            self._work.close()
            self._work = None

    def _worked(self) -> None:
        work = self._work
        assert work is not None
        work.take()
        if work.lost:
            self._loop.forget(work)
            work.go_on()
            self._loop.watch(work, self._worked)
            return
        if self._logs is None and (work.planned or work.result is not None):
            self._follow_logs()
        if work.result is None:
            return
        self._drop_work()
        self._progress.close()
        if not self._interrupts:
            tell_addresses(self._progress, work.result)
        elif self._logs is not None and self._logs.something_runs():
            self._loop.stop()  # a one-off of `run`, say: not ours to wait for; else the logs end after the last line
        self._end_with_the_logs()

    # --- the logs ---------------------------------------------------------------------------------------------

    def _follow_logs(self) -> None:
        """From when the engine knows the stack; what was written before `up` was called is history. What it starts may have
        ended by now.
        """
        query: dict[str, Any] = dict.fromkeys(("since", "ends_since"), f"{self._since:.6f}")
        if self._options.services:
            query["service"] = self._options.services
        if self._options.timestamps:
            query["timestamps"] = 1
        self._logs = FollowedLogs(self._context, self._stack, query, self._view)
        self._loop.watch(self._logs.view, self._logged)

    def _view(self, stream: Stream) -> LogView:
        return LogView(
            stream,
            lambda data: self._progress.above(self._context.out, data),
            self._progress.say,
            colour=self._context.colour_logs(),
            prefix=not self._options.no_log_prefix,
            marks_stderr=True,
        )

    def _drop_logs(self) -> None:
        if self._logs is not None:
            self._loop.forget(self._logs.view)
            self._logs.close()
            self._logs = None

    def _logged(self) -> None:
        assert self._logs is not None
        self._logs.view.take()
        if self._logs.view.ended:
            self._loop.forget(self._logs.view)
        self._end_with_the_logs()

    def _end_with_the_logs(self) -> None:
        """Leave when the log has ended. An engine that died ended it too: then follow the next one's."""
        if self._work is not None or self._logs is None or not self._logs.view.ended:
            return
        if not self._interrupts and self._logs.go_on():
            self._loop.watch(self._logs.view, self._logged)
        else:
            self._loop.stop()

    # --- the signals ------------------------------------------------------------------------------------------

    def _signalled(self, signals: Signals) -> None:
        for number in signals.take():
            if number == signal.SIGQUIT:
                self._progress.close()
                self._progress.say(f"detached: {self._stack} goes on; see orchestr8 -p {self._stack} logs -f")
                self._loop.stop()
                return
            self._interrupts += 1
            self._exit_code = 130
            services = {"services": self._options.services or None}
            if self._interrupts == 1:
                self._progress.say("stopping in order; Ctrl-C again kills")
                self._begin(f"stop {self._stack}", "stop", {**services, "timeout_s": self._options.timeout})
            elif self._interrupts == 2:
                self._begin(f"kill {self._stack}", "kill", {**services, "signal": "SIGKILL"})
            else:
                self._loop.stop()


def resumable(wanted: dict[str, Any]) -> bool:
    """Whether the engine after one that died over this `up` can tell what is left of it: not for whom it was to wait,
    nor whom a recreation took along.
    """
    return not wanted["wait"] and not wanted["force_recreate"]


def tell_addresses(progress: Progress, done: dict[str, Any]) -> None:
    """Where the published ports are to be found, for people: an address that can be opened."""
    for port in done.get("ports", []):
        where = port.get("url") or f"{port['host_ip']}:{port['published']}"
        if port["host_ip"] in ("0.0.0.0", "::"):
            where += "  (on every address of this machine)"
        progress.published(port["service"], where)
