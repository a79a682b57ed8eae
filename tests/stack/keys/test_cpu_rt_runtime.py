"""`cpu_rt_runtime`: how much real time the container may use in each period."""


def test_a_duration_is_microseconds(key) -> None:
    assert key.values("950000", "950ms") == [950_000, 950_000]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("950ms", "400ms") == 400_000


def test_it_is_no_more_than_its_period(key) -> None:
    assert key.acted_on("2s") == [
        "stack.yml:4:21: error[O8-305] `services.web`: cpu_rt_runtime is more than its period of 1000000 microseconds"
    ]


def test_it_is_a_duration(key) -> None:
    assert key.printed("1y") == """\
error[O8-305]: `services.web.cpu_rt_runtime` must be a number of microseconds, or a duration such as 950ms, found the text `1y`
 --> stack.yml:4:21
4 |     cpu_rt_runtime: 1y
  |                     ^^
"""  # fmt: skip
