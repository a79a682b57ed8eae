r"""The grammar of `.env` and `env_file` files: KEY=VALUE lines, comments, quotes, variables.

    KEY=value            trimmed; variables replaced; a comment starts at ` #`
    KEY='value'          as it is, over several lines if need be; only \' is an escape
    KEY="value"          variables replaced; \n \t \\ \" \$ and octal \0123 are escapes
    KEY: value           as KEY=value;   `export` in front is ignored
    KEY                  taken from the environment, or left out

Which files are read, and which value wins, is decided in `environment`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from orchestr8.stack.interpolate import MAX_TOTAL, BadTemplate, Lookup, RequiredVariable, substitute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_ESCAPE: Final = re.compile(r'\\(?:[abfnrtv$"\\]|0[0-3][0-7]{2})')
_SIMPLE_ESCAPES: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\", "$": "$$",
}  # fmt: skip
MAX_KEYS: Final = 100_000
_KEY_END: Final = re.compile(r"[=:\n]")
_INLINE_COMMENT: Final = re.compile(r"(?<=\s)#")  # of a value without quotes; one that begins with # is a value
_COMMENT: Final = re.compile(r"(?:^|(?<=\s))#")


class BadEnvFile(ValueError):
    """What is wrong, and on which line (1-based)."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line
        self.message = message


Tell = Callable[[str, int], None]  # of a text, and the line it is about


def _nothing(_: str) -> None:
    return None


def parse_dotenv(
    text: str,
    lookup: Lookup = _nothing,
    *,
    earlier: Lookup = _nothing,
    unset: Tell | None = None,
    odd: Tell | None = None,
) -> dict[str, str]:
    """Keys and values in the file's order. Variables come from `lookup` first, then from the lines above, then from
    `earlier`: the files before this one. `unset` is told of those that have no value, `odd` of what is most likely
    not meant, each with the line.

    Raises BadEnvFile.
    """
    return _Parser(text.removeprefix("\ufeff").replace("\r\n", "\n"), lookup, earlier, unset, odd).parse()


def parse_raw(text: str, lookup: Lookup = _nothing) -> dict[str, str]:
    """`format: raw`: no quotes, no variables, no trailing comments. Raises BadEnvFile."""
    values: dict[str, str] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        stripped = line.removesuffix("\r").lstrip()
        if not stripped or stripped.startswith("#"):
            continue
        key, equals, value = stripped.partition("=")
        if not key or any(letter.isspace() for letter in key):
            raise BadEnvFile(number, "key cannot contain a space" if key else "no key in front of =")
        if "\0" in value:
            raise BadEnvFile(number, "a value cannot hold the character NUL: no program can be given it")
        if number > MAX_KEYS:
            raise BadEnvFile(number, f"the file has more than {MAX_KEYS} lines")
        inherited = value if equals else lookup(key)
        if inherited is not None:
            values[key] = inherited
    return values


class _Parser:
    def __init__(self, text: str, lookup: Lookup, earlier: Lookup, unset: Tell | None, odd: Tell | None) -> None:
        self.text = text
        self.position = 0
        self.counted = 0, 1  # a position, and the line it is on
        self.length = 0  # of all values
        self.statements = 0
        self.values: dict[str, str] = {}
        self.lookup = lookup
        self.earlier = earlier
        self.unset = unset
        self.odd = odd

    def parse(self) -> dict[str, str]:
        while self._skip_to_statement():
            line = self._line()
            self.statements += 1
            if self.statements > MAX_KEYS:
                raise BadEnvFile(line, f"the file has more than {MAX_KEYS} keys")
            key, has_value = self._key()
            if has_value:
                raw, quote = self._value()
                self.values[key] = self._expand(raw, quote, line)
                self._measure(self.values[key], line)
            elif (found := self._inherited(key)) is not None:
                self.values[key] = found
        return self.values

    def _measure(self, value: str, line: int) -> None:
        self.length += len(value)
        if self.length > MAX_TOTAL:
            raise BadEnvFile(line, f"the values of the file become longer than {MAX_TOTAL >> 20} MiB")
        if "\0" in value:
            raise BadEnvFile(line, "a value cannot hold the character NUL: no program can be given it")

    def _line(self) -> int:
        position, line = self.counted
        self.counted = self.position, line + self.text.count("\n", position, self.position)
        return self.counted[1]

    def _skip_to_statement(self) -> bool:
        """Move past blank space and comment lines; False at the end."""
        while self.position < len(self.text):
            letter = self.text[self.position]
            if letter == "#":
                end = self.text.find("\n", self.position)
                self.position = len(self.text) if end < 0 else end
            elif letter.isspace():
                self.position += 1
            else:
                return True
        return False

    def _key(self) -> tuple[str, bool]:
        line = self._line()
        found = _KEY_END.search(self.text, self.position)
        end = found.start() if found else len(self.text)
        name = self.text[self.position : end]
        has_value = end < len(self.text) and self.text[end] != "\n"
        self.position = end + 1
        if not has_value:
            name = _COMMENT.split(name, maxsplit=1)[0]
        name = re.sub(r"^export\s+", "", name).strip(" \t")
        for letter in name:
            if letter.isspace():
                raise BadEnvFile(line, "key cannot contain a space")
            if not (letter.isalnum() or letter in "_.-[]"):
                raise BadEnvFile(line, f'unexpected character "{letter}" in variable name')
        return name, has_value

    def _value(self) -> tuple[str, str]:
        """The text after the separator, and the quote it stood in."""
        while self.position < len(self.text) and self.text[self.position] in " \t":
            self.position += 1
        quote = self.text[self.position : self.position + 1]
        if quote not in ("'", '"') or not quote:
            end = self.text.find("\n", self.position)
            end = len(self.text) if end < 0 else end
            raw = self.text[self.position : end]
            self.position = end
            return _INLINE_COMMENT.split(raw, maxsplit=1)[0].strip(), ""
        line = self._line()
        start = self.position + 1
        end = start
        while end < len(self.text) and self.text[end] != quote:
            end += 2 if self.text[end] == "\\" and self.text[end + 1 : end + 2] in (quote, "\\") and (
                quote == '"' or self.text[end + 1] == quote
            ) else 1  # fmt: skip
        if end >= len(self.text):
            raise BadEnvFile(line, "unterminated quoted value")
        self.position = end + 1
        self._look_behind_the_quote()
        return self.text[start:end], quote

    def _look_behind_the_quote(self) -> None:
        """What stands there is a line of its own to compose, which nobody means."""
        end = self.text.find("\n", self.position)
        rest = self.text[self.position : len(self.text) if end < 0 else end].strip()
        if rest and not rest.startswith("#") and self.odd:
            self.odd("text behind the closing quote is not part of the value", self._line())

    def _expand(self, raw: str, quote: str, line: int) -> str:
        if quote == "'":
            return raw.replace("\\'", "'")
        template = _ESCAPE.sub(_unescape, raw) if quote else raw
        try:
            return substitute(template, self._lookup, lambda name: self.unset(name, line) if self.unset else None)
        except (BadTemplate, RequiredVariable) as error:
            raise BadEnvFile(line, str(error)) from error

    def _inherited(self, name: str) -> str | None:
        value = self.lookup(name)
        return self.earlier(name) if value is None else value

    def _lookup(self, name: str) -> str | None:
        value = self.lookup(name)
        if value is None:
            value = self.values.get(name)
        return self.earlier(name) if value is None else value


def _unescape(match: re.Match[str]) -> str:
    sequence = match[0][1:]
    return chr(int(sequence, 8)) if sequence[0] == "0" else _SIMPLE_ESCAPES[sequence]
