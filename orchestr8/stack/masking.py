"""Keeps secrets out of what is shown of a file: in its lines, and in messages that quote them.

A name tells, `DB_PASSWORD: …`, or a URL's user part. What the format itself calls a secret (`secrets:`) is a reference,
and shown.
"""

from __future__ import annotations

import re

from orchestr8.model.secrecy import WORD, is_secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

_ASSIGNMENT: Final = re.compile(
    rf"(?P<name>[A-Za-z0-9_.-]*{WORD}[A-Za-z0-9_.-]*)(?P<close>[\"']?)(?P<sign>\s*=\s*|\s*:\s+)(?P<value>\S.*)",
    re.IGNORECASE,
)
_DEFAULT: Final = re.compile(rf"\$\{{[A-Za-z0-9_]*{WORD}[A-Za-z0-9_]*:?[-+](?P<value>[^}}]+)\}}", re.IGNORECASE)
_USER_PART: Final = re.compile(r"\w+://[^\s/:@]*:(?P<value>[^\s/@$]+)@")
_STRUCTURE: Final = "{&*|>!#$"  # no plain value: what is below or in it is looked at for itself
_LEAST: Final = 3  # shorter values are not looked for in messages: they would be found everywhere


def mask_line(text: str) -> str:
    """A line of a file with each secret replaced by as many `*` as it is long: places stay."""
    for start, end in _secret_spans(text):
        text = text[:start] + "*" * (end - start) + text[end:]
    return text


def secrets_in(text: str) -> list[str]:
    """The secrets that stand in a line, to be kept out of messages."""
    return [text[start:end].strip("\"'") for start, end in _secret_spans(text) if end - start >= _LEAST]


def _secret_spans(text: str) -> Iterator[tuple[int, int]]:
    for found in _ASSIGNMENT.finditer(text):
        value = found["value"]
        if is_secret(found["name"]) and value.lstrip("\"'")[:1] not in _STRUCTURE:
            yield found.start("value"), found.start("value") + len(_without_comment(value))
    for pattern in (_DEFAULT, _USER_PART):
        for found in pattern.finditer(text):
            yield found.span("value")


def _without_comment(value: str) -> str:
    """A value as far as it goes on its line: to the end of its quotes, to a comment, or to the end of a flow mapping."""
    quote = value[0]
    if quote in "\"'":
        closing = value.find(quote, 1)
        return value if closing < 0 else value[: closing + 1]
    return re.split(r"\s+#|[,}\]]|[\"']\s*(?:[,}\]]|$)", value, maxsplit=1)[0].rstrip()
