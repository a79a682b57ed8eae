"""What `docker compose config` answers to the reference files, and how the same question is put to us.

A question is a command line over files of the reference folder. `python -m scripts.oracle` puts each to the peer and
writes the answers to oracle.json beside this file; `test_oracle.py` compares ours with them. Paths are relative to the
reference folder in both, so that neither depends on where that lies.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.stack.reference import ROOT, SHARED, cases, files_of, options_of
from tests.stack.scalar_questions import stacks

REFERENCE: Final = Path(SHARED) / "reference"
ANSWERS: Final = Path(__file__).with_name("oracle.json")
CORPUS: Final = "<corpus>"  # stands for the reference folder in an answer
WHERE: Final = {"HOME": "/root", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}  # the environment of every question
Answer = dict[str, Any]  # {"document": …} or {"error": the peer's last line}


@dataclass(frozen=True, slots=True)
class Question:
    """`id` names it in the answers; `arguments` are those of the peer's and ours alike, paths relative to the folder."""

    id: str
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    stdin: str = ""


def questions() -> list[Question]:
    """What is read from standard input; every case whose files the folder has; then every file by itself, but as a case."""
    asked: dict[tuple[Any, ...], Question] = {}
    for each in (*_of_cases(), *_of_files()):
        asked.setdefault((each.arguments, each.environment), each)
    typed = ("--project-directory", "/", "-f", "-", "-p", "project", "config")
    return [*(Question(name, typed, stdin=text) for name, text in stacks()), *asked.values()]


def _of_cases() -> Iterator[Question]:
    for case in cases():
        if files_of(case).keys() & {str(ROOT / name) for name in case["files"]} or "remote:X" in case.get("note", ""):
            continue  # the peer would need what only stands in reference.py
        files = [name for name in case["files"] if not name.endswith(".expected.yaml")]
        if not any(name.endswith((".yaml", ".yml")) for name in files):
            continue  # its stack comes from elsewhere
        options = options_of({**case, "files": files})
        flags = [part for name in options.files for part in ("-f", _relative(name))]
        flags += ["--project-directory", _relative(options.project_directory)]
        flags += [part for name in options.env_files for part in ("--env-file", _relative(name))]
        skipped = [flag for flag, does in (("--no-normalize", options.normalize),
                                           ("--no-consistency", options.consistency)) if not does]  # fmt: skip
        variables = tuple(sorted((name, str(value)) for name, value in case.get("env", {}).items()))
        yield Question(
            f"case {case['id']}", (*flags, "-p", "project", "config", *skipped, *options.services), variables
        )


def _of_files() -> Iterator[Question]:
    for path in sorted(REFERENCE.rglob("*.y*ml")) if SHARED else ():
        name = _relative(str(path))
        yield Question(f"file {name}", ("-f", name, "-p", "project", "config"))


def _relative(path: str) -> str:
    return os.path.relpath(path, REFERENCE)


def answered() -> dict[str, Answer]:
    """The peer's answers by the questions' ids."""
    found: dict[str, Answer] = json.loads(ANSWERS.read_text())
    return found


def without_place(document: Any, folder: str) -> Any:
    """The document with CORPUS for the folder's path, in keys and values."""
    return json.loads(json.dumps(document).replace(folder, CORPUS))


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """Where two documents differ: `path: ours, theirs`, one each."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            yield from differences(ours.get(key, _NONE), theirs.get(key, _NONE), f"{path}.{key}" if path else str(key))
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(*pair, f"{path}[{number}]")
    elif ours != theirs or type(ours) is not type(theirs):
        yield f"{path}: {_shown(ours)}, theirs {_shown(theirs)}"


_NONE: Final = object()


def _shown(value: Any) -> str:
    return "nothing" if value is _NONE else json.dumps(value, ensure_ascii=False)
