"""`cpu_shares`: the container's weight when processors are short; without it 1024."""


def test_a_number_may_be_text_and_a_fraction_is_cut_off(key) -> None:
    assert key.values("512", "'512'", "512.9", "0") == [512, 512, 512, None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("512", "2048") == 2048


def test_it_is_one_that_the_kernel_takes(key) -> None:
    assert key.acted_on("1") == [
        "stack.yml:4:17: error[O8-305] `services.web.cpu_shares`: the kernel takes 2 to 262144, found 1"
    ]


def test_it_is_a_number(key) -> None:
    assert key.printed("high") == """\
error[O8-104]: `services.web.cpu_shares` must be an integer, found the text `high`
 --> stack.yml:4:17
4 |     cpu_shares: high
  |                 ^^^^
"""  # fmt: skip
