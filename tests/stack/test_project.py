import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestr8.errors import InvalidInput, NotFound
from orchestr8.stack.load import load
from orchestr8.stack.project import LoadOptions, derived_name, find_project

EMPTY = "services: {}\n"


def find(directory: Path, environ: dict[str, str] | None = None, **options):
    return find_project(LoadOptions(working_dir=str(directory), environ=environ or {}, **options))


def names(directory: Path, **options) -> list[str]:
    return [Path(each).name for each in find(directory, **options).files]


@pytest.mark.parametrize(
    ("present", "chosen"),
    [
        (["compose.yml", "compose.yaml"], ["compose.yaml"]),
        (["docker-compose.yaml", "docker-compose.yml", "compose.yml"], ["compose.yml"]),
        (["docker-compose.yaml", "docker-compose.yml"], ["docker-compose.yml"]),
        (["docker-compose.yaml"], ["docker-compose.yaml"]),
        (["stack.yml", "stack.yaml", "compose.yaml"], ["stack.yml"]),
        (["compose.yaml", "compose.override.yml"], ["compose.yaml", "compose.override.yml"]),
        (["docker-compose.yml", "docker-compose.override.yml"], ["docker-compose.yml", "docker-compose.override.yml"]),
        (["stack.yml", "stack.override.yml"], ["stack.yml", "stack.override.yml"]),
    ],
)
def test_default_files_are_found_in_their_order(
    project_dir: Path, write, present: list[str], chosen: list[str]
) -> None:
    write(dict.fromkeys(present, EMPTY))
    assert names(project_dir) == chosen


def test_directories_above_are_searched_and_become_the_projects(project_dir: Path, write) -> None:
    write({"compose.yaml": EMPTY, "sub/deep/x.txt": ""})
    found = find(project_dir / "sub" / "deep")
    assert (found.files, found.directory, found.name) == ([str(project_dir / "compose.yaml")], str(project_dir), "shop")


def test_several_default_files_are_warned_of(stack) -> None:
    found = stack({"compose.yaml": "services: {web: {image: 'rootfs:/'}}", "docker-compose.yml": EMPTY})
    assert found.warnings == [
        "warning[O8-107] several stack files in one directory: compose.yaml, docker-compose.yml; using compose.yaml"
    ]


def test_named_files_leave_the_override_file_out(project_dir: Path, write) -> None:
    write({"stack.yml": EMPTY, "stack.override.yml": EMPTY, "other.yml": EMPTY})
    assert names(project_dir, files=["stack.yml", "other.yml"]) == ["stack.yml", "other.yml"]


def test_compose_file_may_name_files_in_the_environment_and_in_dotenv(project_dir: Path, write) -> None:
    write({"a.yml": EMPTY, "b.yml": EMPTY, ".env": "COMPOSE_FILE=b.yml\n"})
    assert names(project_dir) == ["b.yml"]
    assert names(project_dir, environ={"COMPOSE_FILE": "a.yml:b.yml"}) == ["a.yml", "b.yml"]
    assert names(project_dir, environ={"COMPOSE_FILE": "a.yml,b.yml", "COMPOSE_PATH_SEPARATOR": ","}) == [
        "a.yml",
        "b.yml",
    ]
    assert names(project_dir, files=["a.yml"]) == ["a.yml"]


def test_the_project_directory_is_searched_when_given(project_dir: Path, write) -> None:
    write({"dev/compose.yaml": EMPTY, "compose.yaml": EMPTY})
    found = find(project_dir, project_directory="dev")
    assert (found.files, found.name) == ([str(project_dir / "dev/compose.yaml")], "dev")


def test_relative_paths_stand_on_the_first_files_directory(project_dir: Path, write) -> None:
    write({"a/one.yml": EMPTY, "b/two.yml": EMPTY})
    assert find(project_dir, files=["a/one.yml", "b/two.yml"]).directory == str(project_dir / "a")
    assert find(project_dir, files=["a/one.yml"], project_directory=".").directory == str(project_dir)


def test_without_a_file_the_message_is_composes(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"^no configuration file provided: not found$"):
        find(tmp_path, environ={})
    with pytest.raises(NotFound, match=r"stack file not found: .*/no\.yml"):
        find(tmp_path, files=["no.yml"])


def test_a_directory_given_as_a_file_is_called_one(project_dir: Path) -> None:
    with pytest.raises(InvalidInput, match=f"^stack file is a directory: {project_dir}$"):
        find(project_dir, files=["."])


def test_a_pipe_that_the_shell_hands_over_is_a_file_and_is_read_once(project_dir: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"name: piped\nservices: {}\n")
    os.close(writer)
    try:
        assert find(project_dir, files=[f"/dev/fd/{reader}"]).name == "piped"
    finally:
        os.close(reader)


def test_what_is_no_file_is_refused_without_waiting_for_it(project_dir: Path) -> None:
    os.mkfifo(project_dir / "pipe")
    with pytest.raises(InvalidInput, match=r"^stack file is a named pipe, which may never end: .*/pipe$"):
        find(project_dir, files=["pipe"])
    with pytest.raises(InvalidInput, match=r"^stack file is a device: /dev/zero$"):
        find(project_dir, files=["/dev/zero"])
    with pytest.raises(InvalidInput, match=r"^env file is a named pipe, which may never end: .*/pipe$"):
        find(project_dir, files=["x.yml"], env_files=["pipe"])


def test_a_name_is_enough_without_a_file(tmp_path: Path) -> None:
    assert find(tmp_path, project_name="shop").name == "shop"


@pytest.mark.parametrize("name", ["-my_project", "_my_project", "www.my.project", "MY_PROJECT"])
def test_an_explicit_bad_name_is_an_error(project_dir: Path, write, name: str) -> None:
    write(EMPTY)
    with pytest.raises(InvalidInput, match="invalid project name"):
        find(project_dir, project_name=name)
    with pytest.raises(InvalidInput, match="invalid project name"):
        find(project_dir, environ={"COMPOSE_PROJECT_NAME": name})


def test_a_derived_name_is_made_valid() -> None:
    assert [derived_name(text) for text in ("UNNORMALIZED PATH", "_my.App-1", "été", "...")] == [
        "unnormalizedpath", "myapp-1", "t", "",
    ]  # fmt: skip


def test_a_directory_that_gives_no_name_is_an_error(tmp_path: Path) -> None:
    directory = tmp_path / "___"
    directory.mkdir()
    (directory / "stack.yml").write_text(EMPTY)
    with pytest.raises(InvalidInput, match="project name must not be empty"):
        find(directory)


def test_the_name_comes_from_flag_then_environment_then_file_then_directory(project_dir: Path, write) -> None:
    write({"stack.yml": "name: filed\n" + EMPTY, "over.yml": "name: over\n" + EMPTY, "none.yml": EMPTY})
    environ = {"COMPOSE_PROJECT_NAME": "env"}
    assert find(project_dir, environ=environ, project_name="flag").name == "flag"
    assert find(project_dir, environ=environ).name == "env"
    assert find(project_dir).name == "filed"
    assert find(project_dir, files=["stack.yml", "over.yml", "none.yml"]).name == "over"
    assert find(project_dir, files=["none.yml"]).name == "shop"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("name: till # the shop's\nservices: {}\n", "till"),
        ("name: 'till'\n", "till"),
        ('name: "${N}-x"\n', "env-x"),
        ("name: $N\n", "env"),
        ("'name': till\n", "till"),
        ("{name: till}\n", "till"),
        ("x-a: &a till\nname: *a\n", "till"),
        ("name: one\n---\nname: two\n", "two"),
        ("---\nname: till\n", "till"),
        ("services:\n  name: {image: x}\n", "shop"),
        ("name:\n  till\n", "till"),
        ("x-a: |\n  y\nname : till\n", "till"),
        ("name: ${COMPOSE_PROJECT_NAME:-till}\n", "till"),
    ],
)
def test_the_name_found_at_a_glance_is_the_one_that_loading_gives(project_dir: Path, write, stack, text, name) -> None:
    write(text)
    assert find(project_dir, environ={"N": "env"}).name == name
    if "services" in text:
        return
    body = "services: {web: {image: 'rootfs:/'}}"
    full = text.replace("{name: till}", "{name: till, " + body + "}") if text.startswith("{") else text + body + "\n"
    assert stack(full, environ={"N": "env"}).document["name"] == name


def test_a_name_in_a_file_is_made_valid_which_is_told(stack) -> None:
    found = stack("name: My Shop\nservices: {web: {image: 'rootfs:/'}}")
    assert found.document["name"] == "myshop"
    assert (
        found.text
        == """\
warning[O8-108]: the project name `My Shop` is taken as `myshop`
 --> stack.yml:1:7
1 | name: My Shop
  |       ^^^^^^^
  = note: a project name is lower-case letters, digits, _ and -, and starts with a letter or digit
"""
    )
    assert stack("name: ''\nservices: {web: {image: 'rootfs:/'}}").document["name"] == "shop"


def test_a_name_in_a_file_of_which_nothing_is_left_has_its_place(stack) -> None:
    found = stack("name: ...\nservices: {web: {image: 'rootfs:/'}}")
    assert found.errors == ["stack.yml:1:7: error[O8-108] invalid project name `...`"]


def test_finding_the_name_needs_no_yaml(project_dir: Path, write) -> None:
    write("name: till\nservices:\n  web:\n    image: rootfs:/\n")
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from orchestr8.stack.project import LoadOptions, find_project\n"
        "found = find_project(LoadOptions(working_dir=sys.argv[1], environ={}))\n"
        "print(found.name, *sorted({'yaml', 'json', 'dataclasses', 'inspect', 'orchestr8.stack.rules'} & set(sys.modules)))"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-I", "-c", code, str(project_dir), root], capture_output=True, text=True,
                          check=True)  # fmt: skip
    assert done.stdout == "till\n"


NAME_LINES = st.lists(st.sampled_from([
    "name: foo", "name:  bar ", "name: foo # c", "name: foo# c", "name: 'foo'", "name: 0x1f", "name: null", "name: 12", "name : foo",
    "  more", "\tmore", "", "# c", "  # c", "---", "...", " name: in", "x-a: |", "x-a: 'a", "b'", "x-b: &a c", "? name", ": foo",
    "{name: foo}", "name:", "name: $A", "name: [foo]", "name: Foo", "name: |", "<<: {name: foo}", "x-c: \x85name: foo", "x-d: 1\rname: foo",
]), max_size=4)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
@given(NAME_LINES, st.sampled_from(["", " "]), st.sampled_from(["\n", "\r\n"]))
def test_who_looks_for_the_name_alone_finds_what_the_whole_stack_has(
    project_dir, lines: list[str], indent: str, end: str
) -> None:
    text = end.join(indent + line for line in [*lines, "services: {web: {image: x}}", ""])
    (project_dir / "stack.yml").write_text(text, newline="")
    options = LoadOptions(environ={"A": "a"}, working_dir=str(project_dir))
    try:
        loaded = load(options)
    except InvalidInput:
        return  # told; which stack was meant, nobody can say
    assert find_project(options).name == loaded.document["name"]
