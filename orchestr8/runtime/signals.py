"""Signals as users name them (kill(1)). Sending them is the shim's."""

import signal

from orchestr8.errors import NotFound


def signal_number(name: str) -> int:
    """SIGTERM, TERM or 15; RTMIN+3 as kill(1) has it. Raises NotFound for what is no signal."""
    text = name.upper().removeprefix("SIG")
    base, plus, offset = text.partition("+")
    if text.isdigit() and 0 < int(text) < signal.NSIG:
        return int(text)
    if plus and base == "RTMIN" and offset.isdigit():
        return int(signal.SIGRTMIN) + int(offset)
    number = signal.__dict__.get(f"SIG{text}")
    if not isinstance(number, signal.Signals):
        raise NotFound(f"there is no signal called {name}", code="O8-613")
    return int(number)
