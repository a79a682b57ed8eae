"""`stdin_open`: whether the program's standard input stays open with nobody at it."""


def test_a_flag_may_be_a_word_and_off_says_nothing(key) -> None:
    assert key.values("true", "on", "false") == [True, True, None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("false", "true") is True


def test_it_is_a_flag(key) -> None:
    assert key.printed("[true]") == """\
error[O8-104]: `services.web.stdin_open` must be true or false, found a list
 --> stack.yml:4:17
4 |     stdin_open: [true]
  |                 ^
"""  # fmt: skip
