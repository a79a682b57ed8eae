"""`memswap_limit`: how much memory and swap together the container may use."""


def test_a_size_is_bytes_and_minus_one_is_no_limit(key) -> None:
    assert key.values("1g", "-1", "0") == ["1073741824", "-1", None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("1g", "-1") == "-1"


def test_it_needs_a_limit_of_memory_and_is_no_less(key) -> None:
    assert key.acted_on("64m") == [
        "stack.yml:4:20: error[O8-305] `services.web.memswap_limit` is for memory and swap together, and needs a mem_limit"
    ]
    assert key.acted_on("32m\n    mem_limit: 64m") == [
        "stack.yml:4:20: error[O8-305] `services.web.memswap_limit` is for memory and swap together: it cannot be less than mem_limit"
    ]
    assert key.acted_on("64m\n    mem_limit: 64m") == []


def test_it_is_a_size(key) -> None:
    assert key.printed("-2") == """\
error[O8-305]: `services.web.memswap_limit`: must be greater than or equal to -1, found -2
 --> stack.yml:4:20
4 |     memswap_limit: -2
  |                    ^^
"""  # fmt: skip
