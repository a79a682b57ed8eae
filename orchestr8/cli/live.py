"""The live display of a terminal: one row for each thing, redrawn in place.

Held to these rules: a frame is one write; never more rows than the terminal has, so nothing scrolls away while it is
drawn; at most 10 frames a second, and none when it would equal the last one; no cursor tricks that a killed process
could leave behind. Rows that are done fold first. The last frame stays where it is.
"""

from __future__ import annotations

from orchestr8.cli.output import DIM, GREEN, RED, RESET, YELLOW
from orchestr8.cli.progress import FAILED, WARNED, WORKING, Progress, cause

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from orchestr8.cli.output import Output

FRAME_S: Final = 0.1
CLOCK_S: Final = 1.0  # how often the times move on when nothing else happens
FIRST_S: Final = 0.05  # work that is over sooner is drawn once, at its end
GLYPHS: Final = {"working": "◐", "done": "✔", "failed": "✘", "warned": "!"}
ASCII_GLYPHS: Final = {"working": "*", "done": "+", "failed": "x", "warned": "!"}
STYLES: Final = {"working": YELLOW, "done": GREEN, "failed": RED, "warned": YELLOW}
_NO_WRAP, _WRAP, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[?7l", "\x1b[?7h", "\x1b[K", "\x1b[J"


class Row:
    """What is known about one thing, and since when."""

    __slots__ = ("began", "detail", "ended", "kind", "name", "status")

    def __init__(self, kind: str, name: str, began: float) -> None:
        self.kind = kind
        self.name = name
        self.status = ""
        self.detail = ""
        self.began = began
        self.ended: float | None = None

    @property
    def state(self) -> str:
        if self.status == FAILED:
            return "failed"
        if self.status in WARNED:
            return "warned"
        return "working" if self.status in WORKING else "done"


class LiveProgress(Progress):
    """Draws on a terminal. `clock` is time.monotonic, or a test's."""

    def __init__(self, output: Output, clock: Callable[[], float]) -> None:
        super().__init__(output)
        self._clock = clock
        self._title = ""
        self._steps = self._steps_done = 0
        self._rows: dict[tuple[str, str], Row] = {}
        self._began = clock()
        self._drawn: list[str] = []  # the rows on the screen, without colours
        self._frame = ""
        self._next = self._began + FIRST_S
        self._dirty = False
        self._open = False
        self._glyphs = GLYPHS if (output.encoding or "").lower().replace("-", "") == "utf8" else ASCII_GLYPHS

    def begin(self, title: str) -> None:
        self.close()
        self._title = title
        self._rows = {}
        self._steps = self._steps_done = 0
        self._began = self._clock()
        self._next = self._began + FIRST_S
        self._dirty = self._open = True

    def planned(self, steps: int) -> None:
        self._steps += steps
        self._dirty = True

    def step(self, event: dict[str, Any]) -> None:
        key = (event.get("kind", ""), event.get("name", ""))
        now = self._clock()
        row = self._rows.setdefault(key, Row(*key, now))
        if row.ended is not None:
            row.began, row.ended = now, None
        row.status = event.get("status", "")
        row.detail = cause(event) if row.state in ("failed", "warned") else ""
        if row.state != "working":
            row.ended = now
            self._steps_done += 1
        self._dirty = True

    def say(self, text: str) -> None:
        self.above(self.output, f"{text}\n".encode(self.output.encoding, "replace"))

    def published(self, service: str, address: str) -> None:
        self.output.write(f" {service}  {address}\n")

    def above(self, output: Output, data: bytes) -> None:
        """Log lines are put where the display is, and the display is drawn again under them, in its time."""
        if output.terminal and self._drawn:
            self._write(self._erase())
            self._drawn, self._frame = [], ""
            self._dirty = True
        output.write_bytes(data)

    def tick(self) -> float | None:
        if not self._open:
            return None
        now = self._clock()
        if not self._dirty:
            if not any(row.ended is None for row in self._rows.values()):
                return None
            if now < self._next + CLOCK_S - FRAME_S:
                return self._next + CLOCK_S - FRAME_S - now
        elif now < self._next:
            return self._next - now
        self._draw(now)
        return CLOCK_S

    def close(self) -> None:
        if self._open:
            self._draw(self._clock(), last=True)
            self._drawn, self._frame = [], ""
            self._open = False

    def _draw(self, now: float, *, last: bool = False) -> None:
        self._dirty = False
        self._next = now + FRAME_S
        columns, rows = self.output.size()
        if last and not self._rows:
            if self._drawn:
                self._write(self._erase())
            return
        lines = self._layout(now, columns, rows)
        frame = "\n".join(lines)
        if frame == self._frame and not last:
            return
        text = self._up() + _NO_WRAP + "".join(f"\r{line}{_CLEAR_LINE}\n" for line in lines) + _CLEAR_BELOW + _WRAP
        self._frame = frame
        self._drawn = [_plain(line) for line in lines]
        self._write(text)

    def _layout(self, now: float, columns: int, rows: int) -> list[str]:
        room = rows - 3  # the title, the line of what is folded, and the cursor's own
        every = list(self._rows.values()) if room > 0 else []
        shown = every
        if len(every) > room:  # errors first, then what goes on, then what ended last
            rank = {"failed": 0, "warned": 1, "working": 2, "done": 3}
            keep = sorted(every, key=lambda row: (rank[row.state], -(row.ended or now)))[:room]
            shown = [row for row in every if row in keep]
        lines = [self._head(now, columns)]
        width = max((len(row.name) + len(row.kind) for row in shown), default=0)
        lines += [self._line(row, now, columns, width) for row in shown]
        if folded := len(every) - len(shown):
            waiting = sum(row.state == "working" for row in every) - sum(row.state == "working" for row in shown)
            text = f"   and {folded} more" + (f", {waiting} of them under way" if waiting else ", done")
            lines.append(self.output.paint(text[: columns - 1], DIM))
        return lines

    def _head(self, now: float, columns: int) -> str:
        steps = f"  {min(self._steps_done, self._steps)}/{self._steps}" if self._steps else ""
        return f" {self._title}{steps}  {now - self._began:.1f}s"[: columns - 1]

    def _line(self, row: Row, now: float, columns: int, width: int) -> str:
        name = f"{row.kind} {row.name}"
        took = f"{(now if row.ended is None else row.ended) - row.began:.1f}s"
        tail = f"{row.status:<9} {took:>6}" + (f"  {row.detail}" if row.detail else "")
        text = f"{name:<{width + 1}}  {tail}"[: max(columns - 4, 0)]
        return f" {self.output.paint(self._glyphs[row.state], STYLES[row.state])} {text}"

    def _up(self) -> str:
        """To the first row drawn. A terminal that has become narrower has wrapped the rows, so count as it wraps now."""
        columns, _ = self.output.size()
        height = sum(max(1, -(-len(line) // columns)) for line in self._drawn)
        return f"\x1b[{height}A" if height else ""

    def _erase(self) -> str:
        return f"{self._up()}\r{_CLEAR_BELOW}"

    def _write(self, text: str) -> None:
        self.output.write(text)


def _plain(line: str) -> str:
    for style in (DIM, GREEN, RED, YELLOW, RESET):
        line = line.replace(style, "")
    return line
