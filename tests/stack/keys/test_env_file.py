"""`env_file`: files of variables, which `environment` stands above."""


def test_a_path_is_one_that_must_be_there(key, write, project_dir) -> None:
    write({"a.env": "", "b.env": ""})
    long = [{"path": f"{project_dir}/a.env", "required": True}]
    for written in ("a.env", "[a.env]", "[{path: a.env}]", "[{path: ./a.env, required: 'yes'}]"):
        assert key.value(written, resolve_environment=False) == long
    assert key.value("[{path: b.env, format: raw, required: false}]", resolve_environment=False) == [
        {"path": f"{project_dir}/b.env", "format": "raw", "required": False}
    ]


def test_later_files_win_and_environment_over_all_of_them(key, write) -> None:
    write({"a.env": "A=a\nB=a\nC=a\n", "b.env": "B=b\nC=b\n"})
    found = key.outcome("[a.env, b.env]\n    environment: {C: own}")
    assert found.web == {"environment": {"A": "a", "B": "b", "C": "own"}}


def test_in_a_raw_file_nothing_has_a_meaning(key, write) -> None:
    write({"a.env": "A='x' # y\nB=$A\n"})
    assert key.outcome("[{path: a.env, format: raw}]").web == {"environment": {"A": "'x' # y", "B": "$A"}}


def test_a_later_file_adds_to_it_and_one_path_stands_once(key) -> None:
    found = key.merged("[a.env, b.env]", "[c.env, a.env]", resolve_environment=False)
    assert [each["path"].rpartition("/")[2] for each in found] == ["a.env", "b.env", "c.env"]


def test_a_file_that_is_not_there_is_told_unless_it_may_lack(key) -> None:
    assert key.outcome("[{path: no.env, required: false}]").web == {}
    assert key.printed("no.env") == """\
error[O8-304]: env file not found: <dir>/no.env
 --> stack.yml:4:15
4 |     env_file: no.env
  |               ^^^^^^
  = help: create it, or write {path: ..., required: false}
"""  # fmt: skip


def test_a_mapping_stands_in_a_list_and_has_a_path(key, write) -> None:
    write({"a.env": ""})
    assert key.errors("{path: a.env}", "[{required: true}]", "[{path: a.env, format: row}]") == [
        "O8-104 `services.web.env_file` must be a path, or a list of paths, found a mapping",
        "O8-105 `services.web.env_file[0]` has no `path`",
        "O8-305 `services.web.env_file[0].format` must be raw, found the text `row`",
    ]
