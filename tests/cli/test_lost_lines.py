"""What a client shows of followed logs when engines are killed and files are rotated away: each line once, or told as lost.

The engine's part is played by its reader and its frames, sent as `engine.logs` sends them.
"""

import json
import os
import random
import re
from pathlib import Path

import pytest

from orchestr8.cli.logpick import JsonLines
from orchestr8.cli.logview import LogView
from orchestr8.engine.logmerge import announcement, frames
from orchestr8.runtime.logmarks import Mark
from orchestr8.runtime.logs import LogReader, Place
from orchestr8.runtime.logwriter import LogWriter

LOST = re.compile(r"web-1: (\d+) lines? (?:was|were) lost to rotation before (?:it|they) could be shown")


class Sent:
    """A stream, of which the client takes what came before it was cut off."""

    ready = False

    def __init__(self, data: bytes) -> None:
        self._data = data

    def fileno(self) -> int:
        raise AssertionError("nobody waits for it")

    def receive(self) -> bytes:
        data, self._data = self._data, b""
        return data


class Follower:
    def __init__(self) -> None:
        self.shown = bytearray()
        self.lost = 0
        self.view: LogView | None = None

    def say(self, text: str) -> None:
        match = LOST.fullmatch(text)
        assert match, text
        self.lost += int(match[1])

    def connect(self) -> None:
        view = LogView(Sent(b""), self.shown.extend, self.say, colour=False, prefix=False)  # type: ignore[arg-type]
        view.is_followed = True
        if self.view is not None:
            view.resumption.follow_on(self.view.resumption)
        self.view = view

    def take(self, data: bytes) -> None:
        assert self.view is not None
        self.view.stream = Sent(data)  # type: ignore[assignment]
        self.view.take()

    @property
    def place(self) -> Place | None:
        assert self.view is not None
        for each in self.view.resumption.places:
            _, head, *numbers = each.split(" ")
            offset, skip, records, lines = map(int, numbers)
            return Place(head, offset, skip, Mark(records, lines))
        return None


class Engine:
    def __init__(self, path: str, place: Place | None, rng: random.Random) -> None:
        self._reader = LogReader(
            path, place=place, block_bytes=rng.choice((50, 300, 2000)), coalesce=rng.random() < 0.5
        )
        self.sent = announcement(b'{"source":0,"name":"web-1","id":"A"}', 0) + self._place()

    def _place(self) -> bytes:
        place = self._reader.place
        if place is None:
            return b""
        assert place.mark is not None
        text = f"{place.head} {place.offset} {place.skip_lines} {place.mark.records} {place.mark.lines}"
        return announcement(json.dumps({"source": 0, "place": text}).encode(), 0)

    def work(self, blocks: int) -> None:
        for _ in range(blocks):
            found = self._reader.read()
            if found is None:
                return
            if found:
                self.sent += frames(0, found, timestamps=False) + self._place()

    def take(self, size: int) -> bytes:
        data, self.sent = self.sent[:size], self.sent[size:]
        return data

    def close(self) -> None:
        self._reader.close()


@pytest.mark.parametrize("seed", range(150))
def test_every_line_is_shown_once_or_told_as_lost(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    path = str(tmp_path / "current.log")
    writer = LogWriter(path, max_bytes=rng.choice((300, 700)), max_files=rng.choice((1, 2, 3)))
    both = seed % 2 == 0
    follower = Follower()
    engine = Engine(path, None, rng)
    follower.connect()
    follower.take(engine.take(1000))  # from here on it follows
    pending = {b"stdout": b"", b"stderr": b""}
    written: dict[bytes, list[bytes]] = {b"stdout": [], b"stderr": []}
    for _ in range(400):
        action = rng.randrange(12)
        if action < 7:
            stream = rng.choice((b"stdout", b"stderr")) if both else b"stdout"
            for _ in range(rng.randrange(1, 6)):
                line = b"%s %05d\n" % (stream, len(written[stream]))
                written[stream].append(line)
                pending[stream] += line
            cut = rng.randrange(1, len(pending[stream]) + 1)
            writer.write(stream, pending[stream][:cut])
            pending[stream] = pending[stream][cut:]
        elif action < 9:
            engine.work(rng.randrange(4))
        elif action < 11:
            follower.take(engine.take(rng.randrange(600)))
        elif rng.random() < 0.5:  # it is killed: of what it sent something comes
            follower.take(engine.take(rng.randrange(600)))
            engine.close()
            place = follower.place
            follower.connect()
            engine = Engine(path, place, rng)
    for stream, text in pending.items():
        if text:
            writer.write(stream, text)
    writer.close()
    engine.work(10_000)
    follower.take(engine.sent)
    engine.close()
    shown = bytes(follower.shown).splitlines(keepends=True)
    for stream, lines in written.items():
        mine = [line for line in shown if line.startswith(stream)]
        assert mine == sorted(set(mine)), "in order, each once"
        assert set(mine) <= set(lines), "whole"
    count = sum(map(len, written.values()))
    assert len(shown) + follower.lost == count
    assert shown, "something is kept to the end"


def test_what_is_lost_is_an_object_of_its_own_in_json() -> None:
    shown = bytearray()
    view = JsonLines(Sent(b""), shown.extend, pytest.fail)  # type: ignore[arg-type]
    at = "2026-11-23T05:00:00.123456789Z"
    news = [{"source": 0, "name": "web-1", "container": "shop-web-1", "service": "web"}]
    news += [{"source": 0, "lost": lost, "at": at} for lost in (7, 1, -1)]
    view.stream = Sent(b"".join(announcement(json.dumps(each).encode(), 0) for each in news))  # type: ignore[assignment]
    view.take()
    about = {"time": at, "service": "web", "container": "shop-web-1", "stream": "engine"}
    assert [json.loads(line) for line in shown.splitlines()] == [
        {**about, "message": "7 lines were lost to rotation before they could be shown", "lost_lines": 7},
        {**about, "message": "1 line was lost to rotation before it could be shown", "lost_lines": 1},
        {**about, "message": "some lines were lost to rotation before they could be shown", "lost_lines": None},
    ]


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    test_every_line_is_shown_once_or_told_as_lost(tmp_path, 7)
    assert len(os.listdir("/proc/self/fd")) == before
