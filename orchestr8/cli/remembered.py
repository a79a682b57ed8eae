"""What was made of the same files before: a stack's document, or its name, for which then no YAML need be read.

An answer is good for as long as all that it was made of is the same: the question, our code, the variables that were
asked for, and each file and directory that was looked at, whose contents are compared (by digests), not their times. There are few
places, and a question's digest says which is its own: so there are never more files than that, and what is asked
rarely gives way. Kept below the user's cache directory, for nobody else's eyes, as documents hold what variables do.

A cache that cannot be read or written is as good as none. What a stack's secrets hold never comes here: of variables and files
there are digests, and an answer with such contents is not kept.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import zlib
from collections.abc import Mapping

from orchestr8 import __version__
from orchestr8.errors import Diagnostic, Edit, Fix, Orchestr8Error, Span
from orchestr8.stack.source import ARGUMENTS, Sight, digest, read_text, still_so, watching

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Final

OFF: Final = "ORCHESTR8_NO_CACHE"
_PLACES: Final = 256
# RecursionError: it was written with more of the stack left.
_UNUSABLE: Final = (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError)
_MAX_BYTES: Final = 1 << 20  # of an entry: one that is larger takes longer to compare than it saves
_PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_MAKERS: Final = ("stack", "model", "errors.py", "cli/context.py", "cli/documents.py", "cli/remembered.py")


class Answer:
    """A value of JSON, and the warnings that come with it, told of these files."""

    __slots__ = ("lasting", "sources", "value", "warnings")

    def __init__(
        self, value: Any, warnings: Iterable[Diagnostic] = (), sources: Mapping[str, str] | None = None, *,
        lasting: bool = True,
    ) -> None:  # fmt: skip
        self.value = value
        self.warnings = list(warnings)
        self.sources = sources or {}
        self.lasting = lasting  # False: not to be written down


def remembered(
    question: list[Any], environ: Mapping[str, str], make: Callable[[Mapping[str, str]], Answer]
) -> Answer:  # fmt: skip
    """The answer of before, if it is good still; else a new one.

    `question`: all that the answer is made of besides files and variables, as JSON has it. `make` is to take variables
    from what it is given, and nothing of files but by `stack.source`.
    """
    folder = "" if environ.get(OFF) else _folder(environ)
    if not folder:
        return make(environ)
    words = json.dumps([__version__, sys.implementation.cache_tag, _code(), environ.get("HOME"), *question])
    path = f"{folder}/{zlib.crc32(words.encode()) % _PLACES:02x}.json"
    try:
        kept = _read(path)
        if kept["question"] == words and _good(kept, environ):
            return _answer(kept)
    except _UNUSABLE:
        pass  # there is none, or it is not what was written here: made anew below, it takes its place
    asked = _Asked(environ)
    with watching() as sight:
        answer = make(asked)
    if answer.lasting and sight.lasting:
        _write(folder, path, _entry(words, asked, sight, answer))
    return answer


class _Asked(Mapping[str, str]):
    """The process's variables, and which of them were asked for."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.found: dict[str, str | None] = {}
        self.all = False

    def __getitem__(self, name: str) -> str:
        value = self.found[name] = self._environ.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        self.all = True
        return iter(self._environ)

    def __len__(self) -> int:
        self.all = True
        return len(self._environ)


def _good(kept: dict[str, Any], environ: Mapping[str, str]) -> bool:
    names = kept["names"]
    return (
        (names is None or names == _digest_of_names(environ))
        and all(_digest_of(environ.get(name)) == value for name, value in kept["variables"].items())
        and still_so(kept["files"])
    )


def _answer(kept: dict[str, Any]) -> Answer:
    """With the texts that its warnings are of: read again, being as they were."""
    warnings = list(map(_diagnostic, kept["warnings"]))
    sources = dict(kept["sources"])
    for file in {file for each in warnings for span in each.spans for file in _files(span)} - sources.keys():
        try:
            sources[file] = read_text(os.path.normpath(os.path.join(os.getcwd(), file)), "O8-107", "stack file")
        except Orchestr8Error:
            continue  # no file's name, such as `the shell`: then there is no line to show
    return Answer(kept["value"], warnings, sources)


def _digest_of(value: str | None) -> str | None:
    return None if value is None else digest(value.encode("utf-8", "surrogateescape"))


def _digest_of_names(environ: Mapping[str, str]) -> str:
    """Who asks for all variables wants their names, to suggest one; each value is asked for by its own."""
    return digest("\0".join(sorted(environ)).encode("utf-8", "surrogateescape"))


def _entry(words: str, asked: _Asked, sight: Sight, answer: Answer) -> dict[str, Any]:
    warnings = [_packed(each) for each in answer.warnings]
    return {
        "question": words,
        "variables": {name: _digest_of(value) for name, value in asked.found.items()},
        "names": _digest_of_names(asked) if asked.all else None,
        "files": sight.seen,
        "value": answer.value,
        "warnings": warnings,
        "sources": {file: text for file, text in answer.sources.items() if file == ARGUMENTS},
    }


# --- where it is ------------------------------------------------------------------------------------------------------


def _folder(environ: Mapping[str, str]) -> str:
    """The directory of the entries, which need not be there; "" where there is none for this user.

    The XDG base directory specification says where; one that belongs to another user, as root has it under sudo, is
    left alone.
    """
    base = environ.get("XDG_CACHE_HOME") or ""
    if not base.startswith("/"):
        home = environ.get("HOME") or ""
        if not home.startswith("/"):
            return ""
        base = f"{home}/.cache"
    for path in (base, os.path.dirname(base)):
        try:
            return f"{base}/orchestr8" if os.stat(path).st_uid == os.geteuid() else ""
        except OSError:  # not there yet: then whoever has the directory above makes it
            continue
    return ""


def _code() -> int:
    """A digest of when the modules that make answers changed: a checkout is worked on, and its version stays."""
    found = []
    for name in _MAKERS:
        path = f"{_PACKAGE}/{name}"
        if name.endswith(".py"):
            status = os.stat(path)
            found.append(f"{name} {status.st_mtime_ns} {status.st_size}")
            continue
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    status = entry.stat()
                    found.append(f"{entry.name} {status.st_mtime_ns} {status.st_size}")
    return zlib.crc32("\n".join(sorted(found)).encode())


def _read(path: str) -> dict[str, Any]:
    """Raises one of _UNUSABLE."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise ValueError("nobody else may say what a stack is")
        found = json.loads(file.read(_MAX_BYTES + 1))
    if not isinstance(found, dict):
        raise TypeError("no entry")
    return found


def _write(folder: str, path: str, entry: dict[str, Any]) -> None:
    try:
        data = json.dumps(entry, separators=(",", ":")).encode()
        if len(data) > _MAX_BYTES:
            return
        os.makedirs(folder, mode=0o700, exist_ok=True)
        status = os.lstat(folder)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            return
        made = f"{path}.new"
        if os.path.lexists(made):  # of a run that was killed over it, or that is at it now: that gives up
            os.unlink(made)
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
            os.rename(made, path)  # so that whoever reads finds a whole one
        except BaseException:
            os.unlink(made)
            raise
    except (OSError, RecursionError):  # a full disk, a home that is read-only: the next run reads the files again
        return


# --- findings as JSON -------------------------------------------------------------------------------------------------


def _files(span: Span) -> list[str]:
    return [span.file, *(file for via in span.via for file in _files(via))]


def _packed(finding: Diagnostic) -> list[Any]:
    fix = finding.fix and [finding.fix.title, [edit.to_json() for edit in finding.fix.edits]]
    spans = [_packed_span(span) for span in finding.spans]
    return [finding.code, finding.message, spans, finding.severity, finding.notes, finding.helps, fix]


def _diagnostic(packed: list[Any]) -> Diagnostic:
    code, message, spans, severity, notes, helps, fix = packed
    return Diagnostic(
        code, message, map(_span, spans), severity=severity, notes=notes, helps=helps,
        fix=fix and Fix(fix[0], [Edit(**edit) for edit in fix[1]]),
    )  # fmt: skip


def _packed_span(span: Span) -> dict[str, Any]:
    return {**span.to_json(), "via": [_packed_span(via) for via in span.via]}


def _span(packed: dict[str, Any]) -> Span:
    return Span(**{**packed, "via": tuple(map(_span, packed["via"]))})
