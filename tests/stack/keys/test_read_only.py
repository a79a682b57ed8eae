"""`read_only`: whether the container's own files cannot be changed."""


def test_a_flag_may_be_a_word_and_off_says_nothing(key) -> None:
    assert key.values("true", "'YES'", "'off'") == [True, True, None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("true", "false") is None


def test_it_is_a_flag(key) -> None:
    assert key.printed("ro") == """\
error[O8-104]: `services.web.read_only` must be true or false, found the text `ro`
 --> stack.yml:4:16
4 |     read_only: ro
  |                ^^
"""  # fmt: skip
