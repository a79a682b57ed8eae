"""compose's own cases, straight from their folder: the same files load, or fail, and with the same values.

Each case and each row of a table is a test of its own. A case that is to fail must do so for the reason that it says.
"""

# ruff: noqa: PT017  a row says itself whether it is to fail
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestr8.errors import InvalidInput, InvalidStack
from orchestr8.stack.dotenv import BadEnvFile, parse_dotenv
from orchestr8.stack.hosts import BadHost, parse_host
from orchestr8.stack.images import pinned
from orchestr8.stack.interpolate import BadTemplate, RequiredVariable, substitute
from orchestr8.stack.load import Loaded, LoadOptions, load
from orchestr8.stack.mounts import BadMount, parse_mount
from orchestr8.stack.nodes import Mapping as MappingNode
from orchestr8.stack.nodes import Node
from orchestr8.stack.order import dependencies_of, start_order, with_dependencies
from orchestr8.stack.parse import parse_documents
from orchestr8.stack.ports import BadPort, parse_port
from orchestr8.stack.problems import Problems
from orchestr8.stack.records import without_resets
from orchestr8.stack.rules import STACK
from orchestr8.stack.scalars import parse_bytes
from orchestr8.stack.source import instead_of
from orchestr8.stack.types import Reading, merge
from tests.stack.reference import (
    ABSENT,
    ROOT,
    SHARED,
    Case,
    alike,
    files_of,
    kind_of,
    options_of,
    parameters,
    rows,
    value_at,
)

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
        assert isinstance(root, MappingNode)
        shaped = root.items["services"]
        assert isinstance(shaped, MappingNode)
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

OTHERWISE = ("cli/env_precedence", "cli/name_", "cli/stdin", "loader/normalize/", "override/")  # each has a test below
LOADED = [each for each in parameters("") if not each.values[0]["id"].startswith(OTHERWISE)]


def loaded_of(case: Case, **changed: Any) -> Loaded:
    options = options_of(case)
    for name, value in changed.items():
        setattr(options, name, value)
    with instead_of(files_of(case)):
        return load(options)


def of_outcome(*outcomes: str) -> list[Any]:
    return [each for each in LOADED if each.values[0]["outcome"] in outcomes]


@pytest.mark.parametrize("case", of_outcome("error"))
def test_a_case_fails_with_the_kind_of_error_that_compose_has(case: Case) -> None:
    with pytest.raises(InvalidStack) as caught:
        loaded_of(case)
    errors = [each for each in caught.value.diagnostics if each.severity == "error"]
    for theirs in case["error_contains"]:
        code, ours = kind_of(theirs)
        assert {each.code for each in errors} == {code}
        assert ours in " ".join(each.message for each in errors)


@pytest.mark.parametrize("case", of_outcome("valid"))
def test_a_case_loads_with_the_values_that_compose_has(case: Case) -> None:
    loaded = loaded_of(case)
    whole = with_env_files(loaded.document, loaded_of(case, resolve_environment=False).document)
    directory = options_of(case).project_directory
    for operation, path, *expected in case.get("expect", ()):
        if operation == "text":
            SAID[case["id"]](case, loaded)
            continue
        document = loaded.document if expected == [0] else whole
        given = loaded.contents.get(path.removesuffix(".content")) if path.endswith(".content") else None
        found = value_at(document, path.removesuffix(" (no profile active)")) if given is None else given
        if keys := re.fullmatch(r"keys\((\w+)\)", path):
            found = sorted(document[keys[1]])
        assert HOLDS[operation](found, *expected, directory), f"{operation} {path} {expected}: {found!r}"
    told = [(each.code, each.message) for each in loaded.warnings]
    for theirs in case.get("warning_contains", ()):
        assert told == [kind_of(theirs)]


def with_env_files(document: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The document, as compose's structs are: services know their env files after these are read."""
    services = {
        name: {**service, "env_file": other["services"][name].get("env_file")}
        for name, service in document["services"].items()
    }
    return {**document, "services": services}


HOLDS: Mapping[str, Callable[..., bool]] = {
    "eq": alike,
    "ne": lambda found, expected, directory: not alike(found, expected, directory),
    "present": lambda found, _: found is not ABSENT,
    "absent": lambda found, _: found is ABSENT,
}


@pytest.mark.parametrize("case", of_outcome("valid or error"))
def test_a_case_ends(case: Case) -> None:
    with contextlib.suppress(InvalidStack):
        loaded_of(case)


# --------------------------------------------------------------------------------------- what a case says in a sentence


def the_chain_of_extensions_resolves(_: Case, loaded: Loaded) -> None:
    services = loaded.document["services"]
    assert {name: (each["image"], each["command"]) for name, each in services.items()} == {
        "foo": ("busybox", ["echo"]), "bar": ("alpine", ["echo"]), "wee": ("python", ["echo"]), "last": ("python", None),
    }  # fmt: skip


def a_network_has_no_name_before_it_is_normalised(case: Case, _: Loaded) -> None:
    assert "name" not in loaded_of(case, normalize=False).document["networks"]["network3"]


def the_bound_directory_of_a_volume_is_whole(case: Case, loaded: Loaded) -> None:
    device = loaded.document["volumes"]["data"]["driver_opts"]["device"]
    assert device == f"{options_of(case).project_directory}/data"


def a_profile_turns_its_services_on(case: Case, _: Loaded) -> None:
    foo = loaded_of(case, profiles=["debug"]).document["services"]["foo"]
    assert (foo["image"], foo["profiles"]) == ("alpine", ["debug", "dev"])


def the_policy_is_kept(_: Case, loaded: Loaded) -> None:
    """Nothing is pulled yet, so that the two days mean nothing; other words are refused."""
    assert loaded.document["services"]["test"]["pull_policy"] == "every_2d"


SAID: Mapping[str, Callable[[Case, Loaded], None]] = {
    "loader/extends/TestLoadExtendsListener": the_chain_of_extensions_resolves,
    "loader/loader/TestLoadNetworkWithName": a_network_has_no_name_before_it_is_normalised,
    "loader/loader/TestLoadWithBindMountVolume": the_bound_directory_of_a_volume_is_whole,
    "loader/tests/profiles/TestProfiles": a_profile_turns_its_services_on,
    "loader/tests/pull_policy/TestPullRefreshAfter": the_policy_is_kept,
}


@pytest.mark.parametrize("case", parameters("loader/extends/TestExtendsWithServiceRef/"))
def test_what_an_extended_service_refers_to_may_be_declared_beside_it(case: Case) -> None:
    assert case["note"] == "valid once a service `zot` (image zot) is added to the same file"
    name = str(ROOT / case["files"][0])
    text = Path(name).read_text().rstrip() + "\n  zot:\n    image: zot\n"
    with instead_of({name: text}):
        assert sorted(load(options_of(case)).document["services"]) == ["bar", "zot"]


# ---------------------------------------------------------------------------------- what is given on the command line


@pytest.mark.parametrize("case", parameters("cli/name_dotenv", "cli/name_from_dir", "cli/name_interpolated"))
def test_a_stack_has_the_name_that_compose_gives_it(case: Case) -> None:
    test_a_case_loads_with_the_values_that_compose_has(case)


@pytest.mark.parametrize("case", parameters("cli/name_from_flag"))
@pytest.mark.parametrize(
    "given",
    [
        {"project_name": "my_project"},
        {"project_name": "42my_project_num"},
        {"environ": {"COMPOSE_PROJECT_NAME": "42my_project_env"}},
    ],
)
def test_a_name_may_be_given(case: Case, given: dict[str, Any]) -> None:
    name = given.get("project_name") or given["environ"]["COMPOSE_PROJECT_NAME"]
    assert name in case["expect"][0][1]
    assert loaded_of(case, **given).document["name"] == name


@pytest.mark.parametrize("case", parameters("cli/name_invalid"))
@pytest.mark.parametrize("name", ["-my_project", "_my_project", "www.my.project", "MY_PROJECT"])
@pytest.mark.parametrize("variable", [False, True])
def test_a_name_that_is_none_is_refused(case: Case, name: str, variable: bool) -> None:
    assert name in case["note"]
    given = {"environ": {"COMPOSE_PROJECT_NAME": name}} if variable else {"project_name": name}
    with pytest.raises(InvalidInput) as caught:
        loaded_of(case, **given)
    assert_kind(caught.value, case)


@pytest.mark.parametrize("case", parameters("cli/name_root_dir"))
def test_the_root_directory_gives_no_name(case: Case) -> None:
    with pytest.raises(InvalidInput) as caught:
        loaded_of(case, project_directory="/")
    assert_kind(caught.value, case)


def assert_kind(error: InvalidInput, case: Case) -> None:
    code, ours = kind_of(*case["error_contains"])
    assert error.code == code
    assert ours in str(error)


@pytest.mark.parametrize("case", parameters("cli/env_precedence"))
@pytest.mark.parametrize("environ", [{}, {"FOO": "zot"}])
def test_a_variable_of_the_caller_stands_above_dotenv(case: Case, environ: dict[str, str], tmp_path: Path) -> None:
    assert ".env `FOO=foo / BAR=${FOO}`" in case["expect"][0][1]
    (tmp_path / ".env").write_text("FOO=foo\nBAR=${FOO}\n")
    (tmp_path / "compose.yaml").write_text("services: {web: {image: x, labels: {foo: $FOO, bar: $BAR}}}")
    found = load(LoadOptions(working_dir=str(tmp_path), environ=environ, project_name="p")).document
    value = environ.get("FOO", "foo")
    assert found["services"]["web"]["labels"] == {"foo": value, "bar": value}


@pytest.mark.parametrize("case", parameters("cli/stdin"))
def test_a_stack_may_come_from_standard_input(case: Case, tmp_path: Path) -> None:
    assert case["expect"] == [["text", "-f - reads the model from standard input"]]
    words = [sys.executable, "-m", "orchestr8", "-f", "-", "-p", "p", "config", "--images"]
    done = subprocess.run(
        words, input="services: {web: {image: 'rootfs:/'}}", cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "rootfs:/\n"


@pytest.mark.parametrize("case", parameters("override/"))
def test_files_merge_as_with_compose(case: Case) -> None:
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


@pytest.mark.parametrize("case", parameters("loader/normalize/"))
def test_a_stack_is_normalised_as_with_compose(case: Case) -> None:
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
