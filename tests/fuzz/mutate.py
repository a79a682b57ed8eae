"""Mutations that keep a stack file nearly one: keys of the rule table, values of the format, lines moved and indented.

Blind mutations of bytes hardly ever get past the YAML parser; these do, so the search reaches what comes after it.
"""

import random
from collections.abc import Callable, Iterator
from typing import Final

from orchestr8.stack.lists import ListOf
from orchestr8.stack.records import Named, Record
from orchestr8.stack.rules import STACK
from orchestr8.stack.types import Type

VALUES: Final = (
    *("", "null", "~", "true", "no", "on", "0", "-1", "1", "3", "1.5", ".5", "1e3", "010", "0o17", "0x1F", "1_000", ".inf", "22:22"),
    *('"80:80"', "80-82:80-82/udp", "[::1]:80:80", "127.0.0.1::80", "10s", "1h30m", "64m", "1.5gb", "50%", "a", "a:b", "/a:/b:ro,z"),
    *("./x", "../y", "~/z", "c:\\x", "service:web", "container:x", "host", "none", "bridge", "web", "db", "data", "x-a", "=", "a=b"),
    *("$A", "${A}", "${A:-b}", "${A-${EMPTY:?m}}", "${A:+}", "${A", "$$", "$1", "${EMPTY?}", "${NO:?missing}", "é", "\U0001f600"),
    *("[]", "{}", "[a]", "[a, a]", "{a: b}", "[{}]", "[[]]", "{source: a, target: /b}", "[1, '1']", "!reset", "!override", "!reset []"),
    *("!override [x]", "!!str 1", "!!binary aGk=", "&a x", "*a", "<<: *a", "|", ">-", '"\\x00"', "'", '"', "2026-01-01", "* *"),
)  # fmt: skip
TOP: Final = (*sorted(STACK.keys), "x-a", "version")
FILES: Final = ("inc.yml", "b.yml", ".env", "web.env", "base.yaml")


def _keys(kind: Type, seen: set[int]) -> Iterator[str]:
    if id(kind) in seen:
        return
    seen.add(id(kind))
    if isinstance(kind, Record):
        for name, rule in kind.keys.items():
            yield name
            yield from _keys(rule.kind, seen)
    elif isinstance(kind, (Named, ListOf)):
        yield from _keys(kind.kind, seen)


KEYS: Final = tuple(sorted(set(_keys(STACK, set()))))


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """One to four changes; the same seed makes the same ones."""
    dice = random.Random(seed)
    first, lines = data[:1], data[1:].decode("utf-8", "replace").split("\n")
    for _ in range(dice.randint(1, 4)):
        dice.choice(_CHANGES)(lines, dice)
    if dice.random() < 0.1:
        first = bytes([dice.randrange(64)])
    return ((first or b"\0") + "\n".join(lines).encode())[:max_size]


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" -"))]


def _set_value(lines: list[str], dice: random.Random) -> None:
    at = dice.randrange(len(lines))
    key, colon, _ = lines[at].partition(": ")
    lines[at] = f"{key}: {dice.choice(VALUES)}" if colon else f"{lines[at].rstrip(':')}: {dice.choice(VALUES)}"


def _add_key(lines: list[str], dice: random.Random) -> None:
    at = dice.randrange(len(lines))
    indent = " " * len(_indent(lines[at])) + dice.choice(("", "", "  "))
    lines.insert(at + 1, f"{indent}{dice.choice(KEYS)}: {dice.choice(VALUES)}")


def _add_item(lines: list[str], dice: random.Random) -> None:
    at = dice.randrange(len(lines))
    lines.insert(at + 1, f"{' ' * len(_indent(lines[at]))}- {dice.choice(VALUES)}")


def _rename(lines: list[str], dice: random.Random) -> None:
    at = dice.randrange(len(lines))
    _, colon, value = lines[at].partition(":")
    lines[at] = f"{_indent(lines[at])}{dice.choice(KEYS)}{colon}{value}"


def _top(lines: list[str], dice: random.Random) -> None:
    lines.insert(dice.randrange(len(lines) + 1), f"{dice.choice(TOP)}: {dice.choice(VALUES)}")


def _delete(lines: list[str], dice: random.Random) -> None:
    if len(lines) > 1:
        del lines[dice.randrange(len(lines))]


def _repeat(lines: list[str], dice: random.Random) -> None:
    at = dice.randrange(len(lines))
    lines[at:at] = lines[at : at + dice.randint(1, 5)]


def _shift(lines: list[str], dice: random.Random) -> None:
    at = dice.randrange(len(lines))
    lines[at] = "  " + lines[at] if dice.random() < 0.5 else lines[at].removeprefix("  ")


def _swap(lines: list[str], dice: random.Random) -> None:
    one, other = dice.randrange(len(lines)), dice.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]


def _letter(lines: list[str], dice: random.Random) -> None:
    at = dice.randrange(len(lines))
    place = dice.randint(0, len(lines[at]))
    lines[at] = lines[at][:place] + dice.choice("\t \"'[]{},:#&*!|>%@`-?$\\\r\ufeff\x85\u2028\x00") + lines[at][place:]


def _file(lines: list[str], dice: random.Random) -> None:
    lines.insert(dice.randrange(len(lines) + 1), f"#file {dice.choice(FILES)}")


def _include(lines: list[str], dice: random.Random) -> None:
    name = dice.choice(FILES)
    lines.insert(0, dice.choice((f"include: [{name}]", f"include: [{{path: {name}, env_file: .env}}]")))


def _extend(lines: list[str], dice: random.Random) -> None:
    at = dice.randrange(len(lines))
    indent = " " * len(_indent(lines[at]))
    lines.insert(at + 1, f"{indent}extends: {{service: {dice.choice(('web', 'db'))}, file: {dice.choice(FILES)}}}")


Change = Callable[[list[str], random.Random], None]
_CHANGES: Final[tuple[Change, ...]] = (
    *(_set_value, _set_value, _add_key, _add_key, _add_item, _rename, _top, _delete, _repeat, _shift, _swap, _letter),
    *(_file, _include, _extend),
)
