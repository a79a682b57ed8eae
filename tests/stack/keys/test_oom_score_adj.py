"""`oom_score_adj`: how soon the container's programs are killed when the machine lacks memory."""


def test_a_number_may_be_text(key) -> None:
    assert key.values("-1000", "'500'", "0") == [-1000, 500, None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("500", "-5") == -5


def test_it_lies_between_the_kernels_bounds(key) -> None:
    assert key.printed("1001") == """\
error[O8-305]: `services.web.oom_score_adj`: must be less than or equal to 1000, found 1001
 --> stack.yml:4:20
4 |     oom_score_adj: 1001
  |                    ^^^^
"""  # fmt: skip
    assert key.errors("-1001", "1.5") == [
        "O8-305 `services.web.oom_score_adj`: must be greater than or equal to -1000, found -1001",
        "O8-104 `services.web.oom_score_adj` must be an integer, found the number 1.5",
    ]
