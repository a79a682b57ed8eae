"""`mem_swappiness`: how eagerly the kernel swaps, as a percentage."""


def test_a_number_is_text_as_sizes_are(key) -> None:
    assert key.values("60", "'60'", "-1", "0") == ["60", "60", "-1", None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("60", "10") == "10"


def test_it_is_at_most_a_hundred(key) -> None:
    assert key.acted_on("101") == [
        "stack.yml:4:21: error[O8-305] `services.web.mem_swappiness` is a percentage, found 101"
    ]


def test_it_is_a_number(key) -> None:
    assert key.printed("true") == """\
error[O8-104]: `services.web.mem_swappiness` must be a percentage such as 60, found the boolean true
 --> stack.yml:4:21
4 |     mem_swappiness: true
  |                     ^^^^
"""  # fmt: skip
