"""Times as users write them: `10m`, `1h30m`, a date."""

from __future__ import annotations

import time

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Final

_UNIT_S: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "\xb5s": 1e-6,
    "\u03bcs": 1e-6,
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}


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

    if text[10:11] in ("Z", "+", "-"):  # a day somewhere else
        text = f"{text[:10]}T00:00{text[10:]}"
    return datetime.fromisoformat(text).timestamp()


def moment_of(flag: str, text: str) -> float:
    """`parse_moment` of what a flag says. Raises UsageError."""
    try:
        return parse_moment(text, time.time())
    except ValueError:
        from orchestr8.cli.parser import UsageError  # which needs this module

        raise UsageError(
            f"{flag} {text} is not a time", helps=["write it as 10m, 1h30m, 2026-01-31T12:00:00Z or Unix time"]
        ) from None
