"""Names that a container or an archive chose, as they may stand in a line: they must neither end it nor move a cursor."""

from typing import Final

_LONGEST: Final = 200  # characters of a name in a message


def printable(path: str) -> str:
    """A line of its own whatever a container calls its files: what is not to be shown as it is stands as in C's strings."""
    if path.isprintable():
        return path
    return "".join(each if each.isprintable() else _escaped(each) for each in path)


def shown(name: bytes) -> str:
    """The same for a message, with the middle of what is very long left out."""
    text = name.decode(errors="surrogateescape")
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 :]}"
    return printable(text)


def _escaped(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode()
