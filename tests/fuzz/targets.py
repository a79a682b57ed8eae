"""What must hold for any bytes: each target takes some, and raises for a defect. Expected errors are ours, with a place."""

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from orchestr8.errors import Diagnostic, InvalidInput, InvalidStack, NotFound, Orchestr8Error
from orchestr8.stack.check import examine, mend
from orchestr8.stack.dotenv import BadEnvFile, parse_dotenv, parse_raw
from orchestr8.stack.dump import to_json, to_yaml
from orchestr8.stack.hosts import BadHost, parse_host
from orchestr8.stack.images import pinned
from orchestr8.stack.interpolate import BadTemplate, RequiredVariable, substitute
from orchestr8.stack.lines import split_lines
from orchestr8.stack.load import Loaded, LoadOptions, load
from orchestr8.stack.mounts import BadMount, parse_mount
from orchestr8.stack.parse import parse_documents
from orchestr8.stack.ports import BadPort, parse_port
from orchestr8.stack.problems import Problems
from orchestr8.stack.project import find_project
from orchestr8.stack.render import render
from orchestr8.stack.scalars import (
    format_duration,
    parse_bytes,
    parse_duration_ns,
    parse_flag,
    parse_mode,
    resolve,
    split_command,
    to_text,
)
from orchestr8.stack.source import instead_of

FOLDER: Final = "/nowhere"  # holds the files of a stack, in memory
FILE_MARK: Final = "\n#file "  # `#file NAME` on a line begins another file; the first one is stack.yml
ENVIRON: Final = {"A": "a", "EMPTY": "", "PORT": "80", "HOME": "/root"}
_LONG: Final = 500_000
Target = Callable[[bytes], None]


def parse(data: bytes) -> None:
    """YAML: refused at a place that is in the text, or documents of plain values."""
    text = _text(data)
    problems = Problems()
    problems.sources["f.yml"] = text
    documents = parse_documents(text, "f.yml", problems)
    _are_placed(problems.errors, problems.sources)
    for document in documents:
        json.dumps(document.plain())


def interpolate(data: bytes) -> None:
    with suppress(BadTemplate, RequiredVariable):
        substitute(_text(data), ENVIRON.get, lambda _name: None)


def dotenv(data: bytes) -> None:
    text = _text(data)
    for read in (parse_dotenv, parse_raw):
        with suppress(BadEnvFile):
            found = read(text, ENVIRON.get)
            assert all(isinstance(each, str) for pair in found.items() for each in pair)


def scalars(data: bytes) -> None:
    """Each text in each of its meanings; what is read and written again means the same."""
    text = _text(data)
    value = resolve(text)
    assert resolve(to_text(value)) == value or value != value or not isinstance(value, (bool, int))
    for read in (parse_bytes, parse_flag, parse_mode, split_command):
        with suppress(ValueError):
            read(text)
    for short in (parse_port, parse_mount, parse_host):
        with suppress(BadPort, BadMount, BadHost):
            json.dumps(short(text))
    pinned(text, "sha256:" + "0" * 64)
    with suppress(ValueError):
        duration = parse_duration_ns(text)
        assert parse_duration_ns(format_duration(duration)) == duration


def stack(data: bytes) -> None:
    """Several files: loaded or told. What is loaded can be printed, and what is printed is loaded as the same."""
    options, files = _stack_of(data)
    loaded = _load(options, files)
    if loaded is None:
        return
    with instead_of(files):  # commands that need no more than the name look for it in their own way
        assert find_project(options).name == loaded.document["name"]
    document = json.loads(to_json(loaded.document, escape=False))
    if not options.interpolate or not options.normalize or not options.consistency:
        return
    services = document.get("services", {})
    if any(name not in services for each in services.values() for name in each.get("depends_on", {})):
        return  # optional, and off: as with compose it stands there, and is nothing to load again
    for printed in (to_yaml(loaded.document), to_json(loaded.document)):
        again = _load(LoadOptions(
            files=["-"], environ={}, stdin=lambda text=printed: text, project_directory=FOLDER, all_resources=True,
            profiles=["*"],
        ), {})  # fmt: skip
        if again is None and len(printed) > _LONG:  # aliases written out may be more values than a file may have
            continue
        assert again is not None, f"what was printed is refused:\n{printed}"
        found = json.loads(to_json(again.document, escape=False))
        assert found == document, f"{found}\nis not\n{document}"


def mending(data: bytes) -> None:
    """`check --fix`: a file that is right stays so, one that can be read stays so, and when it is done nothing is left to mend."""
    _, files = _stack_of(data)
    options = LoadOptions(
        files=list(files)[:1], environ=ENVIRON, project_directory=FOLDER, working_dir=FOLDER, project_name="p"
    )
    changeable = {path.removeprefix(f"{FOLDER}/"): path for path in files}
    with instead_of(files), suppress(InvalidInput, NotFound):
        before = examine(options)
        done = mend(options, changeable)
        assert before.failed or not done.report.failed
        unreadable = [any(each.code == "O8-102" for each in report.diagnostics) for report in (before, done.report)]
        assert unreadable[0] or not unreadable[1]
        with instead_of({**files, **done.texts}):
            assert mend(options, changeable).texts == {}


TARGETS: Final[dict[str, Target]] = {
    each.__name__: each for each in (parse, interpolate, dotenv, scalars, stack, mending)
}


def _load(options: LoadOptions, files: dict[str, str]) -> Loaded | None:
    """None when it is told why not."""
    with instead_of(files):
        try:
            loaded = load(options)
        except InvalidStack as failure:
            _are_placed(failure.diagnostics, failure.sources)
            return None
        except Orchestr8Error as error:
            assert not error.code.startswith("O8-9"), error  # noqa: PT017  a code of ours for a defect of ours
            return None
    render(loaded.warnings, loaded.sources)
    return loaded


def _are_placed(diagnostics: Iterable[Diagnostic], sources: Any) -> None:
    """Each stands at a line and column that is there, and can be drawn."""
    diagnostics = list(diagnostics)
    render(diagnostics, sources)
    for each in diagnostics:
        assert not each.code.startswith("O8-9"), each
        for span in each.spans:
            assert span.file in sources, f"{each}: {span} is in no file that was read"
            lines = split_lines(sources[span.file])
            assert 1 <= span.line <= len(lines), f"{each}: {span}"
            assert 1 <= span.column <= len(lines[span.line - 1]) + 1, f"{each}: {span}"
            assert span.column < span.end_column <= len(lines[span.line - 1]) + 2, (
                f"{each}: {span} to {span.end_column}"
            )


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _stack_of(data: bytes) -> tuple[LoadOptions, dict[str, str]]:
    """The first byte says how it is loaded; the rest are the files."""
    how, text = (data[0] if data else 0), _text(data[1:])
    first, *others = text.split(FILE_MARK)
    files = {f"{FOLDER}/stack.yml": first}
    for each in others[:8]:
        name, _, content = each.partition("\n")
        name = "".join(letter for letter in name.strip()[:40] if letter.isalnum() or letter in "._-")
        if name:
            files.setdefault(f"{FOLDER}/{name}", content)
    stacks = [name for name in files if name.endswith((".yml", ".yaml")) and "inc" not in name]
    options = LoadOptions(
        files=stacks[:3], environ=ENVIRON, project_directory=FOLDER, working_dir=FOLDER, project_name="p" if how & 1 else "",
        interpolate=not how & 2, consistency=not how & 4, normalize=not how & 8, all_resources=bool(how & 16),
        profiles=["*"] if how & 32 else [],
    )  # fmt: skip
    return options, files
