"""`init`: whether a small program stands in front of the container's own, which reaps and hands on signals."""


def test_a_flag_may_be_a_word(key) -> None:
    assert key.values("true", "yes", "'on'", "'1'") == [True, True, True, True]
    assert key.values("false", "'no'", "Off") == [False, False, False]  # kept: the engine has a default of its own
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("true", "false") is False


def test_it_is_nothing_between(key) -> None:
    assert key.printed("maybe") == """\
error[O8-104]: `services.web.init` must be true or false, found the text `maybe`
 --> stack.yml:4:11
4 |     init: maybe
  |           ^^^^^
"""  # fmt: skip
