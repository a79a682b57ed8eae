"""What a command works with: the options of every command, the outputs, the engine's client, the stack.

Everything is made when first asked for, so that `ps` never loads what only `up` needs.
"""

from __future__ import annotations

import os
import time

from orchestr8.cli.output import Output, is_true
from orchestr8.cli.parser import UsageError
from orchestr8.cli.progress import JsonProgress, PlainProgress, Progress
from orchestr8.cli.table import ERROR_FORMATS
from orchestr8.errors import InvalidInput
from orchestr8.wire.paths import engine_root, socket_path

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from orchestr8.cli.parser import Options
    from orchestr8.cli.remembered import Answer
    from orchestr8.errors import Diagnostic
    from orchestr8.stack.load import Loaded
    from orchestr8.stack.project import LoadOptions, Project
    from orchestr8.wire.client import Client

_ANSI = ("auto", "always", "never")
_PROGRESS = ("auto", "tty", "plain", "quiet", "json")


class Context:
    """One run of the program."""

    def __init__(self, options: Options, environ: Mapping[str, str] = os.environ) -> None:
        self.options = options
        self.environ = environ
        self.root = engine_root(options.root or "", environ)
        self.error_format = options.error_format or _chosen(environ, "ORCHESTR8_ERROR_FORMAT", ERROR_FORMATS)
        self.ansi = options.ansi or _chosen(environ, "COMPOSE_ANSI", _ANSI)
        self.progress_mode = options.progress or _chosen(environ, "COMPOSE_PROGRESS", _PROGRESS)
        if (self.ansi, self.progress_mode) in {("never", "tty"), ("always", "plain")}:
            raise UsageError(f"--ansi {self.ansi} and --progress {self.progress_mode} contradict each other")
        self.out = Output(1, ansi=self.ansi, environ=environ)
        self.err = Output(2, ansi=self.ansi, environ=environ)
        self._client: Client | None = None
        self._project: Project | None = None
        self._stack = ""

    @property
    def client(self) -> Client:
        """Speaks with the engine, and starts it when none answers."""
        if self._client is None:
            from orchestr8.wire.client import Client  # `socket` costs 3 ms, and `config` needs none

            self._client = Client(socket_path(self.root, self.environ), self._start_engine)
        return self._client

    def running_engine(self) -> Client:
        """Speaks with the engine if one runs, and starts none."""
        from orchestr8.wire.client import Client

        return Client(socket_path(self.root, self.environ))

    def _start_engine(self) -> None:
        from orchestr8.cli.launch import start_engine  # only a cold start needs it

        start_engine(self.root, self.environ)

    def progress(self) -> Progress:
        """A teller of the kind that was asked for, or that suits the terminal."""
        mode = self.progress_mode
        output = self.out if is_true(self.environ.get("COMPOSE_STATUS_STDOUT", "")) else self.err
        if mode == "auto":
            display = output.terminal and self.ansi != "never" and self.environ.get("TERM") != "dumb"
            mode = "tty" if display and not self.environ.get("CI") else "plain"
        if mode == "tty":
            from orchestr8.cli.live import LiveProgress  # only terminals need it

            return LiveProgress(output, time.monotonic)
        return {"plain": PlainProgress, "json": JsonProgress, "quiet": Progress}[mode](output)

    @property
    def project(self) -> Project:
        """Name and files of the stack, without reading more of them than that."""
        if self._project is None:
            self._project = self._find_project(self.environ)
        return self._project

    def _find_project(self, environ: Mapping[str, str]) -> Project:
        from orchestr8.stack.project import find_project

        options = self.load_options(environ=environ)
        options.project_name = options.project_name or environ.get("COMPOSE_PROJECT_NAME", "")
        return find_project(options)

    @property
    def named(self) -> bool:
        """Whether flag or variable name the stack, so that it need have no file."""
        return bool(self.options.project_name or self.environ.get("COMPOSE_PROJECT_NAME"))

    @property
    def stack(self) -> str:
        """The stack's name."""
        if not self._stack:
            if self._project is not None:
                return self._project.name
            from orchestr8.cli.remembered import Answer

            self._stack = str(self.remembered(["name"], lambda environ: Answer(self._find_project(environ).name)))
        return self._stack

    def remembered(self, question: list[Any], make: Callable[[Mapping[str, str]], Answer]) -> Any:
        """What `make` made of the stack files and these variables before, as long as they are the same; its warnings are told.

        The options of every command are part of the question.
        """
        from orchestr8.cli.remembered import remembered

        options = self.options
        asked = [
            *question, _working_dir(), options.files, options.project_name, options.project_directory,
            options.env_files, options.profiles, options.strict,
        ]  # fmt: skip
        answer = remembered(asked, self.environ, make)
        self.warn(answer.warnings, answer.sources)
        return answer.value

    def load(self, services: Iterable[str] = (), **how: bool) -> Loaded:
        """The stack files, whole and checked. Warnings are told. Raises InvalidStack with all that is wrong.

        `how`: what `LoadOptions` has of switches, such as `acting`: what the engine cannot do is refused.
        """
        loaded = self.load_quietly(services, None, **how)
        self.warn(loaded.warnings, loaded.sources)
        return loaded

    def load_quietly(
        self, services: Iterable[str] = (), environ: Mapping[str, str] | None = None, **how: Any
    ) -> Loaded:
        """As `load`, with other variables than the process's, perhaps; its warnings are for the caller to tell."""
        from orchestr8.stack.load import load

        options = self.load_options(services, environ=environ)
        for name, value in how.items():
            setattr(options, name, value)
        return load(options)

    def load_options(self, services: Iterable[str] = (), *, environ: Mapping[str, str] | None = None) -> LoadOptions:
        from orchestr8.stack.project import LoadOptions

        options = self.options
        return LoadOptions(
            files=list(options.files),
            project_name=options.project_name or "",
            project_directory=options.project_directory or "",
            env_files=list(options.env_files),
            profiles=list(options.profiles),
            services=list(services),
            environ=self.environ if environ is None else environ,
            working_dir=_working_dir(),
            strict=options.strict,
            stdin=_read_stdin,
        )

    def warn(self, diagnostics: Iterable[Diagnostic], sources: Mapping[str, str] | None = None) -> None:
        """Tell warnings, in the shape of errors."""
        if diagnostics := list(diagnostics):
            from orchestr8.cli.render import diagnostics_text

            self.err.write(diagnostics_text(diagnostics, sources or {}, self.err, self.error_format))

    def colour_logs(self) -> bool:
        return self.out.colour and not getattr(self.options, "no_color", False)


def _chosen(environ: Mapping[str, str], variable: str, choices: tuple[str, ...]) -> str:
    value = environ.get(variable) or choices[0]
    if value not in choices:
        raise UsageError(f"{variable} is `{value}`", helps=[f"set it to one of: {', '.join(choices)}"])
    return value


def _working_dir() -> str:
    try:
        return os.getcwd()
    except OSError as error:
        raise InvalidInput("the directory you stand in is not there any more", helps=["cd to another one"]) from error


def _read_stdin() -> str:
    """All of it, as text; whatever the locale says, a stack file is UTF-8."""
    from orchestr8.stack.source import MAX_BYTES, seen_once

    seen_once()
    try:
        with open(0, "rb", closefd=False) as file:
            data = file.read(MAX_BYTES + 1)
            if len(data) > MAX_BYTES:
                raise InvalidInput(f"standard input is larger than {MAX_BYTES >> 20} MiB", code="O8-107")
            return data.decode().removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        message = f"standard input is not UTF-8 text: {error.reason} at byte {error.start}"
        raise InvalidInput(message, code="O8-107") from error
    except OSError as error:
        raise InvalidInput(f"standard input cannot be read: {error.strerror}", code="O8-107") from error
