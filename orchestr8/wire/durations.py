"""How long something took or lasts, in the words that Docker's tools use. The engine and the CLI say it alike.

The words and their limits are those of docker/go-units `HumanDuration`.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` costs the CLI 4 ms at start
if TYPE_CHECKING:
    from typing import Final

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24


def human_duration(seconds_passed: float) -> str:
    """A duration as people say it, e.g. "About a minute"."""
    seconds = int(max(0.0, seconds_passed))
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < MINUTE:
        return f"{seconds} seconds"
    minutes = seconds // MINUTE
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = (seconds + HOUR // 2) // HOUR
    if hours == 1:
        return "About an hour"
    if hours < 2 * DAY:
        return f"{hours} hours"
    if hours < 14 * DAY:
        return f"{hours // DAY} days"
    if hours < 60 * DAY:
        return f"{hours // (7 * DAY)} weeks"
    if hours < 730 * DAY:
        return f"{hours // (30 * DAY)} months"
    return f"{seconds // HOUR // (365 * DAY)} years"
