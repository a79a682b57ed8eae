"""`container_name`: the name of the one container that the service then has."""


def test_a_name_stays_as_it_is_written(key) -> None:
    assert key.values("c-1", "My_c.1") == ["c-1", "My_c.1"]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("c1", "c2") == "c2"


def test_a_name_has_two_signs_or_more_and_begins_with_a_letter_or_digit(key) -> None:
    assert key.printed("-c") == """\
error[O8-305]: `services.web.container_name` must be a container's name, found the text `-c`
 --> stack.yml:4:21
4 |     container_name: -c
  |                     ^^
  = help: letters, digits and _ . - make up a name of two or more
"""  # fmt: skip
    assert key.errors("x", "''") == [
        "O8-305 `services.web.container_name` must be a container's name, found the text `x`",
        "O8-104 `services.web.container_name` must be a container's name, found an empty text",
    ]


def test_it_is_there_once(key) -> None:
    assert key.printed("c1", "  db: {image: x, container_name: c1}\n") == """\
error[O8-204]: `db` and `web` have the same container_name `c1`
 --> stack.yml:5:34
5 |   db: {image: x, container_name: c1}
  |                                  ^^
4 |     container_name: c1
  |                     -- first here
"""  # fmt: skip
    assert key.value("c1", "  db: {image: x, container_name: c1, profiles: [off]}\n") == "c1"
