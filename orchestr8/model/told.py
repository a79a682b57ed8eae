"""What is told of files that a container or an archive holds, which may be as many as it likes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_KEPT: Final = 10


class Told:
    """The first sentences, and how many more there were."""

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._more = 0

    def tell(self, sentence: str) -> None:
        if len(self._kept) < _KEPT:
            self._kept.append(sentence)
        else:
            self._more += 1

    def sentences(self) -> tuple[str, ...]:
        more = [f"and {self._more} more like these"] if self._more else []
        return (*self._kept, *more)
