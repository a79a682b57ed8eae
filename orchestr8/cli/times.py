"""Times as users write and read them: `10m`, `1h30m`, a date; "3 minutes ago". Time is passed in."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Final

_UNIT_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_STEPS: Final = (  # below this many seconds: in this unit, of this many seconds
    (60, "second", 1), (3600, "minute", 60), (48 * 3600, "hour", 3600), (14 * 86400, "day", 86400),
    (60 * 86400, "week", 7 * 86400), (730 * 86400, "month", 30 * 86400),
)  # fmt: skip


def parse_duration(text: str) -> float:
    """Seconds in `10`, `1.5`, `90s`, `1h30m`. Raises ValueError."""
    if text[-1:].isdigit():
        return _positive(text)
    total, number, unit = 0.0, "", ""
    for position, letter in enumerate(text):
        if letter.isdigit() or letter == ".":
            number += letter
            continue
        unit += letter
        following = text[position + 1 : position + 2]
        if following.isalpha():
            continue
        if not number or unit not in _UNIT_S:
            raise ValueError(text)
        total += _positive(number) * _UNIT_S[unit]
        number = unit = ""
    if not text or number or unit:
        raise ValueError(text)
    return total


def _positive(text: str) -> float:
    if not text.replace(".", "", 1).isdigit() or not text.isascii():
        raise ValueError(text)
    return float(text)


def parse_moment(text: str, now: float) -> float:
    """Unix time of a moment: so long ago (`10m`), a date (RFC 3339, local without a zone), or Unix time itself.

    Raises ValueError.
    """
    if "-" not in text and ":" not in text:
        value = parse_duration(text)
        return value if text[-1:].isdigit() else now - value
    from datetime import datetime  # 2 ms, and few ask for a date

    return datetime.fromisoformat(text).timestamp()


def duration_text(seconds: float) -> str:
    """How long something took or lasts, in the words that Docker's tools use: `3 seconds`, `About a minute`."""
    seconds = max(seconds, 0.0)
    if seconds < 1:
        return "Less than a second"
    for limit, unit, size in _STEPS:
        if seconds < limit:
            count = int(seconds // size)
            if count == 1 and unit in ("minute", "hour"):
                return f"About {'an' if unit == 'hour' else 'a'} {unit}"
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{int(seconds // (365 * 86400))} years"
