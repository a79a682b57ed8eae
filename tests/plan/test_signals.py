"""Signals by every name that kill(1) has for them."""

import signal

import pytest

from orchestr8.errors import InvalidInput
from orchestr8.model.signals import signal_name, signal_number


@pytest.mark.parametrize(
    ("text", "number", "name"),
    [
        ("9", 9, "SIGKILL"),
        ("kill", 9, "SIGKILL"),
        ("SIGTERM", 15, "SIGTERM"),
        ("HUP", 1, "SIGHUP"),
        ("RTMIN", int(signal.SIGRTMIN), "SIGRTMIN"),
        ("SIGRTMIN+3", int(signal.SIGRTMIN) + 3, "SIGRTMIN+3"),
        ("rtmax-1", int(signal.SIGRTMAX) - 1, f"SIGRTMIN+{int(signal.SIGRTMAX) - int(signal.SIGRTMIN) - 1}"),
        ("RTMAX", int(signal.SIGRTMAX), "SIGRTMAX"),
    ],
)
def test_a_signal_is_known_by_number_and_by_name(text: str, number: int, name: str) -> None:
    assert signal_number(text) == number
    assert signal_name(number) == name
    assert signal_number(name) == number


@pytest.mark.parametrize(
    "text", ["0", "99", "-9", "NOPE", "", "SIG", "RTMIN+99", "RTMIN-1", "RTMAX+1", "RTMIN+", "\N{SUPERSCRIPT TWO}"]
)
def test_what_is_no_signal_is_told(text: str) -> None:
    with pytest.raises(InvalidInput, match="invalid signal"):
        signal_number(text)
