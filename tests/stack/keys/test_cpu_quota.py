"""`cpu_quota`: how much time of processors the container may use in each period."""


def test_a_duration_is_microseconds_and_minus_one_is_no_limit(key) -> None:
    assert key.values("50000", "50ms", "-1", "'-1'") == [50_000, 50_000, -1, -1]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("50ms", "-1") == -1


def test_it_is_one_that_the_kernel_takes(key) -> None:
    assert key.acted_on("999") == [
        "stack.yml:4:16: error[O8-305] `services.web.cpu_quota`: the kernel takes at least 1000 microseconds, found 999"
    ]


def test_it_is_a_duration(key) -> None:
    assert key.printed("half") == """\
error[O8-305]: `services.web.cpu_quota` must be a number of microseconds, or a duration such as 950ms, found the text `half`
 --> stack.yml:4:16
4 |     cpu_quota: half
  |                ^^^^
"""  # fmt: skip
