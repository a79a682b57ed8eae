"""A log is rotated, again and again, while its files are being opened: what is read is in order, each line once."""

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestr8.runtime import logmembers
from orchestr8.runtime.logrecords import Batch
from orchestr8.runtime.logs import LogReader
from orchestr8.runtime.logwriter import LogWriter

FILES = 4


class World:
    """A writer that fills a file with each line, and rotates `times` times when its reader opens the `nth` file."""

    def __init__(self, path: str, *, nth: int, times: int, compressing: bool) -> None:
        self._path = path
        self._writer = LogWriter(path, max_bytes=100, max_files=FILES)
        self._compressing = compressing
        self._nth = nth  # 0: each one
        self._times = times
        self._opened = -1  # below 0: the reader is not looked at
        self.written = 0

    def write(self, lines: int) -> None:
        for _ in range(lines):
            self._writer.write(b"stdout", b"%04d%s\n" % (self.written, b"." * 60))
            self.written += 1
            if self._compressing:
                self._compress()

    def _compress(self) -> None:
        """As the packer does, when it has come to an end."""
        for name in (f"{self._path}.{number}" for number in range(1, FILES)):
            if os.path.exists(name):
                with open(name, "rb") as source, open(f"{name}.gz", "xb") as target:
                    logmembers.compress(source.fileno(), target.fileno())
                os.unlink(name)

    def interrupting(self, patch: pytest.MonkeyPatch) -> None:
        self._opened = 0
        real = os.open

        def opening(*arguments: Any, **options: Any) -> int:
            if self._opened >= 0:
                self._opened += 1
                if self._nth in (0, self._opened):
                    self._opened = -1
                    self.write(self._times)
                    self._opened = -1 if self._nth else 0
            return real(*arguments, **options)

        patch.setattr(os, "open", opening)

    def close(self) -> None:
        self._writer.close()


def told(read: Callable[[], list[Any] | None]) -> tuple[list[int], int]:
    """The numbers of the lines, and how many are lost."""
    lines: list[int] = []
    lost = 0
    while (found := read()) is not None:
        for each in found:
            if isinstance(each, Batch):
                lines += [int(line[:4]) for line in each.data.splitlines()]
            else:
                lost += each.lines
    return lines, lost


NTH = range(1, 8)
TIMES = (1, 2, 3, 9)
CASES = [pytest.param(*case, id="-".join(map(str, case))) for case in itertools.product(NTH, TIMES, (False, True))]


@pytest.mark.parametrize(("nth", "times", "compressing"), CASES)
def test_what_is_stored_is_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int, times: int, compressing: bool
) -> None:
    world = World(str(tmp_path / "log"), nth=nth, times=times, compressing=compressing)
    world.write(7)
    with monkeypatch.context() as patch:
        world.interrupting(patch)
        reader = LogReader(str(tmp_path / "log"))
    lines, lost = told(reader.read_stored)
    assert (lines, lost) == (list(range(lines[0], lines[0] + len(lines))), 0)
    assert len(lines) >= FILES - 1
    world.write(1)
    more, lost = told(reader.read)
    assert lines + more == list(range(lines[0], world.written))
    assert lost == 0
    reader.close()
    world.close()


@pytest.mark.parametrize(("nth", "times", "compressing"), CASES)
def test_what_is_followed_is_shown_once_and_what_is_not_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int, times: int, compressing: bool
) -> None:
    world = World(str(tmp_path / "log"), nth=nth, times=times, compressing=compressing)
    world.write(7)
    reader = LogReader(str(tmp_path / "log"))
    before, _ = told(reader.read)
    world.write(3)
    with monkeypatch.context() as patch:
        world.interrupting(patch)
        lines, lost = told(reader.read)
    world.write(1)
    more, lost_later = told(reader.read)
    shown = before + lines + more
    assert shown == sorted(set(shown))
    assert shown[-1] == world.written - 1
    assert len(shown) - len(before) + lost + lost_later == world.written - 7
    reader.close()
    world.close()


@pytest.mark.parametrize("compressing", [False, True])
def test_who_is_overtaken_all_the_time_comes_to_an_end_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compressing: bool
) -> None:
    world = World(str(tmp_path / "log"), nth=0, times=2, compressing=compressing)
    world.write(7)
    reader = LogReader(str(tmp_path / "log"))
    before, _ = told(reader.read)
    world.write(1)
    with monkeypatch.context() as patch:
        world.interrupting(patch)
        found = reader.read() or []
    found += reader.read() or []
    lines, lost = told(iter([found, None]).__next__)
    more, lost_later = told(reader.read)
    shown = before + lines + more
    assert shown == sorted(set(shown))
    assert len(shown) - len(before) + lost + lost_later == world.written - 7
    reader.close()
    world.close()


@pytest.mark.parametrize("compressing", [False, True])
def test_what_a_shim_left_that_was_killed_while_it_rotated_is_all_there(tmp_path: Path, compressing: bool) -> None:
    world = World(str(tmp_path / "log"), nth=0, times=0, compressing=compressing)
    world.write(7)
    world.close()
    os.unlink(tmp_path / "log")
    reader = LogReader(str(tmp_path / "log"))
    assert told(reader.read_stored) == ([3, 4, 5], 0)
    reader.close()


def test_no_descriptor_is_left_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for nth in NTH:
        world = World(str(tmp_path / f"log{nth}"), nth=nth, times=5, compressing=bool(nth % 2))
        world.write(7)
        with monkeypatch.context() as patch:
            world.interrupting(patch)
            LogReader(str(tmp_path / f"log{nth}")).close()
        world.close()
    assert len(os.listdir("/proc/self/fd")) == before
