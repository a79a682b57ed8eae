"""`logs --grep` and `--format json`: which lines are shown, and lines as objects. Loaded only when asked for.

A user's pattern can take longer than a life, so it is matched here and not in the engine, which others wait for.
"""

from __future__ import annotations

import json
import re

from orchestr8.cli.logview import LogView, lost_lines
from orchestr8.cli.parser import UsageError
from orchestr8.wire.frames import STDERR

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from orchestr8.cli.logview import Pick
    from orchestr8.wire.client import Stream

TIME_LETTERS: Final = 30  # "2026-11-23T05:00:00.123456789Z", and a space behind it


def matching(pattern: str, *, timed: bool) -> Pick:
    """The lines in which `pattern` is found. `timed`: each begins with its time, which is not looked at.

    Raises UsageError for what is no regular expression.
    """
    try:
        search = re.compile(pattern).search
    except re.error as error:
        at = "" if error.pos is None else f" at letter {error.pos + 1}"
        raise UsageError(
            f"--grep {pattern!r} is not a regular expression: {error.msg}{at}",
            helps=["put \\ before letters that mean themselves: \\( \\[ \\* \\. \\\\"],
        ) from None
    begin = TIME_LETTERS + 1 if timed else 0

    def pick(lines: bytes) -> bytes:
        text = lines.decode(errors="surrogateescape")
        ended = text.endswith("\n")
        found = [line for line in (text[:-1] if ended else text).split("\n") if search(line[begin:])]
        if not found:
            return b""
        # A last line without an end keeps none if it is among them.
        end = "\n" if ended or found[-1] != text.rpartition("\n")[2] else ""
        return ("\n".join(found) + end).encode(errors="surrogateescape")

    return pick


class JsonLines(LogView):
    """One object a line: time, service, container, stream, message. Only what containers wrote, and, with the stream
    "engine", how many lines of it are lost; the stream must have times. Bytes that are no UTF-8 become U+FFFD.
    """

    def __init__(
        self, stream: Stream, write: Callable[[bytes], None], say: Callable[[str], None], *, pick: Pick | None = None
    ) -> None:
        super().__init__(stream, write, say, colour=False, prefix=False, pick=pick)
        self._sources: dict[int, tuple[str, str]] = {}  # service and container

    def _announced(self, news: dict[str, Any], pieces: list[bytes]) -> None:  # noqa: ARG002 - nobody's output
        if "name" in news:
            self._sources[int(news.get("source", 0))] = (str(news["service"]), str(news["container"]))

    def _missed(self, source: int, lines: int, at: str, pieces: list[bytes]) -> None:
        """`lost_lines` is null where nobody has counted them."""
        told = {**self._about(source, at, "engine", lost_lines(lines)), "lost_lines": None if lines < 0 else lines}
        pieces.append(json.dumps(told, ensure_ascii=False).encode() + b"\n")

    def _about(self, source: int, at: str, stream: str, message: str) -> dict[str, Any]:
        service, container = self._sources.get(source, ("", ""))
        return {"time": at, "service": service, "container": container, "stream": stream, "message": message}

    def _said(self, stream: int, source: int, lines: bytes, pieces: list[bytes]) -> None:
        name = "stderr" if stream == STDERR else "stdout"
        for line in lines.removesuffix(b"\n").split(b"\n"):
            text = line.decode(errors="replace")
            told = self._about(source, text[:TIME_LETTERS], name, text[TIME_LETTERS + 1 :])
            pieces.append(json.dumps(told, ensure_ascii=False).encode() + b"\n")
