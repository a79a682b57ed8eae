"""Which value a variable has, and what an `env_file` gives a service."""

import pytest

from orchestr8.errors import NotFound

SHOW = "services: {web: {image: 'rootfs:/', labels: {v: '${V:-none}'}}}"


def value(found) -> str:
    return found.services["web"]["labels"]["v"]


def test_the_process_wins_over_files_and_later_files_win(stack) -> None:
    files = {"stack.yml": SHOW, ".env": "V=dotenv\n", "a.env": "V=a\n", "b.env": "V=b\n"}
    assert value(stack(files)) == "dotenv"
    assert value(stack(files, environ={"V": "shell"})) == "shell"
    assert value(stack(files, env_files=["a.env", "b.env"])) == "b"
    assert value(stack(files, environ={"COMPOSE_ENV_FILES": "b.env,a.env"})) == "a"
    assert value(stack(files, environ={"COMPOSE_DISABLE_ENV_FILE": "1"})) == "none"


def test_the_dotenv_where_the_user_stands_wins_over_the_projects_unless_a_file_is_named(stack, write) -> None:
    write({"app/stack.yml": SHOW, "app/.env": "V=project\nW=1\n", ".env": "V=here\n"})
    assert value(stack({}, environ={"COMPOSE_FILE": "app/stack.yml"})) == "here"
    assert value(stack({}, files=["app/stack.yml"])) == "project"
    assert value(stack({}, project_directory="app")) == "project"


def test_the_dotenv_of_the_project_directory_may_name_files(stack) -> None:
    found = stack({"a.yml": SHOW, "app/.env": "COMPOSE_FILE=a.yml\nV=app\n"}, project_directory="app")
    assert value(found) == "app"


def test_a_missing_named_env_file_is_an_error(stack) -> None:
    with pytest.raises(NotFound, match=r"env file not found: .*/no\.env"):
        stack(SHOW, env_files=["no.env"])


def test_an_error_in_dotenv_has_its_line(stack) -> None:
    found = stack({"stack.yml": SHOW, ".env": "A=1\nB C=2\n"})
    assert found.text.startswith("""\
error[O8-304]: .env: line 2: key cannot contain a space
 --> .env:2:1
2 | B C=2
  | ^^^^^ key cannot contain a space
""")


def test_environment_wins_over_env_files_and_later_env_files_win(stack) -> None:
    found = stack({
        "stack.yml": "services: {web: {image: 'rootfs:/', env_file: [a.env, b.env], environment: {C: own, N: , G: }}}",
        "a.env": "A=a\nB=a\nC=a\nX=${G}\n",
        "b.env": "B=b\nC=b\n",
    }, environ={"G": "given"})  # fmt: skip
    assert found.web == {"environment": {"A": "a", "B": "b", "C": "own", "G": "given", "N": None, "X": "given"}}


def test_env_files_never_feed_interpolation(stack) -> None:
    found = stack(
        {"stack.yml": "services: {web: {image: 'rootfs:/', env_file: a.env, hostname: 'h${A}'}}", "a.env": "A=1\n"}
    )
    assert found.web == {"environment": {"A": "1"}, "hostname": "h"}


def test_an_env_file_may_be_optional_and_raw(stack) -> None:
    found = stack({
        "stack.yml": "services: {web: {image: 'rootfs:/', env_file: [{path: no.env, required: false}, "
                     "{path: raw.env, format: raw}]}}",
        "raw.env": "A='$B'\n",
    })  # fmt: skip
    assert found.web == {"environment": {"A": "'$B'"}}


def test_a_missing_env_file_is_an_error_at_its_place(stack, project_dir) -> None:
    found = stack("services:\n  web:\n    image: rootfs:/\n    env_file: [no.env]\n")
    assert found.errors == [f"stack.yml:4:16: error[O8-304] env file not found: {project_dir}/no.env"]


def test_a_missing_env_file_of_a_service_that_is_not_touched_only_warns(stack, project_dir) -> None:
    text = "services: {web: {image: 'rootfs:/', depends_on: [db]}, db: {image: 'rootfs:/'}, x: {image: 'rootfs:/', env_file: no.env}}"
    assert stack(text).errors
    assert len(stack(text, services=["web"]).warnings) == 1
    assert stack(text, services=["x"]).errors


def test_a_bare_name_in_a_list_is_taken_from_the_caller_or_unset(service) -> None:
    assert service("environment: [A, B, C=]", environ={"A": "1"}).web == {"environment": {"A": "1", "B": None, "C": ""}}
