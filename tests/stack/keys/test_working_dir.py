"""`working_dir`: where the program starts, in place of the image's."""


def test_a_path_stays_as_it_is_written(key) -> None:
    assert key.values("/srv", "srv", "''") == ["/srv", "srv", None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("/a", "/b") == "/b"


def test_it_is_text(key) -> None:
    assert key.errors("5") == ["O8-104 `services.web.working_dir` must be a path in the container, found the number 5"]
    assert key.printed("[a]") == """\
error[O8-104]: `services.web.working_dir` must be a path in the container, found a list
 --> stack.yml:4:18
4 |     working_dir: [a]
  |                  ^
"""  # fmt: skip
