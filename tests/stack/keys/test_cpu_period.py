"""`cpu_period`: in how much time the container may use its quota."""


def test_a_duration_is_microseconds(key) -> None:
    assert key.values("100000", "'100000'", "100ms", "1.5") == [100_000, 100_000, 100_000, 1]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("100ms", "50ms") == 50_000


def test_it_is_one_that_the_kernel_takes(key) -> None:
    assert key.acted_on("2s") == [
        "stack.yml:4:17: error[O8-305] `services.web.cpu_period`: the kernel takes 1000 to 1000000 microseconds, found 2000000"
    ]


def test_it_is_a_duration(key) -> None:
    assert key.printed("soon") == """\
error[O8-305]: `services.web.cpu_period` must be a number of microseconds, or a duration such as 950ms, found the text `soon`
 --> stack.yml:4:17
4 |     cpu_period: soon
  |                 ^^^^
"""  # fmt: skip
