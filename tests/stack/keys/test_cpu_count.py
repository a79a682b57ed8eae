"""`cpu_count`: processors of a container of Windows."""


def test_a_number_may_be_text(key) -> None:
    assert key.values("2", "'2'", "0") == [2, 2, None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("2", "4") == 4


def test_it_has_no_effect(key) -> None:
    assert key.acted_on("2") == ["stack.yml:4:5: warning[O8-111] `cpu_count` has no effect (`services.*.cpu_count`)"]


def test_it_is_a_whole_number(key) -> None:
    assert key.printed("1.5") == """\
error[O8-104]: `services.web.cpu_count` must be an integer, found the number 1.5
 --> stack.yml:4:16
4 |     cpu_count: 1.5
  |                ^^^
"""  # fmt: skip
