"""`uts`: whose host name the program has."""


def test_a_mode_stays_as_it_is_written(key) -> None:
    assert key.values("host", "''") == ["host", None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("host", "''") is None


def test_it_is_the_machines_or_the_containers_own(key) -> None:
    assert key.acted_on("service:db", "  db: {image: x}\n") == [
        "stack.yml:4:10: error[O8-305] `services.web.uts` must be one of host, found `service:db`"
    ]


def test_it_is_text(key) -> None:
    assert key.printed("[host]") == """\
error[O8-104]: `services.web.uts` must be a host name namespace, found a list
 --> stack.yml:4:10
4 |     uts: [host]
  |          ^
"""  # fmt: skip
