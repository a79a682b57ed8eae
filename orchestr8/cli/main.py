"""Runs one command and turns what went wrong into text on the standard error and an exit code.

0 done · 1 failed · 2 the command line is wrong · 130 interrupted · 141 nobody reads the output any more
exec, run: the program's own, and 125 for a failure of ours
"""

from __future__ import annotations

import gc
import os
import sys

from orchestr8.cli.context import Context
from orchestr8.cli.output import Output, open_standard_descriptors
from orchestr8.cli.parser import UsageError, parse
from orchestr8.errors import Orchestr8Error

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final, NoReturn

    from orchestr8.cli.words import Command

FAILED: Final = 1
USAGE: Final = 2
ENGINE_FAILED: Final = 125  # of `exec` and `run`, where smaller numbers are the program's
PROGRAM_CODES: Final = {"O8-626": 126, "O8-627": 127}  # not executable, not found
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141
_GARBAGE: Final = 50_000  # objects between two collections: most commands are over before they make so many


def main() -> NoReturn:
    """The console script's entry: run, and end at once. An interpreter that tidies up takes 5 ms, and all is written by then."""
    gc.set_threshold(_GARBAGE)
    code = run()
    for stream in (sys.stdout, sys.stderr):  # ours go straight to the descriptors; a library's warning may not have
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            code = code or BROKEN_PIPE
    os._exit(code)


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv` (the process's own, if None) and return its exit code."""
    open_standard_descriptors()
    words = sys.argv[1:] if argv is None else argv
    failure = _Failure()
    try:
        if words[:1] == ["oci"]:  # a command line of its own, in runc's manner
            from orchestr8.oci import command

            return command.run(words[1:], "orchestr8 oci")
        return _run(words, failure)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return BROKEN_PIPE


def _run(words: Sequence[str], failure: _Failure) -> int:
    try:
        command, options = parse(words)
        failure.style = options.error_format or ""
        context = Context(options)
        failure.use(command, context)
        return _function(command)(context, options)
    except UsageError as error:
        failure.tell(error)
        return USAGE
    except Orchestr8Error as error:
        failure.tell(error)
        return PROGRAM_CODES.get(error.code, failure.code) if failure.code == ENGINE_FAILED else failure.code
    except (KeyboardInterrupt, BrokenPipeError):
        raise
    except Exception as error:  # noqa: BLE001  a defect: whatever it is, nobody gets a traceback
        failure.tell(_internal(error))
        return failure.code


def _function(command: Command) -> Callable[[Context, object], int]:
    name = f"orchestr8.cli.commands.{command.module}"
    __import__(name)
    function: Callable[[Context, object], int] = sys.modules[name].run
    return function


class _Failure:
    """How a failure is told, which is known better the further the run came."""

    def __init__(self) -> None:
        self.style = ""
        self.code = FAILED
        self._json = False
        self._output: Output | None = None

    def use(self, command: Command, context: Context) -> None:
        self.code = command.failure
        self.style = context.error_format
        self._json = context.progress_mode == "json" and not context.options.error_format
        self._output = context.err

    def tell(self, error: Orchestr8Error) -> None:
        if self._json:  # compose's shape of an error among progress events
            import json

            self.say(json.dumps({"error": True, "message": error.message, "code": error.code}) + "\n")
            return
        from orchestr8.cli.render import error_text  # only failures need it

        self.say(error_text(error, self.output, self.style or "full"))

    def say(self, text: str) -> None:
        self.output.write(text)

    @property
    def output(self) -> Output:
        if self._output is None:
            self._output = Output(2, ansi="auto", environ=os.environ)
        return self._output


def _internal(error: Exception) -> Orchestr8Error:
    """A defect of ours as an error: where the details are, not the details."""
    import traceback

    details = "".join(traceback.format_exception(error))
    path = os.path.join(os.environ.get("TMPDIR") or "/tmp", f"orchestr8-error-{os.getpid()}.txt")
    try:
        with open(path, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(details)
    except OSError as problem:
        notes = [f"the details could not be written to {path}: {problem.strerror}", *details.strip().splitlines()[-3:]]
    else:
        notes = [f"the details are in {path}"]
    return Orchestr8Error(
        f"internal error: {type(error).__name__}: {error}", notes=notes, helps=["please report it with that file"]
    )
