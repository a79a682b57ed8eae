"""compose's own cases, as its folder has them: where they stand, how each is to be loaded, and when two values are alike.

Some cases need files that only compose's own tests have, or a loader of remote files. What such files say, and where
`remote:` leads, stands here; the cases themselves are read straight from the folder.
"""

import json
import os
import re
from pathlib import Path
from typing import Any, Final

import pytest

from orchestr8.stack.load import LoadOptions

SHARED: Final = os.environ.get("ORCHESTR8_SHARED", "")
ROOT: Final = Path(SHARED) / "reference" / "compose-go"
LOADER: Final = ROOT / "loader"
Case = dict[str, Any]


def cases() -> list[Case]:
    """All of them; none where the folder is not at hand."""
    return json.loads((ROOT / "cases.json").read_text()) if SHARED else []


def parameters(*prefixes: str) -> list[Any]:
    """The cases that begin with one of these, each a test of its own."""
    found = [case for case in cases() if case["id"].startswith(prefixes)]
    return [pytest.param(case, id=case["id"], marks=_marks(case)) for case in found]


def _marks(case: Case) -> list[pytest.MarkDecorator]:
    return [pytest.mark.timeout(5)] if "must end within 5 s" in case.get("note", "") else []


def rows(name: str) -> list[Any]:
    """The rows of a table, each a test of its own."""
    if not SHARED:
        return []
    data = json.loads((ROOT / "tables" / f"{name}.json").read_text())
    return [pytest.param({**data["about"], **row}, id=f"{number}") for number, row in enumerate(data["cases"])]


# ------------------------------------------------------------------------------------------------- how a case is loaded

# Those of a directory `inline/loader/<group>` that are a single file belong to `loader/`; a tree has its own.
_MODEL: Final = re.compile(r"inline/loader/(?:.*/)?[^/]+\.compose\.ya?ml")


def options_of(case: Case) -> LoadOptions:
    """What the case says of how it is loaded: its files, its directory, its variables, its selection."""
    files = [name for name in case["files"] if name.endswith((".yaml", ".yml"))]
    folder = Path(files[0]).parent
    is_tree = Path(files[0]).stem == "compose"
    if folder.parts[0] == "inline" and is_tree:
        files = files[:1]  # the others of a tree are there to be included or extended
    directory = LOADER if _MODEL.fullmatch(files[0]) else ROOT / folder
    note, unchecked = case.get("note", ""), case.get("not_checked", ())
    named = re.search(r"selection \[(\w+)\]", note)
    return LoadOptions(
        files=[str(ROOT / name) for name in files if Path(name).parent == folder],
        project_name="project" if "project name given" in note else "",
        env_files=[str(ROOT / name) for name in case["files"] if name.endswith("/.env")],
        project_directory=str(directory), services=[named[1]] if named else [], working_dir=str(ROOT),
        environ=dict(case.get("env", {})), normalize="normalization" not in unchecked,
        consistency="consistency" not in unchecked, narrow=bool(named),
        all_resources="unused resources pruned" not in note,
    )  # fmt: skip


def files_of(case: Case) -> dict[str, str]:
    """Files that the folder lacks, by their paths, and those in which `remote:` leads to what stands for it."""
    lacking = {str(LOADER / name): text for name, text in _LACKING.items() if not (LOADER / name).exists()}
    if "remote:X" not in case.get("note", ""):
        return lacking
    remote = [*(LOADER / "testdata" / "remote").rglob("*.yaml"), *(ROOT / name for name in case["files"])]
    place = LOADER / "testdata" / "remote"
    return {str(path): path.read_text().replace("remote:", f"{place}/") for path in remote}


_LACKING: Final = {
    "testdata/subdir/compose-test-extends-imported.yaml": """\
services:
  imported:
    image: nginx
    container_name: ${SOURCE}
""",
    "testdata/subdir/extra.env": "SOURCE=extra\n",
}


# -------------------------------------------------------------------------------------------------- the kinds of errors

# A part of compose's message (an error's, or a warning's), the code that ours has, and a part of our message, with what was caught in theirs.
KINDS: Final = (
    (r"invalid project name", "O8-108", "invalid project name"),
    (r"project name must not be empty", "O8-108", "project name must not be empty"),
    (r"tab character that violates indentation", "O8-102", "a tab is used for indentation"),
    (r"top-level object must be a mapping", "O8-102", "is a mapping of keys"),
    (r"cycle detected: node at path", "O8-102", "stands inside of what it names"),
    (r"non-string key in \S+: (\S+)", "O8-104", "a key must be text; `{}`"),
    (r"^(\S+) must be a (?:mapping|string)", "O8-104", "`{}` must be a"),
    (r"^(\S+) additional properties '(\S+)' not allowed", "O8-101", "unknown key `{1}` in `{0}`"),
    (r"^(\S+) missing property '(\S+)'", "O8-105", "`{0}` has no `{1}`"),
    (r"^missing property '(\S+)'", "O8-105", "has no `{}`"),
    (r"^extends\.(\w+)\.(\w+) is required", "O8-105", "`services.{0}.extends` has no `{1}`"),
    (r'for type "bind": field Source must not be empty', "O8-105", "a bind mount needs a `source`"),
    (r"target is required for non-rebuild actions", "O8-105", "has no `target`"),
    (r"one of file\|environment\|content must be set", "O8-105", "has no source of its content"),
    (r"^(\S+): external.name is deprecated", "O8-109", "`{}.external.name` is deprecated"),
    (r"include cycle detected", "O8-106", "include cycle detected"),
    (r"\(file not found\)", "O8-107", "stack file not found"),
    (r"dependency cycle detected: (.+)", "O8-201", "dependency cycle: {}"),
    (r'depends on undefined service(?: "(\w+)")?', "O8-203", "no service is called `{}"),
    (r"refers to undefined volume (\w+)", "O8-203", "no volume is called `{}`"),
    (r'^(\S+): conflicting parameters "external" and "(\w+)"', "O8-204", "`{0}` is external, so `{1}`"),
    (r"^(\S+): name and external.name conflict", "O8-204", "`{}`: `name` and `external.name` conflict"),
    (r"file\|environment\|content attributes are mutually exclusive", "O8-204", "exclude each other"),
    (r"mutually exclusive `(\w+)` and `(\w+)`", "O8-204", "{0} and {1} exclude each other"),
    (r"target (\S+) already mounted as (\S+)", "O8-204", "target {0} already mounted as {1}"),
    (r'service "(\w+)" has neither an image nor a build', "O8-205", "`services.{}` has neither an image nor a build"),
    (r"^(\S+?):? must be greater than or equal to (\d+)", "O8-305", "`{0}`: must be greater than or equal to {1}"),
    (r'invalid value "(\w+)", the only value allowed is', "O8-305", "found the text `{}`"),
    (r"invalid ip address: (\S+)", "O8-305", "invalid ip address: {}"),
)  # fmt: skip
_NUMBER: Final = re.compile(r"\.(\d+)(?=[. ]|$)")  # theirs is `volumes.0`, ours `volumes[0]`


def kind_of(theirs: str) -> tuple[str, str]:
    """Our code for compose's message, and what ours says. Raises LookupError for a kind that nobody has looked at."""
    for pattern, code, ours in KINDS:
        if found := re.search(pattern, theirs):
            caught = [_NUMBER.sub(r"[\1]", group or "") for group in found.groups()]
            return code, ours.format(*caught)
    raise LookupError(theirs)


# --------------------------------------------------------------------------------------------------- when two are alike

ABSENT: Final = object()
_DEFAULTS: Final = {
    "command",
    "entrypoint",
    "networks",
    "ipam",
    "resources",
    "placement",
    "exec",
    "name",
}  # of a document
_WRITTEN_OUT: Final = {"bind": {"create_host_path": True}}  # what the format says of a bind that says nothing
_UNITS: Final = {"h": 3600, "m": 60, "s": 1}


def value_at(document: Any, path: str) -> Any:
    """What stands at `a.b[0].c`; the last key may have dots, or be `length`. ABSENT where there is nothing."""
    parts = re.findall(r"[^.\[\]]+|\[\d+\]", path)
    for index, part in enumerate(parts):
        rest = ".".join(parts[index:])
        if document is ABSENT:
            return ABSENT if parts[-1] != "length" else 0
        if part == "length":
            return len(document)
        if part.startswith("["):
            document = document[int(part[1:-1])] if len(document) > int(part[1:-1]) else ABSENT
        elif isinstance(document, list):  # compose has a mapping there, and prints a list
            return dict(each.partition("=")[::2] for each in document).get(rest, ABSENT)
        elif rest in document:
            return document[rest]
        else:
            document = document.get(part, ABSENT)
    return document


def alike(found: Any, expected: Any, directory: str) -> bool:
    """The same, where the expectation is compose's own struct and what is found its document.

    A struct cannot tell zero from nothing; a document has sizes and modes as text, `extra_hosts` and `ssh` as lists,
    paths that are whole, and what stands in every one of its kind.
    """
    if _is_nothing(found) or _is_nothing(expected):
        return _is_nothing(found) and _is_nothing(expected)
    if isinstance(expected, dict) and set(expected) == {"single"}:
        return alike(found, expected["single"], directory)
    if isinstance(expected, dict) and set(expected) == {"id", "path"}:
        return bool(found == expected["id"] + (f"={expected['path']}" if expected["path"] else ""))
    if isinstance(expected, dict) and isinstance(found, list):
        return found == sorted(f"{key}={each}" for key, value in expected.items() for each in value)
    if isinstance(expected, dict) and isinstance(found, dict):
        if all(key.startswith("x-") for key in expected):
            return all(found.get(key) == value for key, value in expected.items())
        expected = {key: value for key, value in expected.items() if key != "name" or key in found}  # its own key
        more = {key: found[key] for key in found.keys() - expected.keys() if not _is_nothing(found[key])}
        return all(key in _DEFAULTS or _WRITTEN_OUT.get(key) == value for key, value in more.items()) and all(
            alike(found.get(key, ABSENT), value, directory) for key, value in expected.items()
        )
    if isinstance(expected, list) and isinstance(found, list):
        return len(found) == len(expected) and all(
            alike(*pair, directory) for pair in zip(found, expected, strict=True)
        )
    if isinstance(expected, list | dict) or isinstance(found, list | dict):
        return False
    spellings = {_spelling(expected, directory), os.path.normpath(os.path.join(directory, str(expected)))}
    return _spelling(found, directory) in spellings


def _is_nothing(value: Any) -> bool:
    return value is ABSENT or value is None or value is False or value in ("", 0, [], {})


def _spelling(value: Any, directory: str) -> str:
    text = str(value).replace("<workdir>", directory)
    if re.fullmatch(r"0o?[0-7]{3}", text):
        return f"0{int(text.replace('o', ''), 8):o}"
    if re.fullmatch(r"(?:\d+[hms])+", text):
        seconds = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([hms])", text))
        return f"{seconds}s"
    return text
