"""`labels`: what the container is told about, as a mapping or a list of KEY=VALUE."""


def test_values_become_text_and_a_name_alone_has_an_empty_one(key) -> None:
    assert key.value("{a: , b: 1, c: true, d: 1.5}") == {"a": "", "b": "1", "c": "true", "d": "1.5"}
    assert key.value("[a, b=1=2, 'c=']") == {"a": "", "b": "1=2", "c": ""}
    assert key.unsaid() is None


def test_a_later_file_lays_its_labels_over_the_earlier_ones_in_either_form(key) -> None:
    assert key.merged("[a=1, b=1]", "{b: 2}") == {"a": "1", "b": "2"}


def test_a_value_is_one_value(key) -> None:
    assert key.printed("{a: [1]}") == """\
error[O8-104]: `services.web.labels.a` must be a single value, found a list
 --> stack.yml:4:17
4 |     labels: {a: [1]}
  |                 ^
"""  # fmt: skip
    assert key.errors("a=b", "['=1']") == [
        "O8-104 `services.web.labels` must be a mapping, or a list of KEY=VALUE, found the text `a=b`",
        "O8-305 `services.web.labels[0]`: no name in front of =",
    ]
