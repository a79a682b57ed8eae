"""The keys that let a terminal go while its program stays: how they are written, and how they are found in what is typed."""

from __future__ import annotations

from orchestr8.cli.parser import UsageError

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Final

DEFAULT: Final = "ctrl-p,ctrl-q"  # Docker's
_WITH_CTRL: Final = "abcdefghijklmnopqrstuvwxyz@[\\]^_"


class DetachKeys:
    """`text`: keys with commas between, each a letter, a digit or another printable one, or `ctrl-` and one (docker attach)."""

    def __init__(self, text: str = DEFAULT) -> None:
        self._keys = bytes(map(_code, text.split(",")))
        self._seen = (
            0  # of the keys, at the end of what was typed: held back, for they may not be meant for the program
        )

    def feed(self, typed: bytes) -> tuple[bytes, bool]:
        """What of it is for the program, and whether all the keys were pressed one after another; the rest is dropped."""
        passed = bytearray()
        for code in typed:
            held = self._keys[: self._seen] + bytes([code])
            while not self._keys.startswith(held):  # what is held may end with the beginning of the keys
                passed.append(held[0])
                held = held[1:]
            self._seen = len(held)
            if held == self._keys:
                return bytes(passed), True
        return bytes(passed), False

    def rest(self) -> bytes:
        """What is held back still, once nothing more is typed: it was meant for the program after all."""
        held, self._seen = self._keys[: self._seen], 0
        return held


def _code(key: str) -> int:
    name = key.removeprefix("ctrl-")
    if name != key and len(name) == 1 and name.lower() in _WITH_CTRL:
        return ord(name.upper()) & 0x1F
    if len(key) == 1 and key.isascii() and key.isprintable():
        return ord(key)
    raise UsageError(
        f"--detach-keys: `{key}` is no key",
        helps=[f"write them as `{DEFAULT}`: printable ones, or ctrl- and one of {_WITH_CTRL}"],
    )
