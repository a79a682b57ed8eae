r"""A text's lines as YAML counts them, so that a place is found again; and how wide text is on a terminal.

YAML ends a line at more characters than `\n`: its reader's line numbers follow them, and so must whoever shows a line.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_JOINERS: Final = "\u200b\u200c\u200d\ufe0e\ufe0f"
_OTHER_BREAK: Final = re.compile("[\r\x85\u2028\u2029]")
_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


def split_lines(text: str) -> list[str]:
    """The lines without their ends; what follows the last end is a line too, an empty one mostly."""
    return _BREAK.split(text) if _OTHER_BREAK.search(text) else text.split("\n")


def line_starts(text: str) -> list[int]:
    """Where each line begins in the text."""
    return [0, *(found.end() for found in _BREAK.finditer(text))]


def numbers_of_lines(text: str) -> list[int]:
    """Of each line that a line feed ends, as editors and env files count them: which one of YAML's it begins as."""
    numbers, number = [1], 1
    for found in _BREAK.finditer(text):
        number += 1
        if found[0].endswith("\n"):
            numbers.append(number)
    return numbers


def width(text: str) -> int:
    """Columns on a terminal: wide letters take two, marks that join the letter before take none."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(
        0 if letter in _JOINERS or combining(letter) else 2 if east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def printable(text: str) -> str:
    """One character for one, and none that moves a terminal's cursor: a place in the text stays where it is."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter == "\u200d" else " " if letter == "\t" else "\ufffd" for letter in text
    )
