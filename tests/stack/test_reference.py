"""compose's own cases: the same files must load, or fail, with the same values; what we do not support yet must say so."""

# ruff: noqa: PT017  a case says itself whether it is to fail
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestr8.errors import Diagnostic, InvalidStack
from orchestr8.stack.dotenv import BadEnvFile, parse_dotenv
from orchestr8.stack.interpolate import BadTemplate, RequiredVariable, substitute
from orchestr8.stack.load import LoadOptions, load
from orchestr8.stack.mounts import BadMount, parse_mount
from orchestr8.stack.nodes import Node
from orchestr8.stack.parse import parse_documents
from orchestr8.stack.ports import BadPort, parse_port
from orchestr8.stack.problems import Problems
from orchestr8.stack.rules import STACK
from orchestr8.stack.scalars import parse_bytes
from orchestr8.stack.shapes import NOW, without_resets
from orchestr8.stack.types import Reading, merge


@pytest.fixture
def table(reference: Path) -> Callable[[str], tuple[dict[str, Any], list[dict[str, Any]]]]:
    def read(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        data = json.loads((reference / "compose-go" / "tables" / f"{name}.json").read_text())
        return data["about"], data["cases"]

    return read


def test_interpolation_gives_what_composes_gives(table) -> None:
    about, cases = table("interpolation")
    for case in cases:
        unset: list[str] = []
        env = case.get("env", about["env"])
        try:
            found = substitute(case["in"], env.get, unset.append)
        except BadTemplate:
            assert case["error"] == "Invalid template", case
        except RequiredVariable as error:
            assert case["error"] in str(error)
        else:
            assert found == case.get("out"), case
            assert len(unset) == case.get("warnings", len(unset)), case


def test_env_files_give_what_composes_give(table, reference: Path) -> None:
    for case in table("dotenv")[1]:
        env = case.get("env", {})
        texts = case.get("files") or [
            case["in"] if "in" in case else (reference / "compose-go" / case["file"]).read_text()
        ]
        found: dict[str, str] = {}
        try:
            for text in texts:
                found.update(parse_dotenv(text, env.get))
        except BadEnvFile as error:
            assert case["error"] == "(any)" or case["error"] in str(error), case
        else:
            expected = case["out"]
            assert ({key: found.get(key) for key in expected} if "file" in case else found) == expected, case


def test_sizes_are_composes(table) -> None:
    for case in table("bytes")[1]:
        try:
            assert parse_bytes(case["in"]) == case.get("out"), case
        except ValueError:
            assert "error" in case, case


def test_short_ports_are_composes(table) -> None:
    for case in table("ports_short")[1]:
        try:
            assert parse_port(case["in"]) == case.get("out"), case
        except BadPort as error:
            assert case["error"].lower() in str(error).lower(), case


def test_short_volumes_are_composes(table) -> None:
    for case in table("volume_short")[1]:
        try:
            assert parse_mount(case["in"]) == case.get("out"), case
        except BadMount as error:
            assert case["error"] in str(error), case


def load_files(root: Path, case: dict[str, Any]) -> tuple[dict[str, Any] | None, list[Diagnostic]]:
    files = [name for name in case["files"] if name.endswith((".yaml", ".yml"))]
    folder = Path(files[0]).parent
    directory = root / ("loader" if folder.parts[:2] == ("inline", "loader") and len(folder.parts) <= 3 else folder)
    named = re.search(r"selection \[(\w+)\]", case.get("note", ""))
    options = LoadOptions(
        files=[str(root / name) for name in files if Path(name).parent == folder], environ=case.get("env", {}),
        project_directory=str(directory), services=[named[1]] if named else [], working_dir=str(root),
    )  # fmt: skip
    try:
        return load(options).document, []
    except InvalidStack as failure:
        return None, [each for each in failure.diagnostics if each.severity == "error"]


NOT_OURS = {
    "cli/name_invalid": "the name is given on the command line: see test_project",
    "cli/name_root_dir": "likewise",
    "TestServiceDeviceRequest": "reservations have no effect yet, so they are not looked into",
    "watch_sync_without_target": "develop has no effect yet, so it is not looked into",
    "IsWindowsAbsolute": "there is no Windows container here",
    "loader/normalize/": "a project name that compose itself refuses",
    "TestParseYAMLFilesMergeOverride": "needs extends",
    "TestOverrideMiddle": "needs extends",
}
CONSISTENCY = ("O8-105", "O8-203", "O8-205")


def test_every_case_loads_or_fails_as_with_compose(reference: Path) -> None:
    """A valid file may be refused for what is not supported, and for what its case says was not checked."""
    root = reference / "compose-go"
    wrong: list[str] = []
    counts = {"loaded": 0, "unsupported": 0, "refused": 0}
    for case in json.loads((root / "cases.json").read_text()):
        name = case["id"]
        if name.startswith("override/") or not case["files"] or any(part in name for part in NOT_OURS):
            continue
        document, errors = load_files(root, case)
        if case["outcome"] == "error":
            counts["refused"] += 1
            if document is not None:
                wrong.append(f"{name} should be refused: {case['error_contains']}")
            continue
        skipped = CONSISTENCY if "consistency" in case.get("not_checked", ()) else ()
        counts["loaded" if document is not None else "unsupported"] += 1
        wrong += [f"{name}: {each!r}" for each in errors if each.code not in ("O8-110", *skipped)]
    assert wrong == []
    assert counts["loaded"] >= 80
    assert counts["refused"] >= 30


def value_at(document: Any, path: str) -> Any:
    for part in re.findall(r"[^.\[\]]+|\[\d+\]", path):
        if part == "length":
            document = len(document)
        else:
            document = document[int(part[1:-1])] if part.startswith("[") else document[part]
    return document


DIFFERENT = {
    "env_file": "is read into environment and gone",
    "reservations": "is kept as written",
    "restart_policy": "is kept as written",
    "networks.net1": "is not used, so it is left out",
    "attach": "is only there when set",
    "init": "is only there when set",
    "ports.length": "is only there when not empty",
    "services.foo": "has what every service has",
}  # fmt: skip


def test_values_are_those_of_compose(reference: Path) -> None:
    root = reference / "compose-go"
    wrong: list[str] = []
    compared = 0
    for case in json.loads((root / "cases.json").read_text()):
        if case["outcome"] == "error" or not case["files"] or case["id"].startswith("override/"):
            continue
        if any(part in case["id"] for part in NOT_OURS):
            continue
        document, _ = load_files(root, case)
        for operation, path, *expected in case.get("expect", ()) if document is not None else ():
            if operation != "eq" or any(
                path.endswith(part) or f"{part}." in path for part in DIFFERENT if part != "services.foo"
            ):
                continue
            if path == "services.foo":
                continue
            compared += 1
            found = value_at(document, path)
            if _comparable(found) != _comparable(expected[0]):
                wrong.append(f"{case['id']} {path}: {found!r} is not {expected[0]!r}")
    assert wrong == []
    assert compared >= 80


def _comparable(value: Any) -> Any:
    """Sizes are text here, as `config --format json` prints them; a size of 0 says nothing."""
    if isinstance(value, dict):
        return {
            key: _comparable(item) for key, item in value.items() if (key, item) not in (("size", "0"), ("size", 0))
        }
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def test_merged_files_are_those_of_compose(reference: Path) -> None:
    """For the keys that are in effect; the others are refused after merging, or have no effect."""
    root = reference / "compose-go"
    service = STACK.keys["services"].kind.kind
    others = {key for key, rule in service.keys.items() if rule.status != NOW} - {"logging"}
    compared = 0
    for case in json.loads((root / "cases.json").read_text()):
        if not case["id"].startswith("override/"):
            continue
        run = Reading(Problems())
        shaped: list[Node] = []
        for name in case["files"]:
            (document,) = parse_documents((root / name).read_text(), name, run.problems)
            found = STACK.read(document, "", run)
            assert found
            shaped.append(found)
        *given, expected = shaped
        merged = given[0]
        for over in given[1:]:
            merged = merge(STACK, merged, over)
        left, right = (_without(each.plain(), others) for each in (without_resets(merged), expected))
        assert left == right, case["id"]
        assert run.problems.errors == [], case["id"]
        compared += 1
    assert compared >= 35


def _without(document: dict[str, Any], keys: set[str]) -> dict[str, Any]:
    for service in document.get("services", {}).values():
        for key in keys & set(service):
            del service[key]
    return document


@pytest.mark.parametrize(
    "name", ["angular", "apache-php", "aspnet-mssql", "django", "elasticsearch-logstash-kibana", "fastapi", "flask",
             "flask-redis", "gitea-postgres", "minecraft"],
)  # fmt: skip
def test_real_applications_load_but_for_what_is_not_supported(reference: Path, name: str) -> None:
    path = reference / "awesome-compose" / name / "compose.yaml"
    try:
        loaded = load(LoadOptions(files=[str(path)], environ={"HOME": "/home/ana"}))
    except InvalidStack as failure:
        assert {each.code for each in failure.diagnostics if each.severity == "error"} == {"O8-110"}
    else:
        assert {each.code for each in loaded.warnings} <= {"O8-111", "O8-402"}
        assert name in ("gitea-postgres", "minecraft")
