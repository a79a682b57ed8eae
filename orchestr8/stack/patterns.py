"""Regular expressions of what texts may say, for the JSON schema: in the dialect that ECMAScript and Python share.

The kinds read texts by code of their own, with better errors; that the two agree is tested, value by value. What an
expression cannot say (that a range runs upwards, that two ranges are as long as each other) it leaves out.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from orchestr8.stack.types import Schema


VARIABLE: Final[Schema] = {"type": "string", "pattern": "\\$"}


def text(pattern: str, *, empty: bool = False) -> Schema:
    """Text of this grammar, or with a variable in it, whose value is not known to an editor. `empty`: or no text."""
    return {"type": "string", "pattern": whole(pattern, empty=empty)}


def whole(pattern: str, *, empty: bool = False) -> str:
    return f"^(?:{pattern}){'?' if empty else ''}$|\\$"


def any_case(*words: str) -> str:
    """The words, in capitals or not, letter by letter."""
    return "|".join("".join(f"[{each}{each.upper()}]" if each.isalpha() else each for each in word) for word in words)


def up_to(most: int) -> str:
    """The decimal numbers from 0 to `most`, zeros in front of them included."""
    digits = str(most)
    parts = [f"[0-9]{{1,{len(digits) - 1}}}"] if len(digits) > 1 else []
    for place, digit in enumerate(digits):
        lower = int(digit) - 1
        if lower >= 0:
            rest = len(digits) - place - 1
            parts.append(f"{digits[:place]}[0-{lower}]" + (f"[0-9]{{{rest}}}" if rest else ""))
    return f"0*(?:{'|'.join([*parts, digits])})"


def between(least: int | None, most: int | None) -> str:
    """Integers of a range, whose bounds are none, or have zero or -1 among them."""
    positive = "[0-9]{1,64}" if most is None else up_to(most)
    negative = "[0-9]{1,64}" if least is None else up_to(-least) if least < 0 else "0{1,64}"
    return rf"\+?{positive}|-{negative}"


_DIGITS: Final = "[0-9](?:_?[0-9])*"
_FRACTION: Final = rf"(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][-+]?[0-9]{{1,2}})?"
FRACTION: Final = rf"[-+]?{_FRACTION}"
FRACTION_FROM_ZERO: Final = rf"\+?{_FRACTION}|-0+(?:\.0*)?"

FLAG: Final = any_case("true", "yes", "y", "on", "t", "false", "no", "n", "off", "f") + "|[01]"
TRUE: Final = any_case("true", "yes", "y", "on", "t") + "|1"
DURATION: Final = r"0|\+?(?:(?:[0-9]{1,64}(?:\.[0-9]{0,64})?|\.[0-9]{1,64})(?:ns|us|µs|μs|ms|s|m|h|d|w))+"
SIZE: Final = r"(?:[0-9]{1,40}(?:\.[0-9]{1,20})?|\.[0-9]{1,20}) ?[kKmMgGtTpP]?[iI]?[bB]?"
MODE: Final = "(?:0o)?0*[0-7]{1,4}"

# The words of a command line, quoted or not, up to what a shell would do with the rest.
COMMAND: Final = (
    r"""(?:[^\\"';&|<>]|\\[\s\S]|"(?:[^"\\]|\\[\s\S])*"|'[^']*')*(?:[;&|<>][\s\S]*)?"""  # as `split_command` reads it
)

_NAME: Final = r"[^=\s](?:[^=]*[^=\s])?"
NAME: Final = r"^\S(?:[\s\S]*\S)?$"  # of a pair, where it is a key of a mapping
PAIR: Final = rf"{_NAME}(?:=[\s\S]*)?"
WHOLE_PAIR: Final = rf"{_NAME}=[\s\S]*"
HOST: Final = r"[^=]+=[\s\S]*|[^=:]+:[^=]*"

_BYTE: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
IPV4: Final = rf"{_BYTE}(?:\.{_BYTE}){{3}}"


def _ipv6() -> str:
    """Eight groups, of which some in a row may be left out, and of which the last two may be an IPv4 address."""
    group = "[0-9a-fA-F]{1,4}"
    forms = [rf"(?:{group}:){{7}}{group}", rf"(?:{group}:){{6}}{IPV4}"]
    for before in range(8):
        head = f"{group}(?::{group}){{{before - 1}}}" if before > 1 else group * before
        after = 7 - before  # at least one group is left out
        tails = [rf"(?:{group}(?::{group}){{0,{after - 1}}})?"] if after > 0 else [""]
        if after >= 2:
            tails.append(rf"(?:{group}:){{0,{after - 2}}}{IPV4}")
        forms.append(f"{head}::(?:{'|'.join(reversed(tails))})")
    return f"(?:{'|'.join(forms)})"


IPV6: Final = _ipv6()
ADDRESS: Final = rf"{IPV4}|{IPV6}(?:%.*)?"
SUBNET: Final = rf"{IPV4}(?:/{up_to(32)})?|{IPV6}(?:/{up_to(128)})?"

PORT: Final = rf"(?=0*[1-9]){up_to(65535)}"
PUBLISHED: Final = rf"{up_to(65535)}(?:-{up_to(65535)})?"
_PROTOCOL: Final = any_case("tcp", "udp", "sctp")
PORTS: Final = (
    rf"(?:(?:(?:{IPV4}|\[{IPV6}(?:%[^\]]*)?\]|{IPV6}(?:%[^:]*)?)?:)?(?:{PUBLISHED})?:)?"
    rf"{PORT}(?:-{PORT})?(?:/(?:{_PROTOCOL})?)?"
)

_MOUNT_PART: Final = r"(?:[A-Za-z]:\\[^:]*|[^:]+)"
MOUNT: Final = f"{_MOUNT_PART}(?::{_MOUNT_PART}){{0,2}}"
DEVICE: Final = "[^:]+(?::[^:]+){0,2}"
_TMPFS_OPTION: Final = rf"(?:size=(?:{SIZE}|-1|[^,]*%)|mode=(?:{MODE})|(?!size=|mode=)[^,]*)"
TMPFS: Final = rf"/[^:]*(?::{_TMPFS_OPTION}(?:,{_TMPFS_OPTION})*)?"
