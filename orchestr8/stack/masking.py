"""Keeps secrets out of what is shown: in a line of a file, and in values, by the names they stand under.

A name tells: DB_PASSWORD, API_TOKEN. What the format itself calls a secret (`secrets:`) is a reference, and shown.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

MASK: Final = "***"
_WORD: Final = r"(?:PASSW|PASSPHRASE|PWD|SECRET|TOKEN|CREDENTIAL|PRIVATE|API_?KEY|_KEY|AUTH(?!OR))"
_SECRET_NAME: Final = re.compile(_WORD, re.IGNORECASE)
_ASSIGNMENT: Final = re.compile(
    rf"(?P<name>[A-Za-z0-9_.-]*{_WORD}[A-Za-z0-9_.-]*)(?P<close>[\"']?)(?P<sign>\s*=\s*|\s*:\s+)(?P<value>\S.*)",
    re.IGNORECASE,
)
_DEFAULT: Final = re.compile(rf"\$\{{[A-Za-z0-9_]*{_WORD}[A-Za-z0-9_]*:?[-+](?P<value>[^}}]+)\}}", re.IGNORECASE)
_OF_THE_FORMAT: Final = frozenset({"secrets", "secret", "credential_spec", "privileged"})
_STRUCTURE: Final = "{&*|>!#"  # no plain value: what is below or in it is looked at for itself


def is_secret(name: str) -> bool:
    """A name whose value must not be shown."""
    return bool(_SECRET_NAME.search(name)) and name.lower() not in _OF_THE_FORMAT and name != "PWD"


def mask_line(text: str) -> str:
    """A line of a file with what a secret name is given replaced by as many `*` as it is long: places stay."""
    for found in _ASSIGNMENT.finditer(text):
        value = found["value"]
        if not is_secret(found["name"]) or value[0] in _STRUCTURE:
            continue
        if "${" in value or value.startswith("$"):
            continue
        start = found.start("value")
        end = start + len(_without_comment(value))
        text = text[:start] + "*" * (end - start) + text[end:]
    for found in _DEFAULT.finditer(text):
        start, end = found.span("value")
        text = text[:start] + "*" * (end - start) + text[end:]
    return text


def _without_comment(value: str) -> str:
    """A value as far as it goes on its line: to the end of its quotes, to a comment, or to the end of a flow mapping."""
    quote = value[0]
    if quote in "\"'":
        closing = value.find(quote, 1)
        return value if closing < 0 else value[: closing + 1]
    return re.split(r"\s+#|[,}\]]|[\"']\s*(?:[,}\]]|$)", value, maxsplit=1)[0].rstrip()
