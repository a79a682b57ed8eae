"""Merged logs as lines: `web-1  | text`, each container in its colour. Used by `logs` and by an attached `up`, which shows
lines of stderr as `web-1 !| text`.

The engine sends frames: announcements say which source is which container and when one ends; the others hold whole
lines. A million lines pass here, so a frame's lines get their prefix by one `replace`.
"""

from __future__ import annotations

import json

from orchestr8.cli.output import RESET
from orchestr8.cli.resumption import Resumption
from orchestr8.errors import error_from_json
from orchestr8.wire.body import cut_off
from orchestr8.wire.frames import ANNOUNCEMENT, ERROR, STDERR, STDOUT, FrameReader

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from orchestr8.wire.client import Stream

    Pick = Callable[[bytes], bytes]

_COLOURS: Final = tuple(f"\x1b[{code}m" for code in (36, 33, 32, 35, 34, "36;1", "33;1", "32;1", "35;1", "34;1"))


class LogView:
    """Reads a log stream and writes what it holds. `ended` is set when the engine has nothing more to send."""

    def __init__(
        self,
        stream: Stream,
        write: Callable[[bytes], None],
        say: Callable[[str], None],
        *,
        colour: bool,
        prefix: bool,
        pick: Pick | None = None,
        marks_stderr: bool = False,
    ) -> None:
        """`say`: what is to be known of the log and is none of it. `pick`: of lines of a log, those that are to be shown.
        `marks_stderr`: in the prefix.
        """
        self.stream = stream
        self.ended = False
        self.is_followed = False  # another engine's stream takes up what is cut off
        self._write = write
        self._say = say
        self._colour = colour
        self._prefix = prefix
        self._pick = pick
        self._reader = FrameReader()
        self.resumption = Resumption()
        self._names: dict[int, str] = {}
        self._prefixes: dict[tuple[int, int], bytes] = {}  # of a source and a stream
        self._marks = {STDOUT: " ", STDERR: "!" if marks_stderr else " "}
        self._unfinished: int | None = None  # the source whose last line, shown without a prefix, has no newline yet

    def fileno(self) -> int:
        return self.stream.fileno()

    @property
    def ready(self) -> bool:
        return self.stream.ready

    def take(self) -> None:
        """Write what one read brings."""
        data = self.stream.receive()
        if not data:
            self.ended = True
            if self._reader.pending and not self.is_followed:
                raise cut_off()
            return
        pieces: list[bytes] = []
        for kind, payload, source in self._reader.feed(data):
            if kind == ANNOUNCEMENT:
                news = json.loads(payload)
                self.resumption.announced(news)
                if "lost" not in news:
                    self._announced(news, pieces)
                elif lost := self.resumption.lost(news):
                    self._missed(int(news["source"]), lost, str(news.get("at", "")), pieces)
            elif kind == ERROR:
                raise error_from_json(500, json.loads(payload))
            elif payload:
                fresh = self.resumption.fresh(kind, source, payload)
                if fresh and (lines := self._pick(fresh) if self._pick else fresh):
                    self._said(kind, source, lines, pieces)
        if pieces:
            self._write(b"".join(pieces))

    def _said(self, stream: int, source: int, lines: bytes, pieces: list[bytes]) -> None:
        if self._prefix:
            pieces.append(self._marked(stream, source, lines))
            return
        self._finish_line(pieces, source)
        self._unfinished = None if lines.endswith(b"\n") else source
        pieces.append(lines)

    def _finish_line(self, pieces: list[bytes], source: int | None = None) -> None:
        """Nobody else's words are to stand in the line that somebody has left open."""
        if self._unfinished not in (None, source):
            pieces.append(b"\n")
            self._unfinished = None

    def _announced(self, news: dict[str, Any], pieces: list[bytes]) -> None:
        source = int(news.get("source", 0))
        if "name" in news:
            self._names[source] = str(news["name"])
            self._align()
        name = self._names.get(source, "a container")
        if news.get("kept") is False:
            self._finish_line(pieces)
            pieces.append(f"{self._painted(source, name)} has a logging driver that keeps nothing here\n".encode())
        if "exited" in news:
            why = f", {news['why']}" if news.get("why") else ""
            again = " (restarting)" if news.get("restarting") else ""
            self._finish_line(pieces)
            pieces.append(f"{self._painted(source, name)} exited with code {news['exited']}{why}{again}\n".encode())
        if "felt" in news:
            self._finish_line(pieces)
            pieces.append(f"{self._painted(source, name)} is {news['felt']}; a process of it is killed\n".encode())

    def _missed(self, source: int, lines: int, _at: str, pieces: list[bytes]) -> None:
        self._finish_line(pieces)
        self._write(b"".join(pieces))
        pieces.clear()
        self._say(f"{self._names.get(source, 'a container')}: {lost_lines(lines)}")

    def _align(self) -> None:
        """All prefixes as wide as the longest name that is known by now."""
        width = max(len(name) for name in self._names.values())
        self._prefixes = {
            (source, stream): self._painted(source, f"{name:<{width}} {mark}| ").encode()
            for source, name in self._names.items()
            for stream, mark in self._marks.items()
        }

    def _painted(self, source: int, text: str) -> str:
        return f"{_COLOURS[source % len(_COLOURS)]}{text}{RESET}" if self._colour else text

    def _marked(self, stream: int, source: int, lines: bytes) -> bytes:
        prefix = self._prefixes.get((source, stream), b"")
        if not lines.endswith(b"\n"):
            lines += b"\n"
        return prefix + lines[:-1].replace(b"\n", b"\n" + prefix) + b"\n"


def lost_lines(lines: int) -> str:
    """`lines`: -1 where nobody has counted them."""
    if lines == 1:
        return "1 line was lost to rotation before it could be shown"
    return f"{'some' if lines < 0 else lines} lines were lost to rotation before they could be shown"
