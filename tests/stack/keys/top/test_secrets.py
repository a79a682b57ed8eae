"""`secrets`: texts that services find as files, and that are shown to nobody else."""


def test_there_is_one_source_and_a_path_is_whole(key, project_dir) -> None:
    assert key.values("{file: ./s}", "{environment: E, name: n, labels: {a: 1}}") == [
        {"name": "shop_x", "file": f"{project_dir}/s"},
        {"name": "n", "environment": "E", "labels": {"a": "1"}},
    ]


def test_a_later_file_adds_to_it(key, project_dir) -> None:
    assert key.merged("{file: a}", "{file: b, labels: [l]}") == {
        "name": "shop_x", "file": f"{project_dir}/b", "labels": {"l": ""},
    }  # fmt: skip


def test_an_external_one_needs_no_source(key) -> None:
    assert key.value("{external: true, name: y}") == {"name": "y", "external": True}


def test_there_is_a_source(key) -> None:
    assert key.printed("{labels: [a]}") == """\
error[O8-105]: `secrets.x` has no source of its content
 --> stack.yml:2:7
2 |   x: {labels: [a]}
  |       ^^^^^^
  = help: give it `file:` or `environment:`, or `external: true`
"""  # fmt: skip
    assert key.errors("{file: a, environment: B}", "{content: a}") == [
        "O8-204 `secrets.x`: file and environment exclude each other",
        "O8-101 unknown key `content` in `secrets.x`",
    ]
