"""`configs`: texts that services find as files."""


def test_there_is_one_source_and_a_path_is_whole(key, project_dir) -> None:
    assert key.values("{file: ./c}", "{content: hello, labels: [a=b]}", "{environment: E, name: n}") == [
        {"name": "shop_x", "file": f"{project_dir}/c"},
        {"name": "shop_x", "content": "hello", "labels": {"a": "b"}},
        {"name": "n", "environment": "E"},
    ]


def test_variables_in_its_text_are_filled_in(key) -> None:
    assert key.value("{content: 'a=$A'}", environ={"A": "1"})["content"] == "a=1"


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("{content: a}", "{content: b, labels: [l]}") == {
        "name": "shop_x", "content": "b", "labels": {"l": ""},
    }  # fmt: skip


def test_an_external_one_needs_no_source(key) -> None:
    assert key.value("{external: true}") == {"name": "x", "external": True}


def test_two_sources_exclude_each_other(key) -> None:
    assert key.printed("{file: x, content: y}") == """\
error[O8-204]: `configs.x`: file and content exclude each other
 --> stack.yml:2:7
2 |   x: {file: x, content: y}
  |       ^^^^
2 |   x: {file: x, content: y}
  |                -------
  = help: keep one of them
"""  # fmt: skip
    assert key.errors("{}", "x") == [
        "O8-105 `configs.x` has no source of its content",
        "O8-104 `configs.x` must be a mapping (a config), found the text `x`",
    ]
