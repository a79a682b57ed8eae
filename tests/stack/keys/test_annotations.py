"""`annotations`: notes for a runtime."""


def test_a_list_is_a_mapping(key) -> None:
    assert key.values("[a=b, c]", "{a: 1}") == [{"a": "b", "c": ""}, {"a": "1"}]
    assert key.unsaid() is None


def test_a_later_file_lays_its_own_over_the_earlier_ones(key) -> None:
    assert key.merged("[a=1, b=1]", "{b: 2}") == {"a": "1", "b": "2"}


def test_they_have_no_effect(key) -> None:
    assert key.acted_on("{a: b}") == [
        "stack.yml:4:5: warning[O8-111] `annotations` has no effect (`services.*.annotations`)"
    ]


def test_they_are_pairs(key) -> None:
    assert key.printed("a=b") == """\
error[O8-104]: `services.web.annotations` must be a mapping, or a list of KEY=VALUE, found the text `a=b`
 --> stack.yml:4:18
4 |     annotations: a=b
  |                  ^^^
"""  # fmt: skip
