"""`tty`: whether the program has a terminal."""


def test_a_flag_may_be_a_word_and_off_says_nothing(key) -> None:
    assert key.values("true", "'yes'", "false") == [True, True, None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("false", "true") is True
    assert key.merged("true", "false") is None


def test_a_number_is_no_flag(key) -> None:
    assert key.printed("1") == """\
error[O8-104]: `services.web.tty` must be true or false, found the number 1
 --> stack.yml:4:10
4 |     tty: 1
  |          ^
"""  # fmt: skip
