"""From one engine to the next: following logs, which `logs -f` and an attached `up` share, and questions that take long.

The engine ends the stream when nothing of the selection runs any more. An engine that is killed ends it too; the
forkserver starts another within a second, and what was written meanwhile is stored, so following goes on from the
places up to which lines came (`resumption`). An engine that was told to end is not started again for this.
"""

from __future__ import annotations

import os
import time

from orchestr8.errors import Unavailable, Unheard
from orchestr8.wire.client import Client

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from orchestr8.cli.context import Context
    from orchestr8.cli.logview import LogView
    from orchestr8.wire.client import Response, Stream

NEXT_ENGINE_S: Final = 15.0  # the forkserver starts engines that keep dying later and later, up to 10 s apart
ENGINES: Final = 4  # that may die over a request before the request is to blame
GONE_S: Final = 0.2  # for so long an engine that begins to listen may have no socket


class FollowedLogs:
    """`view` is what to watch; once that has ended, `go_on` says whether there is another one to watch."""

    def __init__(
        self, context: Context, stack: str, query: dict[str, Any], make_view: Callable[[Stream], LogView]
    ) -> None:
        self._path = f"/stacks/{stack}"
        ends = [query["until"]] if "until" in query else []
        self._query = {**query, "follow": 1, "until": [*ends, "exit"], "places": 1}
        self._make_view = make_view
        self._next = Client(context.client.path, self._await_engine)
        self.view = self._open(context.client)

    def _open(self, client: Client) -> LogView:
        view = self._make_view(client.upgrade("GET", f"{self._path}/logs", query=self._query))
        view.is_followed = True
        return view

    def go_on(self) -> bool:
        """Raises Unheard when the engine has ended for good."""
        self.view.stream.close()
        before = self.view.resumption
        # An engine that was killed has not said that the log is over, though what it had not sent yet may be all there is.
        if before.over or (not before.begun and not self.something_runs()):
            return False
        if before.listed:  # what has no place is new, and read from its beginning
            self._query.pop("tail", None)
            self._query.pop("since", None)
        self._query["place"] = before.places
        self._query["ended"] = sorted(before.ended)
        self.view = self._open(self._next)
        self.view.resumption.follow_on(before)
        return True

    def something_runs(self) -> bool:
        names = self._query.get("service") or ()
        running = self._next.request("GET", f"{self._path}/containers")
        return any(not names or each["service"] in names or each["name"] in names for each in running)

    def close(self) -> None:
        self.view.stream.close()

    def _await_engine(self) -> None:
        await_next_engine(self._next.path, NEXT_ENGINE_S)


def exit_code_of(
    client: Client,
    end: Response,
    there: str,
    query: dict[str, Any] | None = None,
    tell: Callable[[str], object] = lambda _: None,
) -> int:
    """Of a container's run: `end` is the answer to `wait` at its path; the next engine is asked where this one is killed.
    `tell` is given a line where the code alone does not say how it ended.
    """
    try:
        answer = end.value()
    except Unavailable:
        answer = ask_until_answered(client, f"{there}/wait", query or {}, method="POST")
    code = int(answer["StatusCode"])
    if why := answer.get("Why"):
        tell(f"exited with code {code}, {why}\n")
    return code


def ask_until_answered(client: Client, path: str, query: dict[str, Any], *, method: str = "GET") -> Any:
    """The answer to what may take long and may be asked twice, of the engine after this one where this one is killed over it."""
    following = Client(client.path, lambda: await_next_engine(client.path, NEXT_ENGINE_S))
    asked, engines_left = client, ENGINES
    while True:
        try:
            return asked.request(method, path, query=query, timeout_s=None)
        except Unavailable:
            engines_left -= 1
            if not engines_left:
                raise
            asked = following


def await_next_engine(path: str, within_s: float) -> None:
    """Return once somebody listens, after an engine that was killed: that has left its socket behind, for which the
    forkserver starts another. One that ended in order has taken its socket away: then, or in the end, this raises Unheard.
    """
    client = Client(path)
    deadline = time.monotonic() + within_s
    gone_since = 0.0
    while (now := time.monotonic()) < deadline and (not gone_since or now < gone_since + GONE_S):
        gone_since = 0.0 if os.path.exists(path) else gone_since or now
        try:
            client.connect().close()
            return
        except PermissionError:
            return  # one listens, and the request says what is missing
        except (FileNotFoundError, ConnectionRefusedError):
            time.sleep(0.02)  # nothing tells when somebody listens
    raise Unheard(
        "the engine ended; containers go on without it",
        helps=["the next command starts it again, this one too"],
    )
