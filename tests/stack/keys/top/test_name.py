"""`name`: what the stack is called, and what is named after it."""

from orchestr8.stack.load import LoadOptions, load


def test_other_letters_are_left_out_and_that_is_told(key) -> None:
    assert key.values("my-app", "My App", "a_1") == ["my-app", "myapp", "a_1"]
    assert key.warned("My App") == """\
warning[O8-108]: the project name `My App` is taken as `myapp`
 --> stack.yml:1:7
1 | name: My App
  |       ^^^^^^
  = note: a project name is lower-case letters, digits, _ and -, and starts with a letter or digit
"""  # fmt: skip


def test_without_it_the_directory_names_the_stack(key, project_dir) -> None:
    assert key.unsaid() == project_dir.name == "shop"
    assert key.values("''") == ["shop"]


def test_it_may_come_from_a_variable(key) -> None:
    assert key.value("'${APP}-x'", environ={"APP": "a"}) == "a-x"


def test_a_later_file_replaces_it_and_the_command_line_any(key, write, project_dir) -> None:
    assert key.merged("a", "b") == "b"
    write(key.text("---"))
    assert load(LoadOptions(working_dir=str(project_dir), environ={}, project_name="c")).document["name"] == "c"


def test_something_of_it_is_left(key) -> None:
    assert key.printed("'---'") == """\
error[O8-108]: invalid project name `---`
 --> stack.yml:1:7
1 | name: '---'
  |       ^^^^^
  = note: a project name is lower-case letters, digits, _ and -, and starts with a letter or digit
"""  # fmt: skip
    assert key.errors("5") == ["O8-104 `name` must be a name, found the number 5"]
