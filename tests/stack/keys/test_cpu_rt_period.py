"""`cpu_rt_period`: in how much time the container may use its real time."""


def test_a_duration_is_microseconds(key) -> None:
    assert key.values("1000000", "1s") == [1_000_000, 1_000_000]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("1s", "500ms") == 500_000


def test_it_is_a_duration(key) -> None:
    assert key.printed("[1s]") == """\
error[O8-104]: `services.web.cpu_rt_period` must be a number of microseconds, or a duration such as 950ms, found a list
 --> stack.yml:4:20
4 |     cpu_rt_period: [1s]
  |                    ^
"""  # fmt: skip
