"""compose's own cases, straight from their folder: the same files load, or fail, and with the same values.

Each case and each row of a table is a test of its own. What is different stands in `DIFFERENT`, with the reason.
"""

# ruff: noqa: PT017  a case says itself whether it is to fail
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from orchestr8.errors import Orchestr8Error
from orchestr8.stack.dotenv import BadEnvFile, parse_dotenv
from orchestr8.stack.hosts import BadHost, parse_host
from orchestr8.stack.images import pinned
from orchestr8.stack.interpolate import BadTemplate, RequiredVariable, substitute
from orchestr8.stack.load import LoadOptions, load
from orchestr8.stack.mounts import BadMount, parse_mount
from orchestr8.stack.nodes import Mapping, Node
from orchestr8.stack.order import dependencies_of, start_order, with_dependencies
from orchestr8.stack.parse import parse_documents
from orchestr8.stack.ports import BadPort, parse_port
from orchestr8.stack.problems import Problems
from orchestr8.stack.rules import STACK
from orchestr8.stack.scalars import parse_bytes
from orchestr8.stack.shapes import without_resets
from orchestr8.stack.types import Reading, merge

SHARED = os.environ.get("ORCHESTR8_SHARED", "")
ROOT = Path(SHARED) / "reference" / "compose-go"


def cases() -> list[dict[str, Any]]:
    return json.loads((ROOT / "cases.json").read_text()) if SHARED else []


def rows(name: str) -> list[Any]:
    if not SHARED:
        return []
    data = json.loads((ROOT / "tables" / f"{name}.json").read_text())
    return [pytest.param({**data["about"], **row}, id=f"{number}") for number, row in enumerate(data["cases"])]


# ---------------------------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize("row", rows("interpolation"))
def test_interpolation(row: dict[str, Any]) -> None:
    unset: list[str] = []
    try:
        found = substitute(row["in"], row["env"].get, unset.append)
    except BadTemplate:
        assert row["error"] == "Invalid template"
    except RequiredVariable as error:
        assert row["error"] in str(error)
    else:
        assert found == row.get("out")
        assert len(unset) == row.get("warnings", len(unset))


@pytest.mark.parametrize("row", rows("dotenv"))
def test_env_files(row: dict[str, Any]) -> None:
    texts = row.get("files") or [row["in"] if "in" in row else (ROOT / row["file"]).read_text()]
    found: dict[str, str] = {}
    try:
        for text in texts:
            found.update(parse_dotenv(text, row.get("env", {}).get))
    except BadEnvFile as error:
        assert row["error"] == "(any)" or row["error"] in str(error)
    else:
        expected = row["out"]
        assert ({key: found.get(key) for key in expected} if "file" in row else found) == expected


@pytest.mark.parametrize("row", rows("bytes"))
def test_sizes(row: dict[str, Any]) -> None:
    try:
        assert parse_bytes(row["in"]) == row.get("out")
    except ValueError:
        assert "error" in row


@pytest.mark.parametrize("row", rows("ports_short"))
def test_short_ports(row: dict[str, Any]) -> None:
    try:
        assert parse_port(row["in"]) == row.get("out")
    except BadPort as error:
        assert row["error"].lower() in str(error).lower()


@pytest.mark.parametrize("row", rows("volume_short"))
def test_short_volumes(row: dict[str, Any]) -> None:
    try:
        assert parse_mount(row["in"]) == row.get("out")
    except BadMount as error:
        assert row["error"] in str(error)


@pytest.mark.parametrize("row", rows("images"))
def test_pinned_images(row: dict[str, Any]) -> None:
    given, expected = (row[key].replace("@D", f"@{row['digest']}") for key in ("in", "out"))
    assert pinned(given, row["digest"]) == expected


@pytest.mark.parametrize("row", rows("selection"))
def test_selection(row: dict[str, Any]) -> None:
    """`normalize` is off: with it, links are dependencies, too."""
    services = {name: {"image": "x", **service} for name, service in row["model"].items()}
    for service in services.values():  # the table has the model, where a condition is not asked for
        if isinstance(needs := service.get("depends_on"), dict):
            service["depends_on"] = {name: {"condition": "service_started", **need} for name, need in needs.items()}
    if "walk" in row:
        root = STACK.read(
            parse_documents(json.dumps({"services": services}), "f", Problems())[0], "", Reading(Problems())
        )
        assert isinstance(root, Mapping)
        shaped = root.items["services"]
        assert isinstance(shaped, Mapping)
        names = with_dependencies(row["walk"], shaped)
        assert start_order({name: dependencies_of(shaped.items[name]) for name in names}) == row["order"]
        return
    named = [*row.get("select", ()), *row.get("then_enable", ())]
    found = load(LoadOptions(
        files=["-"], environ={}, stdin=lambda: json.dumps({"services": services}), project_name="p", normalize=False,
        profiles=row["profiles"], services=named, narrow="select" in row,
        dependencies=not row.get("ignore_dependencies"), working_dir="/",
    )).document["services"]  # fmt: skip
    disabled = set(services) - set(found)
    assert sorted(disabled) == row.get("disabled", sorted(disabled))
    assert sorted(found) == row.get("active", sorted(found))
    assert len(disabled) == row.get("disabled_count", len(disabled))


@pytest.mark.parametrize("row", rows("extra_hosts"))
def test_extra_hosts(row: dict[str, Any]) -> None:
    try:
        pairs = [f"{name}:{each}" for name, addresses in map(parse_host, row["in"]) for each in addresses]
    except BadHost as error:
        assert row["error"] in str(error)
    else:
        assert sorted(pairs) == row["out"]


# ----------------------------------------------------------------------------------------------------------- cases

DIFFERENT = {
    "cli/env_precedence": "has no files: see test_environment",
    "cli/stdin": "has no files: see test_project",
    "cli/name_invalid": "the name is given on the command line: see test_project",
    "cli/name_root_dir": "likewise",
    "loader/include/TestLoadWithMultipleInclude": "includes files that the folder does not have",
    "loader/loader/TestLoadWithInclude/2": "likewise",
    "loader/loader/TestLoadWithMissingResources": "needs a loader of remote files that only its own test has",
    "loader/loader/TestLoadWithNestedResources": "likewise",
    "loader/loader/TestLoadWithRemoteResources": "likewise",
    "loader/loader/TestLoadBindMountSourceIsWindowsAbsolute/Z-drive_lowercase": "no Windows path is one here",
    "loader/loader/TestLoadBindMountSourceIsWindowsAbsolute/Z-drive_subdirectory": "likewise",
    "loader/loader/TestLoadBindMountSourceIsWindowsAbsolute/Z-drive_uppercase": "likewise",
}
HELPERS = re.compile(r"/(dir|sub|testdata/remote)/")


def is_loaded(case: dict[str, Any]) -> bool:
    return bool(case["files"]) and not case["id"].startswith(("override/", "loader/normalize/"))


def options_of(case: dict[str, Any]) -> LoadOptions:
    files = [name for name in case["files"] if name.endswith((".yaml", ".yml"))]
    folder = Path(files[0]).parent
    if folder.parts[0] == "inline" and Path(files[0]).stem == "compose":
        files = files[:1]  # the others of a directory are there to be included or extended
    directory = folder if "." not in folder.name else folder.parent
    if folder.parts[:2] == ("inline", "loader") and (len(folder.parts) <= 3 or folder.parts[2] == "tests"):
        directory = Path("loader")
    named = re.search(r"selection \[(\w+)\]", case.get("note", ""))
    unchecked = case.get("not_checked", ())
    environ = dict(case.get("env", {}))
    return LoadOptions(
        files=[str(ROOT / name) for name in files if Path(name).parent == folder],
        project_name="project" if "project name given" in case.get("note", "") else "",
        env_files=[str(ROOT / name) for name in case["files"] if name.endswith("/.env")],
        project_directory=str(ROOT / directory), services=[named[1]] if named else [], working_dir=str(ROOT),
        environ=environ, normalize="normalization" not in unchecked, consistency="consistency" not in unchecked,
        narrow=bool(named), all_resources="unused resources pruned" not in case.get("note", ""),
    )  # fmt: skip


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in cases() if is_loaded(case)])
def test_a_case_loads_or_fails_as_with_compose(case: dict[str, Any]) -> None:
    if case["id"] in DIFFERENT:
        pytest.skip(DIFFERENT[case["id"]])
    options = options_of(case)
    if case["outcome"] == "error":
        with pytest.raises(Orchestr8Error):
            load(options)
        return
    try:
        loaded = load(options)
    except Orchestr8Error:
        if case["outcome"] == "valid or error":
            return
        raise
    given = loaded.contents
    with_files = load(_without_environment(options)).document
    for operation, path, *expected in case.get("expect", ()):
        document = with_files if "env_file" in path and expected != [0] else loaded.document
        if path.endswith(".content") and path.removesuffix(".content") in given:
            assert given[path.removesuffix(".content")] == expected[0]
            continue
        check(operation, document, path, expected[0] if expected else None, options.project_directory)


def _without_environment(options: LoadOptions) -> LoadOptions:
    options.resolve_environment = False
    return options


ABSENT = object()


def check(operation: str, document: Any, path: str, expected: Any, directory: str) -> None:
    if operation == "text" or "(no profile active)" in path:
        return  # words for people
    if path.startswith("keys("):
        assert sorted(value_at(document, path[5:-1])) == expected
        return
    found = value_at(document, path)
    if operation == "eq":
        left, right = comparable(found, directory), comparable(expected, directory)
        assert left == right or covers(left, right, directory), f"{path}: {found!r} is not {expected!r}"
    elif operation == "ne":
        assert comparable(found, directory) != comparable(expected, directory)
    elif operation == "present":
        assert found is not ABSENT, path
    elif operation == "absent":
        assert found is ABSENT, path
    else:
        raise AssertionError(operation)


def value_at(document: Any, path: str) -> Any:
    parts = re.findall(r"[^.\[\]]+|\[\d+\]", path)
    for index, part in enumerate(parts):
        if document is ABSENT:
            return ABSENT if parts[-1] != "length" else 0
        if part == "length":
            return len(document)
        if part.startswith("["):
            document = document[int(part[1:-1])] if len(document) > int(part[1:-1]) else ABSENT
        elif isinstance(document, list):  # compose has a mapping, and prints a list
            pairs = dict(each.partition("=")[::2] for each in document)
            return pairs.get(".".join(parts[index:]), ABSENT)
        else:
            rest = ".".join(parts[index:])
            if rest in document:
                return document[rest]
            document = document.get(part, ABSENT)
    return document


ALWAYS = {"command", "entrypoint", "networks", "ipam", "resources", "placement", "exec", "name"}


def comparable(value: Any, directory: str) -> Any:
    """Without zeros, which say nothing; sizes and modes are text, as `config --format json` prints them."""
    if value is ABSENT or value is None or value is False or value in ("", 0, [], {}):
        return None
    if isinstance(value, dict):
        if set(value) == {"single"}:
            return comparable(value["single"], directory)
        if set(value) == {"id", "path"}:
            return value["id"] + (f"={value['path']}" if value["path"] else "")
        pairs = {key: comparable(item, directory) for key, item in value.items()}
        return {key: item for key, item in pairs.items() if item is not None or value[key] is None} or None
    if isinstance(value, list):
        return [comparable(item, directory) for item in value]
    if isinstance(value, str):
        value = value.replace("<workdir>", directory)
        if re.fullmatch(r"0o?[0-7]{3}", value):
            return f"0{int(value.replace('o', ''), 8):o}"
        if value.startswith("./"):
            return os.path.join(directory, value[2:])
        if re.fullmatch(r"(\d+m0s|\d+0s)", value):
            return seconds(value)
        if re.fullmatch(r"\d+[ms]", value):
            return seconds(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def seconds(text: str) -> str:
    return str(sum(int(number) * {"m": 60, "s": 1}[unit] for number, unit in re.findall(r"(\d+)([ms])", text))) + "s"


def covers(found: Any, expected: Any, directory: str) -> bool:
    """A document also has what stands in every one of its kind, `extra_hosts` as compose prints them, and whole paths."""
    if isinstance(found, list) and isinstance(expected, dict):
        return found == sorted(f"{key}={each}" for key, value in expected.items() for each in value)
    if isinstance(found, list) and isinstance(expected, list):
        return len(found) == len(expected) and all(
            covers(*pair, directory) for pair in zip(found, expected, strict=True)
        )
    if isinstance(found, dict) and isinstance(expected, dict):
        only_extensions = all(key.startswith("x-") for key in expected)
        if not only_extensions and not set(found) - ALWAYS <= set(expected):
            return False
        return all(
            key in ALWAYS or (key in found and covers(found[key], value, directory)) for key, value in expected.items()
        )
    return found == expected or (isinstance(expected, str) and found == os.path.join(directory, expected))


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case["id"]) for case in cases() if case["id"].startswith("override/")]
)
def test_files_merge_as_with_compose(case: dict[str, Any]) -> None:
    run = Reading(Problems())
    shaped: list[Node] = []
    for name in case["files"]:
        (document,) = parse_documents((ROOT / name).read_text(), name, run.problems)
        found = STACK.read(document, "", run)
        assert found
        shaped.append(found)
    *given, expected = shaped
    merged = given[0]
    for over in given[1:]:
        merged = merge(STACK, merged, over)
    assert without_resets(merged).plain() == expected.plain()
    assert {each.code for each in run.problems.errors} <= {"O8-101"}  # one names a key that no schema knows


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case["id"]) for case in cases() if case["id"].startswith("loader/normalize/")]
)
def test_a_stack_is_normalised_as_with_compose(case: dict[str, Any]) -> None:
    """The name of these is one that compose itself refuses; it is only there to make the others."""
    given, expected = (
        load(LoadOptions(
            files=[str(ROOT / name)], project_name="myproject", environ=case.get("env", {}), consistency=False,
            working_dir=str(ROOT), all_resources=True, normalize=number == 0,
        )).document
        for number, name in enumerate(case["files"])
    )  # fmt: skip
    for network in expected["networks"].values():
        network["name"] = network["name"].replace("myProject", "myproject")
    assert given == expected


@pytest.mark.parametrize(
    "name", sorted(path.name for path in (ROOT / ".." / "awesome-compose").glob("*")) if SHARED else []
)
def test_real_applications_load(name: str) -> None:
    """With a warning only where one is deserved: what the engine does not do, or what is not on this machine."""
    (path, *_) = [*(ROOT / ".." / "awesome-compose" / name).glob("*compose*.y*ml"), None]
    if path is None:
        pytest.skip("it has no stack file of its own")
    loaded = load(LoadOptions(files=[str(path)], environ={"HOME": "/home/ana"}))
    assert {each.code for each in loaded.warnings} <= {"O8-109", "O8-110", "O8-111", "O8-302", "O8-402"}
