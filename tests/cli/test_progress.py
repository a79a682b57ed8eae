"""Plain and JSON progress as text; the live display as a terminal (pyte) shows it."""

import os
import struct
import termios
from collections.abc import Iterator
from fcntl import ioctl

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.cli.live import LiveProgress
from orchestr8.cli.output import Output
from orchestr8.cli.progress import JsonProgress, PlainProgress, Progress

CREATING = {"type": "step", "kind": "Container", "name": "shop-web-1", "status": "Creating", "reason": "not found"}
CREATED = {**CREATING, "status": "Created"}
FAILED = {**CREATING, "status": "Error", "error": {"message": "port 80 is taken\nmore"}}


def tell(progress: Progress) -> None:
    with progress:
        progress.begin("up shop")
        progress.planned(2)
        for event in (CREATING, CREATED, FAILED):
            progress.step(event)
        progress.say("warning: something")
        progress.published("web", "http://127.0.0.1:8080")


@pytest.fixture
def err() -> Output:
    return Output(2, ansi="never", environ={})


def test_plain_progress_is_a_line_for_each_change(err: Output, capfd: pytest.CaptureFixture[str]) -> None:
    tell(PlainProgress(err))
    assert capfd.readouterr().err == (
        " Container shop-web-1  Creating\n"
        " Container shop-web-1  Created\n"
        " Container shop-web-1  Error  port 80 is taken\n"
        "warning: something\n"
        " web  http://127.0.0.1:8080\n"
    )


def test_json_progress_is_an_object_for_each_change(err: Output, capfd: pytest.CaptureFixture[str]) -> None:
    tell(JsonProgress(err))
    assert capfd.readouterr().err == (
        '{"id": "Container shop-web-1", "status": "Working", "text": "Creating", "details": "not found"}\n'
        '{"id": "Container shop-web-1", "status": "Done", "text": "Created", "details": "not found"}\n'
        '{"id": "Container shop-web-1", "status": "Error", "text": "Error", "details": "port 80 is taken"}\n'
        '{"level": "warning", "message": "warning: something"}\n'
        '{"id": "Service web", "status": "Done", "text": "Published", "details": "http://127.0.0.1:8080"}\n'
    )


def test_quiet_progress_tells_warnings_alone(err: Output, capfd: pytest.CaptureFixture[str]) -> None:
    tell(Progress(err))
    assert capfd.readouterr().err == "warning: something\n"


class Screen:
    """A pseudo-terminal, and what a person sees on it. `bytes` and `frames` count what was written."""

    def __init__(self, columns: int = 60, rows: int = 12) -> None:
        self.master, self.slave = os.openpty()
        mode = termios.tcgetattr(self.slave)
        mode[1] &= ~termios.OPOST  # `pyte` moves to the first column at \n when told; the display must not rely on it
        termios.tcsetattr(self.slave, termios.TCSANOW, mode)
        os.set_blocking(self.master, False)
        self.screen = pyte.HistoryScreen(columns, rows, history=1000)
        self.screen.set_mode(pyte.modes.LNM)
        self.stream = pyte.ByteStream(self.screen)
        self.written = b""
        self.resize(columns, rows)
        self.output = Output(self.slave, ansi="always", environ={})
        self.output.encoding = "utf-8"

    def resize(self, columns: int, rows: int) -> None:
        ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def read(self) -> bytes:
        data = b""
        while True:
            try:
                data += os.read(self.master, 65536)
            except BlockingIOError:
                break
        self.written += data
        self.stream.feed(data)
        return data

    def lines(self) -> list[str]:
        self.read()
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def close(self) -> None:
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def screen() -> Iterator[Screen]:
    screen = Screen()
    yield screen
    screen.close()


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def up(screen: Screen) -> tuple[Clock, LiveProgress]:
    """A display that has begun."""
    clock = Clock()
    live = LiveProgress(screen.output, clock)
    live.begin("up shop")
    return clock, live


def event(name: str, status: str, **further: object) -> dict[str, object]:
    return {"kind": "Container", "name": name, "status": status, **further}


def test_the_display_shows_each_thing_once_with_its_state_and_time(screen: Screen) -> None:
    clock, live = up(screen)
    live.planned(4)
    live.step({"kind": "Network", "name": "shop_default", "status": "Creating"})
    live.step(event("shop-web-1", "Creating"))
    clock.now += 0.2
    live.step({"kind": "Network", "name": "shop_default", "status": "Created"})
    live.tick()
    assert screen.lines() == [
        " up shop  1/4  0.2s",
        " ✔ Network shop_default  Created     0.2s",
        " ◐ Container shop-web-1  Creating    0.2s",
    ]
    clock.now += 0.3
    live.step(event("shop-web-1", "Error", error={"message": "it broke"}))
    live.close()
    assert screen.lines() == [
        " up shop  2/4  0.5s",
        " ✔ Network shop_default  Created     0.2s",
        " ✘ Container shop-web-1  Error       0.5s  it broke",
    ]


def test_nothing_is_drawn_more_often_than_ten_times_a_second(screen: Screen) -> None:
    clock, live = up(screen)
    frames = 0
    for number in range(1000):
        clock.now += 0.001
        live.step(event(f"shop-web-{number % 5}", "Creating" if number % 2 else "Created"))
        wait = live.tick()
        assert wait is not None
        assert wait >= 0
        frames += bool(screen.read())
    assert frames <= 10


def test_nothing_is_drawn_while_nothing_happens_but_the_clock_once_a_second(screen: Screen) -> None:
    clock, live = up(screen)
    live.step(event("shop-web-1", "Starting"))
    clock.now += 0.1
    live.tick()
    screen.read()
    frames = 0
    for _ in range(300):
        clock.now += 0.01
        live.tick()
        frames += bool(screen.read())
    assert frames == 3


def test_a_frame_is_one_write_that_clears_nothing_it_draws_again(screen: Screen) -> None:
    clock, live = up(screen)
    live.step(event("shop-web-1", "Starting"))
    clock.now += 0.2
    live.tick()
    screen.read()
    clock.now += 0.2
    live.step(event("shop-web-1", "Started"))
    live.tick()
    frame = screen.read()
    assert frame.startswith(b"\x1b[2A\x1b[?7l\r")
    assert frame.endswith(b"\x1b[J\x1b[?7h")
    assert b"\x1b[2J" not in frame
    assert b"\x1b[?25l" not in frame


def test_two_hundred_services_never_need_more_rows_than_the_terminal_has(screen: Screen) -> None:
    clock = Clock()
    screen.stream.feed(b"$ orchestr8 up\n")
    live = LiveProgress(screen.output, clock)
    live.begin("up big")
    for number in range(200):
        live.step(event(f"big-s{number}-1", "Creating"))
        clock.now += 0.2
        live.tick()
        screen.read()
    for number in range(190):
        live.step(
            event(f"big-s{number}-1", "Started" if number else "Error", error={"message": "no"} if not number else None)
        )
        clock.now += 0.2
        live.tick()
        screen.read()
    lines = screen.lines()
    assert len(lines) <= 11
    assert lines[0].startswith(" up big")
    assert lines[1].startswith(" ✘ Container big-s0-1")
    assert lines[-1] == "   and 191 more, 2 of them under way"
    scrolled = ["".join(cell.data for cell in line.values()).strip() for line in screen.screen.history.top]
    assert scrolled in ([], ["$ orchestr8 up"])  # no row of the display was ever left behind above
    live.close()
    assert len(screen.lines()) <= 12


def test_long_names_are_cut_not_wrapped(screen: Screen) -> None:
    _, live = up(screen)
    live.step(event("x" * 200, "Creating"))
    live.close()
    assert [len(line) for line in screen.lines()] == [len(" up shop  0.0s"), 59]


def test_log_lines_go_above_the_display(screen: Screen) -> None:
    clock, live = up(screen)
    live.step(event("shop-web-1", "Starting"))
    clock.now += 0.2
    live.tick()
    live.above(screen.output, b"web-1  | hello\n")
    live.say("warning: careful")
    clock.now += 0.2
    live.tick()
    assert screen.lines() == [
        "web-1  | hello",
        "warning: careful",
        " up shop  0.4s",
        " ◐ Container shop-web-1  Starting    0.4s",
    ]


def test_a_narrower_terminal_is_redrawn_from_where_the_rows_begin_now() -> None:
    screen = Screen(columns=40, rows=10)
    clock, live = up(screen)
    live.step(event("shop-web-1", "Starting"))
    clock.now += 0.2
    live.tick()
    screen.read()
    ioctl(screen.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 21, 0, 0))
    clock.now += 0.2
    live.step(event("shop-web-1", "Started"))
    live.tick()
    frame = screen.read()
    assert frame.startswith(b"\x1b[3A")  # the row of 40 columns takes two now
    screen.close()


def test_work_without_steps_leaves_nothing_on_the_screen(screen: Screen) -> None:
    clock = Clock()
    with LiveProgress(screen.output, clock) as live:
        live.begin("stop shop")
        clock.now += 1
        live.tick()
        assert screen.lines() == [" stop shop  1.0s"]
    assert screen.lines() == []


def test_a_terminal_without_unicode_gets_plain_signs(screen: Screen) -> None:
    screen.output.encoding = "ascii"
    live = LiveProgress(screen.output, Clock())
    live.begin("up shop")
    live.step(event("shop-web-1", "Started"))
    live.close()
    assert screen.lines()[1] == " + Container shop-web-1  Started     0.0s"


steps = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from(["Creating", "Created", "Error", "Waiting", "Healthy", "Skipped"])),
    max_size=80,
)


@given(steps, st.integers(1, 100), st.integers(1, 30))
def test_no_frame_is_taller_or_wider_than_the_terminal(
    events: list[tuple[int, str]], columns: int, rows: int
) -> None:  # fmt: skip
    clock = Clock()
    output = Output(2, ansi="never", environ={})
    output.size = lambda: (columns, rows)  # type: ignore[method-assign]
    live = LiveProgress(output, clock)
    for number, status in events:
        live.step(event(f"shop-service{number}-1", status))
    lines = live._layout(clock(), columns, rows)
    assert len(lines) <= max(rows - 1, 1)
    assert all(len(line) < max(columns, 4) for line in lines)
