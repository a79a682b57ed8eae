"""Did you mean …? A name is suggested only when it is close, and only from names that are valid at that place."""

from collections.abc import Iterable
from functools import lru_cache

CUTOFF = 0.75
MAX_LENGTH = 64  # of a word: what is longer is no slip of the hand, and takes long to compare
SURE = 0.88
LEAD = 0.05  # how much better than the second best


def closest(word: str, candidates: Iterable[str]) -> str:
    """The candidate most like `word`, or "" when none is close enough."""
    lowered = {each.lower(): each for each in candidates if len(each) <= MAX_LENGTH}
    if len(word) > MAX_LENGTH:
        return ""
    return lowered.get(_closest(word.lower(), tuple(lowered)), "")


@lru_cache(maxsize=1024)  # what an alias brings to many places is compared once
def _closest(typed: str, candidates: tuple[str, ...]) -> str:
    from difflib import get_close_matches  # 14 ms, and only errors need it

    swapped = [each for each in _swapped(typed) if each in candidates]
    return next(iter(swapped or get_close_matches(typed, candidates, 1, CUTOFF)), "")


def sure(word: str, candidates: Iterable[str]) -> str:
    """The candidate that was meant without a doubt, or "": so close that nothing else can have been."""
    names = list(candidates)
    found = closest(word, names)
    if not found:
        return ""
    from difflib import SequenceMatcher

    def likeness(name: str) -> float:
        return SequenceMatcher(None, _plain(word), _plain(name)).ratio()

    others = max((likeness(name) for name in names if name != found), default=0.0)
    same = _plain(word) == _plain(found) or found.lower() in _swapped(word.lower())
    return found if same or likeness(found) >= max(SURE, others + LEAD) else ""


def _plain(word: str) -> str:
    """Without what people confuse: case, and the sign between words."""
    return word.lower().replace("-", "_")


def _swapped(word: str) -> list[str]:
    """`word` with two neighbours exchanged: the commonest slip, and in a short word too far off for a ratio."""
    return [word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(len(word) - 1)]


def did_you_mean(word: str, candidates: Iterable[str]) -> list[str]:
    """A `help` line, or none."""
    found = closest(word, candidates)
    return [f"did you mean `{found}`?"] if found else []
