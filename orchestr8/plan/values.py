"""Small readings of a canonical document's scalars: durations, sizes, restart policies, modes."""

import re
from typing import Any, Final

from orchestr8.errors import InvalidInput
from orchestr8.model.specs import RestartMode, RestartPolicy

_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_BYTES: Final = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_DURATION: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|m|s|us|µs|ns)")
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)


def duration_s(value: Any, where: str) -> float:
    """Seconds of "1m30s"; a bare number is seconds already."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    text = str(value).strip()
    if text == "0":
        return 0.0
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise InvalidInput(f"{where}: {text!r} is not a duration such as 1m30s", code="O8-305")
    return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))


def size_bytes(value: Any, where: str) -> int:
    """Bytes of "64m" (powers of 1024, as everywhere in compose) or of a plain number; negative numbers: no limit."""
    text = str(value).strip()
    if re.fullmatch(r"-\d+", text):
        return 0
    found = _SIZE.fullmatch(text)
    if not found:
        raise InvalidInput(f"{where}: {text!r} is not a size such as 64m", code="O8-306")
    return int(float(found[1]) * _BYTES[found[2].lower()])


def mode_bits(value: Any, where: str) -> int:
    """File mode: a number as it is (JSON has no octal), text as octal digits."""
    if isinstance(value, int):
        return value
    try:
        return int(str(value).removeprefix("0o"), 8)
    except ValueError as error:
        raise InvalidInput(f"{where}: {value!r} is not an octal mode such as 0755", code="O8-307") from error


def restart_policy(value: Any, where: str) -> RestartPolicy:
    """The policy of "on-failure:3"; nothing and "" mean "no"."""
    name, _, count = str(value or "no").partition(":")
    if name not in set(RestartMode) or (count and (name != RestartMode.ON_FAILURE or not count.isdigit())):
        raise InvalidInput(
            f"{where}: {value!r} is not a restart policy",
            code="O8-308",
            helps=["use no, always, unless-stopped, on-failure or on-failure:MAX"],
        )
    return RestartPolicy(mode=RestartMode(name), max_retries=int(count or 0))
