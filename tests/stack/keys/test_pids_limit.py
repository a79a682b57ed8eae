"""`pids_limit`: how many processes and threads the container may have."""


def test_a_number_may_be_text_and_minus_one_is_no_limit(key) -> None:
    assert key.values("100", "'100'", "-1", "1.9", "0") == [100, 100, -1, 1, None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("100", "-1") == -1


def test_it_agrees_with_deploy(key) -> None:
    assert key.errors("5\n    deploy: {resources: {limits: {pids: 6}}}") == [
        "O8-204 `services.web`: pids_limit and deploy.resources.limits.pids differ"
    ]


def test_there_is_nothing_below_minus_one(key) -> None:
    assert key.printed("-2") == """\
error[O8-305]: `services.web.pids_limit`: must be greater than or equal to -1, found -2
 --> stack.yml:4:17
4 |     pids_limit: -2
  |                 ^^
"""  # fmt: skip
