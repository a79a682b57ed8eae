"""How followed logs go on with another engine without a gap and without a line twice.

The engine announces places: up to there, everything of a source was sent. What came since is counted, in bytes and in lines.
The next engine is asked to read on from the last places, and as many bytes as came since are dropped of what it sends.

Where it finds that files are gone by now it says how many lines were in them. Those may have been shown already, and then
what it sends next too; of no stream it is known how many bytes they were, so from there on as many lines are dropped as
were shown of what comes.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Any


class Resumption:
    """Of one stream of frames.

    places    what to ask the next engine for, as values of the query's `place`
    ended     the containers the end of whose run is known
    begun     the engine has announced a container
    listed    it has announced all that there were
    over      it has sent all, and nothing of it was cut off
    """

    def __init__(self) -> None:
        self.ended: set[str] = set()
        self.listed = False
        self.over = False
        self._ids: dict[int, str] = {}  # source -> container
        self._places: dict[str, str] = {}  # container -> place
        self._since: dict[tuple[str, int], int] = {}  # container and stream -> bytes that came since
        self._owed: dict[tuple[str, int], int] = {}  # as many were shown before this stream began
        self._lines_since: dict[str, int] = {}  # container -> lines, of both its streams, that came or were lost
        self._lines_owed: dict[str, int] = {}
        self._drops_lines: set[str] = set()  # containers of which lines are dropped, and not bytes

    @property
    def begun(self) -> bool:
        return bool(self._places)

    @property
    def places(self) -> list[str]:
        return [f"{container} {place}" for container, place in self._places.items()]

    def follow_on(self, before: Resumption) -> None:
        """Be that of a stream that was asked to begin at the places of `before`."""
        self._places = {**before._places}
        self.ended = {*before.ended}
        self.listed = before.listed
        # What came since its last place, and what it had not yet come to of that which was shown before itself.
        self._owed = {
            (container, stream): before._since.get((container, stream), 0) + before._owed.get((container, stream), 0)
            for container in before._places
            for stream in (1, 2)
        }
        self._lines_owed = {
            container: before._lines_since.get(container, 0) + before._lines_owed.get(container, 0)
            for container in before._places
        }
        self._drops_lines = {each for each in before._drops_lines if before._lines_owed.get(each)}

    def announced(self, news: dict[str, Any]) -> None:
        self.over = self.over or bool(news.get("over"))
        self.listed = self.listed or bool(news.get("listed"))
        if "id" in news:
            self._ids[int(news["source"])] = str(news["id"])
        container = self._ids.get(int(news.get("source", -1)))
        if container is None:  # of no container, or of an engine that announces no places
            return
        if news.get("ended") or ("exited" in news and not news.get("restarting")):
            self.ended.add(container)
        elif "ended" in news:
            self.ended.discard(container)  # it runs again
        if "place" in news:
            self._places[container] = str(news["place"])
            self._since.update({(container, stream): 0 for stream in (1, 2)})
            self._lines_since[container] = 0

    def lost(self, news: dict[str, Any]) -> int:
        """How many of the lines that the engine says are gone were not shown before, nor told as lost; -1: that is not known."""
        lost = int(news["lost"])
        container = self._ids.get(int(news.get("source", -1)))
        if container is None:
            return lost
        self._owed.update({(container, stream): 0 for stream in (1, 2)})
        self._drops_lines.add(container)
        if lost < 0:
            self._lines_owed[container] = 0
            return lost
        owed = self._lines_owed.get(container, 0)
        self._lines_since[container] = self._lines_since.get(container, 0) + lost
        self._lines_owed[container] = max(0, owed - lost)
        return max(0, lost - owed)

    def fresh(self, stream: int, source: int, payload: bytes) -> bytes:
        """What of it was not shown before."""
        container = self._ids.get(source)
        if container is None:  # an engine that announces no places
            return payload
        key = container, stream
        self._since[key] = self._since.get(key, 0) + len(payload)
        lines_owed = self._lines_owed.get(container, 0)
        if container in self._drops_lines:
            shown = _length_of(payload, lines_owed) if lines_owed else 0
        else:
            shown = min(self._owed.get(key, 0), len(payload))
            self._owed[key] = self._owed.get(key, 0) - shown
        self._lines_since[container] = self._lines_since.get(container, 0) + payload.count(b"\n")
        if shown:
            self._lines_owed[container] = max(0, lines_owed - payload.count(b"\n", 0, shown))
        return payload[shown:]


def _length_of(payload: bytes, lines: int) -> int:
    """How many bytes its first so many lines have; all, when it has no more."""
    end = 0
    for _ in range(lines):
        end = payload.find(b"\n", end) + 1
        if not end:
            return len(payload)
    return end
