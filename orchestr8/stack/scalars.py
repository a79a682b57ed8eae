"""What a plain scalar means, and the small grammars inside text: durations, sizes, command lines, octal modes.

Plain scalars mean what they mean to compose, whose YAML reader takes booleans from YAML 1.2 (`no`, `yes` and `on` are
text), has no base 60 (`22:22` is text), and reads integers as Go does (`010` is 8, `0x10` is 16, `1_000` is 1000).
Numbers become text as Go prints them. Dates stay text: compose would refuse or mangle them.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_WORDS: Final[dict[str, Any]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    ".nan": float("nan"), ".NaN": float("nan"), ".NAN": float("nan"),
    ".inf": float("inf"), ".Inf": float("inf"), ".INF": float("inf"),
    "+.inf": float("inf"), "+.Inf": float("inf"), "+.INF": float("inf"),
    "-.inf": float("-inf"), "-.Inf": float("-inf"), "-.INF": float("-inf"),
}  # fmt: skip
_NUMBER_START: Final = frozenset("+-.0123456789")
_INTEGER: Final = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_MOST_DIGITS: Final = 64  # of a number of 64 bits
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


def resolve(text: str) -> Any:
    """The value of an unquoted, untagged scalar: None, bool, int, float or the text itself, where the number is too large."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_START:
        return text
    digits = text.replace("_", "")
    if match := _INTEGER.fullmatch(digits):
        sign, *parts = match.groups()
        part, base = next((part, base) for part, base in zip(parts, (16, 2, 8, 10), strict=True) if part is not None)
        number = int(part, base) if len(part) <= _MOST_DIGITS else 2**64
        if number < 2**63 or (number < 2**64 and sign != "-") or number == 2**63:
            return -number if sign == "-" else number
    if _FLOAT.fullmatch(digits) and abs(fraction := float(digits)) != float("inf"):
        return fraction
    return text


def to_text(value: Any) -> str:
    """A scalar where text is wanted, as Go's `%v` prints it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(value)
    return str(value)


def _float_text(value: float) -> str:
    """The shortest form that reads back the same, with an exponent below 1e-4 and from 1e6 on."""
    if value != value:  # noqa: PLR0124  not a number
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "-0" if str(value).startswith("-") else "0"
    sign = "-" if value < 0 else ""
    number, _, power = repr(abs(value)).partition("e")
    whole, _, fraction = number.partition(".")
    digits = (whole + fraction).lstrip("0")
    exponent = len(whole) - 1 - (len(whole + fraction) - len(digits)) + int(power or 0)  # of the first digit
    significant = digits.rstrip("0")
    if exponent < -4 or exponent >= 6:
        rest = "." + significant[1:] if len(significant) > 1 else ""
        return f"{sign}{significant[0]}{rest}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{significant}"
    padded = significant.ljust(exponent + 1, "0")
    return sign + padded[: exponent + 1] + ("." + padded[exponent + 1 :] if len(padded) > exponent + 1 else "")


_INTEGER_TEXT: Final = re.compile(r"[-+]?[0-9]{1,64}")
_FRACTION_TEXT: Final = re.compile(r"[-+]?(?:[0-9_]+(?:\.[0-9_]*)?|\.[0-9_]+)(?:[eE][-+]?[0-9]{1,2})?")


def parse_integer(text: str) -> int:
    """An integer in decimal, with or without a sign. Raises ValueError."""
    if not _INTEGER_TEXT.fullmatch(text):
        raise ValueError("an integer is digits")
    return int(text)


def parse_fraction(text: str) -> float:
    """A number in decimal, with or without a fraction and a power of ten. Raises ValueError."""
    if not _FRACTION_TEXT.fullmatch(text):
        raise ValueError("a number is digits, and a point among them")
    return float(text)


_TRUE: Final = frozenset(("true", "yes", "y", "on", "1", "t"))
_FALSE: Final = frozenset(("false", "no", "n", "off", "0", "f"))


def parse_flag(text: str) -> bool:
    """A boolean written as text, YAML 1.1's words included. Raises ValueError."""
    lowered = text.lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise ValueError("write true or false")


_DURATION_UNITS_NS: Final = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9,
    "m": 60 * 10**9, "h": 3600 * 10**9, "d": 24 * 3600 * 10**9, "w": 7 * 24 * 3600 * 10**9,
}  # fmt: skip
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)")


def parse_duration_ns(text: str) -> int:
    """Nanoseconds of `1h5m30s20ms`. Raises ValueError."""
    if text == "0":
        return 0
    total, end = 0, int(text.startswith("+"))
    while (match := _DURATION_PART.match(text, end)) and len(match[1]) <= _MOST_DIGITS:
        whole, _, fraction = match[1].partition(".")
        unit = _DURATION_UNITS_NS[match[2]]
        total += int(whole or 0) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
        end = match.end()
    if not text.strip("+") or end != len(text):
        raise ValueError("a duration is numbers with units, such as 90s, 1m30s or 500ms")
    return total


def format_duration(nanoseconds: int) -> str:
    """As Go prints one: 1h0m0s, 1m30s, 1.5s, 500ms."""
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < 10**9:
        for unit, size in (("ms", 10**6), ("µs", 10**3), ("ns", 1)):
            if nanoseconds >= size:
                return _decimal(nanoseconds, size) + unit
    hours, rest = divmod(nanoseconds, 3600 * 10**9)
    minutes, rest = divmod(rest, 60 * 10**9)
    seconds = _decimal(rest, 10**9) + "s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def _decimal(amount: int, unit: int) -> str:
    whole, rest = divmod(amount, unit)
    if not rest:
        return str(whole)
    return f"{whole}.{str(rest).zfill(len(str(unit)) - 1).rstrip('0')}"


_SIZE: Final = re.compile(r"([0-9]{1,40}(?:\.[0-9]{1,20})?|\.[0-9]{1,20}) ?([kmgtp]?)i?b?", re.IGNORECASE)


def parse_bytes(value: Any) -> int:
    """Bytes of `512m`, `1.5G`, `640kb` (powers of 1024) or a number; -1 is kept: no limit. Raises ValueError."""
    if isinstance(value, (int, float)):
        return int(value)
    text = str(value)
    if text == "-1":
        return -1
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError("a size is a number with a unit: b, k, m, g or t, such as 512m or 1.5g")
    power = " kmgtp".index(match[2].lower() or " ")
    return int(float(match[1]) * 1024**power) if "." in match[1] else int(match[1]) * 1024**power


def parse_mode(value: Any) -> int:
    """Permission bits: a number as it is, text as octal. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool):
        mode = value
    else:
        digits = str(value).removeprefix("0o")
        mode = int(digits, 8) if digits.isdigit() else -1
    if not 0 <= mode <= 0o7777:
        raise ValueError("out of range")
    return mode


MAX_WORDS: Final = 100_000  # of a command line
_STOPS: Final = frozenset(";&|<>")


def split_command(text: str) -> tuple[list[str], str]:
    """The words of a command line, and what compose leaves out: all from the first unquoted `; & | < >` on.

    Quotes and backslashes work as in compose, where an escaped t or n is a tab or a line feed. Raises ValueError.
    """
    words: list[str] = []
    current: list[str] | None = None
    quote = ""
    position = 0
    while position < len(text):
        letter = text[position]
        if letter == "\\" and quote != "'":
            position += 1
            if position == len(text):
                raise ValueError("it ends in a backslash")
            current = current or []
            current.append({"t": "\t", "n": "\n"}.get(text[position], text[position]))
        elif quote:
            if letter == quote:
                quote = ""
            else:
                assert current is not None
                current.append(letter)
        elif letter in "\"'":
            quote = letter
            current = current or []
        elif letter in " \t\r\n":
            if current is not None:
                words.append("".join(current))
                current = None
                if len(words) > MAX_WORDS:
                    raise ValueError(f"it has more than {MAX_WORDS} words")
        elif letter in _STOPS:
            break
        else:
            current = current or []
            current.append(letter)
        position += 1
    if quote:
        raise ValueError(f"a {quote} is not closed")
    if current is not None:
        words.append("".join(current))
    return words, text[position:]
