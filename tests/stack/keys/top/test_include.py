"""`include`: stack files of other projects. How they are read is tested by `test_include.py` two folders up."""

OTHER = "services: {db: {image: x, volumes: ['./d:/d']}}\n"


def test_a_path_or_a_mapping_brings_its_services_and_is_gone(key, write, project_dir) -> None:
    write({"sub/stack.yml": OTHER})
    for written in ("[sub/stack.yml]", "[{path: sub/stack.yml}]", "[{path: [sub/stack.yml]}]"):
        found = key.outcome(written)
        assert sorted(found.services) == ["db", "web"]
        assert found.services["db"]["volumes"][0]["source"] == f"{project_dir}/sub/d"
        assert key.of(found) is None


def test_it_may_have_another_directory_and_its_own_variables(key, write, project_dir) -> None:
    write(
        {
            "sub/stack.yml": OTHER + "x-a: $A\n",
            "sub/own.env": "IMAGE=y\n",
            "b.yml": "services: {api: {image: $IMAGE}}\n",
        }
    )
    found = key.outcome("[{path: sub/stack.yml, project_directory: .}, {path: b.yml, env_file: sub/own.env}]")
    assert found.services["db"]["volumes"][0]["source"] == f"{project_dir}/d"
    assert found.services["api"]["image"] == "y"


def test_nothing_at_all_is_a_list_of_which_each_line_is_commented_out(key) -> None:
    assert list(key.outcome("").services) == ["web"]


def test_each_of_several_files_may_have_one(key, write, stack) -> None:
    write({"c.yml": OTHER, "d.yml": "services: {api: {image: y}}\n"})
    files = {"a.yml": key.text("[c.yml]"), "b.yml": key.text("[d.yml]")}
    assert sorted(stack(files, files=list(files)).services) == ["api", "db", "web"]


def test_it_is_a_list(key) -> None:
    assert key.printed("c.yml") == """\
error[O8-104]: `include` must be a list of stack files, found the text `c.yml`
 --> stack.yml:1:10
1 | include: c.yml
  |          ^^^^^
  = help: write [c.yml]
"""  # fmt: skip
    assert key.errors("[{env_file: x}]", "[{path: []}]", "[5]") == [
        "O8-105 `include[0]` has no `path`",
        "O8-105 this `include` has no path",
        "O8-104 `include[0]` must be the path of a stack file, or {path: ...}, found the number 5",
    ]


def test_the_file_is_there(key) -> None:
    assert key.printed("[no.yml]") == """\
error[O8-107]: stack file not found: <dir>/no.yml
 --> stack.yml:1:11
1 | include: [no.yml]
  |           ^^^^^^
"""  # fmt: skip
