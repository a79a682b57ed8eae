"""`cpu_percent`: the share of processors of a container of Windows."""


def test_a_number_may_have_a_fraction_and_be_text(key) -> None:
    assert key.values("12.5", "'50'", "100") == [12.5, 50, 100]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("10", "20") == 20


def test_it_has_no_effect(key) -> None:
    assert key.acted_on("50") == [
        "stack.yml:4:5: warning[O8-111] `cpu_percent` has no effect (`services.*.cpu_percent`)"
    ]


def test_it_is_at_most_a_hundred(key) -> None:
    assert key.printed("101") == """\
error[O8-305]: `services.web.cpu_percent`: must be less than or equal to 100, found 101
 --> stack.yml:4:18
4 |     cpu_percent: 101
  |                  ^^^
"""  # fmt: skip
