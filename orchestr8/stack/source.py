"""The files behind a stack: the only module of the package that opens any.

Whatever a stack file names, opening it neither waits nor fills the memory: only regular files are read, and those that
the shell hands over (`<(...)`), up to a size that no stack has. What was seen of files can be kept (`watching`), and
asked for again later (`still_so`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from orchestr8.errors import InvalidInput, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

STDIN: Final = "<stdin>"  # what spans call standard input
ARGUMENTS: Final = "<command line>"  # what spans call what its flags say
NOTHING: Final = "/dev/null"  # stands for no file
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")  # as the mark says that it begins with
MAX_BYTES: Final = 32 * 2**20

_sight: Sight | None = None  # who keeps what is seen; `watching` sets it
_instead: Mapping[str, str] = {}  # absolute path -> what is read in place of the file; `instead_of` sets it
_HANDED_OVER: Final = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")  # open files of this process
_KINDS: Final = (
    (stat.S_ISDIR, "is a directory"),
    (stat.S_ISFIFO, "is a named pipe, which may never end"),
    (stat.S_ISSOCK, "is a socket"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
)


class instead_of:  # noqa: N801  reads as what it does; `contextlib` costs each start of `ps` a millisecond
    """Within, these files have these texts: to see what a change would come to before it is written."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def __enter__(self) -> None:
        global _instead
        self._texts, _instead = _instead, self._texts

    def __exit__(self, *_: object) -> None:
        global _instead
        self._texts, _instead = _instead, self._texts


class Sight:
    """What was seen of files: `seen` maps a question and its path to the answer, as JSON has them; of what a file holds, a digest."""

    __slots__ = ("lasting", "seen")

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}
        self.lasting = True  # False: something was seen that cannot be asked for again

    def keep(self, question: str, path: str, answer: Any) -> None:
        if self.seen.setdefault(f"{question} {path}", answer) != answer:
            self.lasting = False  # it changed meanwhile: nobody knows what was made of which


class watching:  # noqa: N801  as above
    """Within, what is seen of files is kept."""

    def __enter__(self) -> Sight:
        global _sight
        self._outer, _sight = _sight, Sight()
        return _sight

    def __exit__(self, *_: object) -> None:
        global _sight
        _sight = self._outer


def seen_once() -> None:
    """What was read now, such as standard input, cannot be read again; or it failed, and may go well the next time."""
    if _sight is not None:
        _sight.lasting = False


def still_so(seen: Mapping[str, Any]) -> bool:
    """Whether files are as they were seen."""
    try:
        for each, answer in seen.items():
            question, _, path = each.partition(" ")
            if _QUESTIONS[question](path) != answer:
                return False
    except (OSError, _NotAFile):
        return False
    return True


def digest(data: bytes) -> str:
    """Tells whether it is the same, and no more. By what `hashlib` leads to: its import costs 4 ms."""
    try:
        from _blake2 import blake2b
    except ImportError:
        from hashlib import blake2b
    return blake2b(data, digest_size=16).hexdigest()


def display_path(path: str, working_dir: str) -> str:
    """How a file is called in messages: relative when it lies at or below the directory the user stands in."""
    return path.removeprefix(working_dir.rstrip("/") + "/")


def read_text(path: str, code: str, what: str) -> str:
    """The text of a file. Raises NotFound, or InvalidInput when it is there and cannot be read."""
    if path in _instead:
        return _instead[path]
    data = read_bytes(path, code, what)
    try:
        return data.decode("utf-16" if data.startswith(_UTF_16) else "utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        line = f", in line {number}" if error.encoding == "utf-8" else ""
        message = f"{what} is not {error.encoding.upper()} text: {path}: {error.reason} at byte {error.start}{line}"
        raise InvalidInput(message, code=code) from error


def read_bytes(path: str, code: str, what: str) -> bytes:
    """What a file holds. Raises as `read_text` does."""
    try:
        data = _contents(path, code, what)
    except (NotFound, InvalidInput):
        seen_once()
        raise
    if path.startswith(_HANDED_OVER):
        seen_once()
    elif _sight is not None:
        _sight.keep("holds", path, digest(data))
    return data


def _contents(path: str, code: str, what: str) -> bytes:
    try:
        data = _read(path)
    except FileNotFoundError:
        raise NotFound(f"{what} not found: {path}", code=code) from None
    except _NotAFile as error:
        raise InvalidInput(f"{what} {error}: {path}", code=code) from None
    except OSError as error:
        raise InvalidInput(f"{what} cannot be read: {path}: {error.strerror}", code=code) from error
    except ValueError as error:  # a NUL in the path
        raise NotFound(f"{what} not found: {path!r}: {error}", code=code) from error
    if len(data) > MAX_BYTES:
        raise InvalidInput(f"{what} is larger than {MAX_BYTES >> 20} MiB: {path}", code=code)
    return data


class _NotAFile(Exception):
    pass


def _read(path: str) -> bytes:
    _look_at(path, os.stat(path).st_mode)  # even to open a device may do something: /dev/watchdog resets the machine
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        _look_at(path, mode)
        if stat.S_ISFIFO(mode):
            os.set_blocking(descriptor, True)  # whoever writes is at work, and there is an end
        parts = []
        length = 0
        while length <= MAX_BYTES and (part := os.read(descriptor, 2**20)):
            parts.append(part)
            length += len(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _look_at(path: str, mode: int) -> None:
    """Raises _NotAFile for what is not to be read."""
    handed_over = path.startswith(_HANDED_OVER) and stat.S_ISFIFO(mode)
    if not handed_over and not stat.S_ISREG(mode) and path != NOTHING:
        raise _NotAFile(next((words for is_kind, words in _KINDS if is_kind(mode)), "is not a file"))


def is_file(path: str) -> bool:
    """A regular file: no directory, no pipe."""
    return path in _instead or bool(_seen("is-file", path))


def exists(path: str) -> bool:
    return path in _instead or bool(_seen("exists", path))


def names_in(directory: str) -> list[str]:
    """The names in a directory; none when it cannot be read."""
    found: list[str] = _seen("has", directory)
    return found


def _seen(question: str, path: str) -> Any:
    answer = _QUESTIONS[question](path)
    if _sight is not None:
        _sight.keep(question, path, answer)
    return answer


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


_QUESTIONS: Final[dict[str, Callable[[str], Any]]] = {
    "holds": lambda path: digest(_read(path)),
    "is-file": os.path.isfile,
    "exists": os.path.lexists,
    "has": _names,
}
