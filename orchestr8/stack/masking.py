"""Keeps secrets out of what is shown of a file: in its lines, and in messages that quote them.

A name tells, `DB_PASSWORD: …`, or a URL's user part. What the format itself calls a secret (`secrets:`) is a reference,
and shown.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import lru_cache

from orchestr8.model.secrecy import WORD, is_secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Lines may be huge, so no pattern looks at a letter more than a few times: names are taken whole, values are bounded.
_ASSIGNMENT: Final = re.compile(r"(?<![A-Za-z0-9_.-])([A-Za-z0-9_.-]++)[\"']?(?:\s*+=\s*+|\s*+:\s++)(?=\S)")
_DEFAULT: Final = re.compile(
    rf"\$\{{[A-Za-z0-9_]*{WORD}[A-Za-z0-9_]*+:?[-+](?P<value>[^}}]{{1,2000}})\}}", re.IGNORECASE
)
_USER_PART: Final = re.compile(r"(?<!\w)\w++://[^\s/:@]{0,200}:(?P<value>[^\s/@$]{1,1000})@")
_VALUE_ENDS: Final = re.compile(r"\s#|[,}\]]|[\"']\s*(?:[,}\]]|$)")
_STRUCTURE: Final = "{&*|>!#$"  # no plain value: what is below or in it is looked at for itself
_NEAR: Final = 2000  # how far from a place its line is searched for secrets
_LEAST: Final = 3  # shorter values are not looked for in messages: they would be found everywhere


@lru_cache(maxsize=64)  # several findings are often about one line
def mask_line(text: str) -> str:
    """A line of a file with each secret replaced by as many `*` as it is long: places stay."""
    spans = _secret_spans(text)
    if not spans:
        return text
    letters = list(text)
    for start, end in spans:
        letters[start:end] = "*" * (end - start)
    return "".join(letters)


def secrets_in(text: str, column: int = 1) -> list[str]:
    """The secrets that stand in a line, around a place in it, to be kept out of messages."""
    spans = _secret_spans(text)
    near = spans[bisect_left(spans, (column - _NEAR,)) : bisect_left(spans, (column + _NEAR + 1,))]
    return [text[start:end].strip("\"'") for start, end in near if end - start >= _LEAST]


@lru_cache(maxsize=64)
def _secret_spans(text: str) -> tuple[tuple[int, int], ...]:
    """Where each begins and ends, in order."""
    spans = []
    position = 0
    while found := _ASSIGNMENT.search(text, position):
        start = position = found.end()
        opening = text[start + 1 : start + 2] if text[start] in "\"'" else text[start]
        if is_secret(found[1]) and opening not in _STRUCTURE:
            position = max(_end_of_value(text, start), start + 1)
            spans.append((start, position))
    for pattern in (_DEFAULT, _USER_PART):
        spans += [found.span("value") for found in pattern.finditer(text)]
    return tuple(sorted(spans))


def _end_of_value(text: str, start: int) -> int:
    """As far as a value goes on its line: to the end of its quotes, to a comment, or to the end of a flow mapping."""
    if text[start] in "\"'":
        closing = text.find(text[start], start + 1)
        return len(text) if closing < 0 else closing + 1
    found = _VALUE_ENDS.search(text, start)
    end = found.start() if found else len(text)
    return start + len(text[start:end].rstrip())
