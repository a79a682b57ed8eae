"""Signals as users name them (kill(1)), and as events and shims do. Sending them is the shim's."""

import signal
from typing import Final

from orchestr8.errors import InvalidInput

_FIRST: Final = int(signal.SIGRTMIN)
_LAST: Final = int(signal.SIGRTMAX)


def signal_number(name: str) -> int:
    """Of SIGTERM, term or 15, and of RTMIN+3 or RTMAX-1. Raises InvalidInput for what is no signal."""
    text = name.upper().removeprefix("SIG")
    if text.isascii() and text.isdigit() and 0 < int(text) < signal.NSIG:
        return int(text)
    base, sign, offset = text[:5], text[5:6], text[6:]
    if base in {"RTMIN", "RTMAX"} and sign in {"+", "-"} and offset.isascii() and offset.isdigit():
        number = (_FIRST if base == "RTMIN" else _LAST) + int(sign + offset)
        if _FIRST <= number <= _LAST:
            return number
    found = signal.__dict__.get(f"SIG{text}")
    if not isinstance(found, signal.Signals):
        raise InvalidInput(f"invalid signal: {name}", code="O8-613", helps=["`kill -l` lists them"])
    return int(found)


def signal_name(number: int) -> str:
    """The kernel's name: SIGTERM, SIGRTMIN+3; the number where it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - _FIRST}" if _FIRST < number < _LAST else str(number)
