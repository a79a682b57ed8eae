"""Which values must not be shown: a name tells, or a URL's user part, or whoever read the value says so."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

WORD: Final = (
    r"(?:PASSW|PASSPHRASE|PWD|SECRET|TOKEN|CREDENTIAL|PRIVATE|API_?KEY|(?<![A-Z0-9])KEY(?![A-Z0-9])|AUTH(?!OR))"
)
MASKED: Final = " (masked)"  # ends a place from which a value came that must not be shown, whatever its name

MAX_CONTENT: Final = 1 << 20  # bytes of a secret or config: Docker's limit of a config; its secrets are half of that

_NAME: Final = re.compile(WORD, re.IGNORECASE)
_OF_THE_FORMAT: Final = frozenset({"secrets", "secret", "credential_spec", "privileged"})
_USER_PART: Final = re.compile(r"(?P<head>\w+://[^\s/:@]*:)[^\s/@]+@")


def is_secret(name: str) -> bool:
    """A name whose value must not be shown."""
    return bool(_NAME.search(name)) and name.lower() not in _OF_THE_FORMAT and name != "PWD"


def without_user_part(text: str) -> str:
    """A text whose URLs keep their passwords to themselves."""
    return _USER_PART.sub(r"\g<head>***@", text) if "@" in text else text
