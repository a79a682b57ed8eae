"""`cgroup`: whether the program sees the machine's groups, or its own as the root."""


def test_a_mode_stays_as_it_is_written(key) -> None:
    assert key.values("host", "private") == ["host", "private"]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("host", "private") == "private"


def test_one_that_is_shared_with_a_service_is_not_supported(key) -> None:
    assert key.acted_on("service:db", "  db: {image: x}\n") == [
        "stack.yml:4:13: error[O8-110] `services.web.cgroup: service:db` is not supported yet"
    ]


def test_there_are_two_modes(key) -> None:
    assert key.printed("x") == """\
error[O8-305]: `services.web.cgroup` must be host or private, found the text `x`
 --> stack.yml:4:13
4 |     cgroup: x
  |             ^
"""  # fmt: skip
    assert key.errors("''") == ["O8-104 `services.web.cgroup` must be host or private, found an empty text"]
