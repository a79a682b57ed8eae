"""The error tree: what a caller can do decides the class, not where it was raised.

    Orchestr8Error
    ├─ InvalidInput      change what was given (a flag, a name, a value)
    │  └─ InvalidStack   change the stack file; carries every diagnostic of the run
    ├─ NotFound          name something that exists
    ├─ Conflict          the thing is in a state that forbids this; change the state first
    ├─ Unsupported       this engine cannot do it; the message says what can be done instead
    ├─ Unavailable       try again: the engine, or something it needs, does not answer now
    │  └─ Unheard        make the request again, of the next engine: nobody has acted on it
    └─ OperationFailed   a step on this machine failed; the cause is chained or in the notes

Imported by every process, the short-lived CLI and the forkserver among them, so plain classes only: no dataclasses
(about 1 ms each to define), and `typing` (4 ms) for the type checker alone. How errors are drawn is `cli.render`'s
business, the HTTP status of each class is `api.errors`'.

Codes: O8-1xx file shape, 2xx graph, 3xx values and variables, 4xx host preflight, 5xx image, 6xx run time,
7xx network, 9xx internal.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any


class Orchestr8Error(Exception):
    """A failure with a stable code, one sentence of what is wrong, facts (`notes`) and actions (`helps`)."""

    code = "O8-900"

    def __init__(self, message: str, *, code: str = "", notes: Iterable[str] = (), helps: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        if code:
            self.code = code
        self.notes = list(notes)
        self.helps = list(helps)

    def to_json(self) -> dict[str, Any]:
        """Shape of an error on the wire: Docker's `message`, and what Docker has no field for."""
        return {"message": self.message, "code": self.code, "notes": self.notes, "helps": self.helps}


class InvalidInput(Orchestr8Error):
    code = "O8-300"


class NotFound(Orchestr8Error):
    code = "O8-404"


class Conflict(Orchestr8Error):
    code = "O8-409"


class Unsupported(Orchestr8Error):
    code = "O8-110"


class Unavailable(Orchestr8Error):
    code = "O8-400"


class Unheard(Unavailable):
    """Nobody has acted on the request, so it may be made again, of the next engine."""


class OperationFailed(Orchestr8Error):
    code = "O8-600"


class Span:
    """A place in a text file: 1-based line and column; `end_column` is one past the last column on that line.

    `via`: the places by way of which the text came to be read, an `include` or an `extends`; the nearest first.
    """

    __slots__ = ("column", "end_column", "file", "label", "line", "primary", "via")

    def __init__(
        self, file: str, line: int, column: int, end_column: int = 0, *, label: str = "", primary: bool = True,
        via: tuple[Span, ...] = (),
    ) -> None:  # fmt: skip
        self.file = file
        self.line = line
        self.column = column
        self.end_column = end_column or column + 1
        self.label = label
        self.primary = primary
        self.via = via

    def __repr__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__ if name != "via"}


class Edit:
    """A change to a text file: what stands from `line:column` up to `end_line:end_column` becomes `text`.

    1-based, the end not included, columns in characters. What is proposed keeps the file's meaning, or mends what has none.
    """

    __slots__ = ("column", "end_column", "end_line", "file", "line", "text")

    def __init__(self, file: str, line: int, column: int, end_line: int, end_column: int, text: str) -> None:
        self.file = file
        self.line = line
        self.column = column
        self.end_line = end_line
        self.end_column = end_column
        self.text = text

    def __repr__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}-{self.end_line}:{self.end_column}={self.text!r}"

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in sorted(self.__slots__)}


class Fix:
    """Edits that mend one diagnostic, all of them or none; `title` says what they do, as an order."""

    __slots__ = ("edits", "title")

    def __init__(self, title: str, edits: Iterable[Edit]) -> None:
        self.title = title
        self.edits = tuple(edits)

    def to_json(self) -> dict[str, Any]:
        return {"title": self.title, "safe": True, "edits": [edit.to_json() for edit in self.edits]}


class Diagnostic:
    """One finding about a stack file. `severity` is "error" or "warning"; the first primary span is its place.

    `fix` mends it without a doubt; where a person must choose, there are `helps` alone.
    """

    __slots__ = ("code", "fix", "helps", "message", "notes", "severity", "spans")

    def __init__(
        self,
        code: str,
        message: str,
        spans: Iterable[Span] = (),
        *,
        severity: str = "error",
        notes: Iterable[str] = (),
        helps: Iterable[str] = (),
        fix: Fix | None = None,
    ) -> None:
        self.code = code
        self.message = message
        self.spans = list(spans)
        self.severity = severity
        self.notes = list(notes)
        self.helps = list(helps)
        self.fix = fix

    @property
    def place(self) -> Span | None:
        """The first primary span, or the first there is."""
        return next((each for each in self.spans if each.primary), self.spans[0] if self.spans else None)

    def __repr__(self) -> str:
        place = f" --> {self.spans[0]!r}" if self.spans else ""
        return f"{self.severity}[{self.code}]: {self.message}{place}"

    def to_json(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "spans": [span.to_json() for span in self.spans],
            "notes": self.notes,
            "helps": self.helps,
            "suggestions": [self.fix.to_json()] if self.fix else [],
        }


class InvalidStack(InvalidInput):
    """Everything that is wrong with the stack files of one run, sorted by place.

    `sources` maps a file's name, as spans have it, to its text, so that a renderer can show the line at fault.
    """

    code = "O8-100"

    def __init__(self, diagnostics: Iterable[Diagnostic], sources: Mapping[str, str]) -> None:
        self.diagnostics = list(diagnostics)
        self.sources = dict(sources)
        errors = [each for each in self.diagnostics if each.severity == "error"]
        first = errors[0] if errors else self.diagnostics[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(f"{first!r}{more}", code=first.code)


def error_from_json(status: int, body: Mapping[str, Any]) -> Orchestr8Error:
    """The error that a peer sent as `to_json`, as the class that its HTTP status stands for."""
    kind = {
        400: InvalidInput, 404: NotFound, 409: Conflict, 501: Unsupported, 503: Unavailable,
    }.get(status, OperationFailed)  # fmt: skip
    return kind(
        str(body.get("message", f"HTTP status {status}")),
        code=str(body.get("code", "")),
        notes=body.get("notes") or (),
        helps=body.get("helps") or (),
    )
