"""`runtime`: the program that makes the container; here it is orchestr8 itself, so that the key only warns."""


def test_a_name_stays_as_it_is_written(key) -> None:
    assert key.values("runc", "''") == ["runc", None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("runc", "crun") == "crun"


def test_it_has_no_effect(key) -> None:
    assert key.acted_on("runc") == ["stack.yml:4:5: warning[O8-111] `runtime` has no effect (`services.*.runtime`)"]


def test_it_is_text(key) -> None:
    assert key.printed("{name: runc}") == """\
error[O8-104]: `services.web.runtime` must be the name of a runtime, found a mapping
 --> stack.yml:4:14
4 |     runtime: {name: runc}
  |              ^
"""  # fmt: skip
