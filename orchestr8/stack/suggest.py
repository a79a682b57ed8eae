"""Did you mean …? A name is suggested only when it is close, and only from names that are valid at that place."""

from collections.abc import Iterable
from functools import lru_cache

CUTOFF = 0.75
MAX_LENGTH = 64  # of a word: what is longer is no slip of the hand, and takes long to compare
MAX_CANDIDATES = 2000  # that are compared; in a larger crowd none is sought
SURE = 0.88
LEAD = 0.05  # how much better than the second best


def closest(word: str, candidates: Iterable[str]) -> str:
    """The candidate most like `word`, or "" when none is close enough."""
    if len(word) > MAX_LENGTH:
        return ""
    candidates = list(candidates)
    if len(candidates) > MAX_CANDIDATES:
        return ""
    lowered = {each.lower(): each for each in candidates if len(each) <= MAX_LENGTH}
    return lowered.get(_closest(word.lower(), tuple(lowered)), "")


@lru_cache(maxsize=1024)  # what an alias brings to many places is compared once
def _closest(typed: str, candidates: tuple[str, ...]) -> str:
    swapped = [each for each in _swapped(typed) if each in candidates]
    if swapped:
        return swapped[0]
    best, found = CUTOFF, ""
    for each in candidates:
        if (
            _most_alike(each, typed) >= best
            and (alike := likeness(each, typed)) >= best
            and (alike > best or not found)
        ):
            best, found = alike, each
    return found


def likeness(one: str, other: str) -> float:
    """From 0 to 1: twice the letters in common runs, as `difflib` counts them, whose import alone takes 10 ms."""
    matched, waiting = 0, [(0, len(one), 0, len(other))]
    while waiting:
        start, end, from_, to = waiting.pop()
        at, there, length = _longest_run(one, start, end, other, from_, to)
        if length:
            matched += length
            waiting += [(start, at, from_, there), (at + length, end, there + length, to)]
    return 2 * matched / (len(one) + len(other)) if one or other else 1.0


def _longest_run(one: str, start: int, end: int, other: str, from_: int, to: int) -> tuple[int, int, int]:
    """The first of the longest texts that stand in both parts: where, and how long."""
    best = (start, from_, 0)
    ending: dict[int, int] = {}  # at a place of `other`, the length of the run that ends there
    for at in range(start, end):
        here: dict[int, int] = {}
        there = other.find(one[at], from_, to)
        while there >= 0:
            here[there] = length = ending.get(there - 1, 0) + 1
            if length > best[2]:
                best = (at - length + 1, there - length + 1, length)
            there = other.find(one[at], there + 1, to)
        ending = here
    return best


def _most_alike(one: str, other: str) -> float:
    """What `likeness` can be at most, by the letters alone."""
    left = list(other)
    common = 0
    for letter in one:
        if letter in left:
            left.remove(letter)
            common += 1
    return 2 * common / (len(one) + len(other)) if one or other else 1.0


def sure(word: str, candidates: Iterable[str]) -> str:
    """The candidate that was meant without a doubt, or "": so close that nothing else can have been."""
    names = list(candidates)
    found = closest(word, names)
    if not found:
        return ""
    plain = _plain(word)
    others = max((likeness(_plain(name), plain) for name in names if name != found), default=0.0)
    same = plain == _plain(found) or found.lower() in _swapped(word.lower())
    return found if same or likeness(_plain(found), plain) >= max(SURE, others + LEAD) else ""


def _plain(word: str) -> str:
    """Without what people confuse: case, and the sign between words."""
    return word.lower().replace("-", "_")


def _swapped(word: str) -> list[str]:
    """`word` with two neighbours exchanged: the commonest slip, and in a short word too far off for a ratio."""
    return [word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(len(word) - 1)]


def _whole(word: str, candidates: list[str]) -> str:
    """The one candidate that has `word` as a whole word of its own: `healthy` is `service_healthy`."""
    found = [each for each in candidates[:MAX_CANDIDATES] if word.lower() in each.lower().split("_")]
    return found[0] if len(found) == 1 else ""


def did_you_mean(word: str, candidates: Iterable[str]) -> list[str]:
    """A `help` line, or none."""
    candidates = list(candidates)
    found = closest(word, candidates) or _whole(word, candidates)
    return [f"did you mean `{found}`?"] if found else []
