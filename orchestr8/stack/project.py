"""Which files make up the stack, where its directory is, and what it is called.

Enough for commands that need no more than the name (`ps`, `logs`, `exec`): YAML is only read, and PyYAML only imported,
when the name stands in a file in a way that a glance cannot tell.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

from orchestr8.errors import InvalidInput, NotFound
from orchestr8.stack.environment import Environment
from orchestr8.stack.problems import Problems
from orchestr8.stack.scalars import parse_flag, resolve
from orchestr8.stack.source import display_path, exists, is_file, read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

DEFAULT_FILES: Final = (
    ("stack.yml", "stack.yaml"),
    ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"),
)  # fmt: skip
OVERRIDE_FILES: Final = (
    ("stack.override.yml", "stack.override.yaml"),
    ("compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"),
)  # fmt: skip
NAME: Final = re.compile("[a-z0-9][a-z0-9_-]*")
NAME_RULE: Final = "a project name is lower-case letters, digits, _ and -, and starts with a letter or digit"


class LoadOptions:
    """What the command line and its surroundings say of the stack to load."""

    def __init__(
        self, *, files: list[str] | None = None, project_name: str = "", project_directory: str = "",
        env_files: list[str] | None = None, profiles: list[str] | None = None, services: list[str] | None = None,
        environ: Mapping[str, str] | None = None, working_dir: str = "", strict: bool = False,
        stdin: Callable[[], str] | None = None, interpolate: bool = True, acting: bool = False,
        consistency: bool = True, normalize: bool = True, resolve_paths: bool = True, resolve_environment: bool = True,
        all_resources: bool = False, narrow: bool = False, dependencies: bool = True, over: str = "",
    ) -> None:  # fmt: skip
        self.files = list(files or [])
        self.project_name = project_name
        self.project_directory = project_directory
        self.env_files = list(env_files or [])
        self.profiles = list(profiles or [])
        self.services = list(services or [])  # named on the command line: their profiles are on
        self.environ: Mapping[str, str] = os.environ if environ is None else environ
        self.working_dir = working_dir or os.getcwd()
        self.strict = strict
        self.stdin: Callable[[], str] = stdin or _no_stdin
        self.interpolate = interpolate
        self.acting = acting  # what the engine cannot do is an error, not only told
        self.consistency = consistency  # check what must hold between keys
        self.normalize = normalize  # default network, implied dependencies, full names
        self.resolve_paths = resolve_paths
        self.resolve_environment = resolve_environment  # read env files and label files
        self.dependencies = dependencies  # with `narrow`: those they depend on, too
        self.over = over  # a document that is laid over those of the files: what flags say of a service
        self.narrow = narrow  # only the services named on the command line, and those they depend on
        self.all_resources = all_resources  # keep networks, volumes and the like that no service uses


def _no_stdin() -> str:
    raise InvalidInput("there is no standard input to read a stack file from", code="O8-107")


class Project:
    """The files of a stack, its directory, its variables, and its name ("" when only its files can tell)."""

    def __init__(
        self, *, name: str, files: list[str], directory: str, environment: Environment, explicit_name: bool
    ) -> None:
        self.name = name
        self.files = files  # absolute paths, or "-" for standard input
        self.directory = directory  # what relative paths stand on
        self.environment = environment
        self.explicit_name = explicit_name


def locate(options: LoadOptions, problems: Problems, *, need_files: bool = True) -> Project:
    """Find files, directory and variables; the name only as far as flags and variables give it.

    Raises NotFound when there is no stack file, unless `need_files` is False.
    """
    environment = Environment(options.environ)
    cwd = options.working_dir
    explicit = options.env_files or _split(options.environ.get("COMPOSE_ENV_FILES", ""), ",")
    use_dotenv = parse_switch(options.environ.get("COMPOSE_DISABLE_ENV_FILE", "")) is not True
    directory = absolute(options.project_directory, cwd) if options.project_directory else ""
    files = [path if path == "-" else absolute(path, cwd) for path in options.files]
    if explicit:
        environment.read_files([absolute(path, cwd) for path in explicit], problems, cwd)
    elif use_dotenv:  # before files are looked for: it may name them
        _read_dotenv(directory or _directory_of(files) or cwd, environment, problems, cwd)
    if not files and (listed := environment.get("COMPOSE_FILE")):
        separator = environment.get("COMPOSE_PATH_SEPARATOR") or ":"
        files = [path if path == "-" else absolute(path, cwd) for path in _split(listed, separator)]
    if not files:
        files = search(directory or cwd, problems, cwd)
    for path in files:
        if path != "-" and not exists(path):
            raise NotFound(f"stack file not found: {path}", code="O8-107")
    if not files and need_files:
        raise NotFound(
            "no configuration file provided: not found", code="O8-107",
            notes=[f"looked for stack.yml, compose.yaml and their like in {directory or cwd} and every directory above"],
            helps=["name one with -f FILE", "orchestr8 init writes a first one, from what lies here"],
        )  # fmt: skip
    directory = directory or _directory_of(files) or cwd
    if use_dotenv and not explicit:
        _read_dotenv(directory, environment, problems, cwd)
    name = options.project_name or environment.get("COMPOSE_PROJECT_NAME") or ""
    if name and not NAME.fullmatch(name):
        origin = "-p" if options.project_name else "COMPOSE_PROJECT_NAME"
        raise InvalidInput(
            f"invalid project name `{name}` ({origin})", code="O8-108", notes=[NAME_RULE],
            helps=[f"try `{derived_name(name)}`"] if derived_name(name) else [],
        )  # fmt: skip
    return Project(name=name, files=files, directory=directory, environment=environment, explicit_name=bool(name))


def _directory_of(files: list[str]) -> str:
    """The directory of the first file, or "" when it has none."""
    return os.path.dirname(files[0]) if files and files[0] != "-" else ""


def find_project(options: LoadOptions) -> Project:
    """Files and name, without loading the stack. With a name given, no file need be there.

    Raises NotFound, InvalidInput, and InvalidStack where a file's `name:` cannot be read.
    """
    problems = Problems()
    project = locate(options, problems, need_files=not options.project_name)
    problems.raise_errors()
    if not project.name:
        project.name = _name_at_a_glance(project) or _name_from_documents(project, options)
    return project


def search(start: str, problems: Problems, cwd: str) -> list[str]:
    """The default file of the nearest directory that has one, and its override file."""
    directory = start
    while True:
        for bases, overrides in zip(DEFAULT_FILES, OVERRIDE_FILES, strict=True):
            found = [name for name in bases if is_file(os.path.join(directory, name))]
            if not found:
                continue
            files = [os.path.join(directory, found[0])]
            extra = [name for name in overrides if is_file(os.path.join(directory, name))]
            files += [os.path.join(directory, name) for name in extra[:1]]
            for names in (found, extra):
                if len(names) > 1:
                    shown = display_path(os.path.join(directory, names[0]), cwd)
                    problems.warn("O8-107", f"several stack files in one directory: {', '.join(names)}; using {shown}")
            return files
        parent = os.path.dirname(directory)
        if parent == directory:
            return []
        directory = parent


def derived_name(text: str) -> str:
    """A project name made of a directory's: lower case, other letters dropped."""
    return re.sub(r"[^a-z0-9_-]", "", text.lower()).lstrip("_-")


def directory_name(directory: str) -> str:
    """The name a stack has when nothing else gives one. Raises InvalidInput."""
    name = derived_name(os.path.basename(os.path.normpath(directory)))
    if not name:
        raise InvalidInput(
            f"project name must not be empty, and the directory {directory} gives none", code="O8-108",
            helps=["give one with -p NAME, or `name:` in the stack file"],
        )  # fmt: skip
    return name


_GLANCE_NAME: Final = re.compile(r"^name[ \t]*:[ \t]+(\S+)(?:[ \t]+#.*|[ \t]*)$(?!\s*\n[ \t]+\S)", re.MULTILINE)
_INDENTED: Final = re.compile(r"\A(?:(?:---)?[ \t]*(?:#.*)?\r?\n)*[ \t]+[^\s#]")  # as a whole, by its first key
_OTHER_BREAK: Final = re.compile("\r(?!\n)|[\x85\u2028\u2029]")  # ends a line of YAML, and none of a pattern
_NEEDS_YAML: Final = re.compile(r"^(?:[\"'{?&*!%<\[\t]|---[ \t]*\S|\.\.\.|name[ \t]*:)", re.MULTILINE)


def _name_at_a_glance(project: Project) -> str:
    """The name, when every file either has one plain `name: text` line or clearly none; else ""."""
    name = ""
    for path in project.files:
        if path == "-" or not is_file(path):  # what a pipe holds can be read only once
            return ""
        text = read_text(path, "O8-107", "stack file")
        if _OTHER_BREAK.search(text) or _INDENTED.match(text):
            return ""
        simple = _GLANCE_NAME.findall(text)
        unclear = _NEEDS_YAML.findall(text)
        documents = len(re.findall(r"^---", text, re.MULTILINE))
        if documents > 1 or len(unclear) != len(simple) or len(simple) > 1:
            return ""
        if simple:
            if not NAME.fullmatch(simple[0]) or not isinstance(resolve(simple[0]), str):
                return ""
            name = simple[0]
    return name or directory_name(project.directory)


def _name_from_documents(project: Project, options: LoadOptions) -> str:
    from orchestr8.stack.files import Files  # PyYAML: only when it is needed
    from orchestr8.stack.load import name_of

    problems = Problems()
    files = Files(problems, options.working_dir, options.stdin)
    documents = [document for path in project.files for document in files.read(path)]
    name = name_of(project, documents, problems)
    problems.raise_errors()
    return name


def _read_dotenv(directory: str, environment: Environment, problems: Problems, cwd: str) -> None:
    path = os.path.join(directory, ".env")
    if is_file(path):
        environment.read_files([path], problems, cwd)


def _split(text: str, separator: str) -> list[str]:
    return [part for part in text.split(separator) if part]


def parse_switch(text: str) -> bool | None:
    """A boolean variable such as COMPOSE_DISABLE_ENV_FILE; None when it is not one."""
    try:
        return parse_flag(text)
    except ValueError:
        return None


def absolute(path: str, base: str, home: str = "") -> str:
    """`path` on `base`, with `~` as `home`, tidied."""
    if home and (path == "~" or path.startswith("~/")):
        path = home + path[1:]
    return os.path.normpath(os.path.join(base, path))
