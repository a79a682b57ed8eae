"""`privileged`: whether the walls between the container and the machine are down."""


def test_a_flag_may_be_a_word_and_off_says_nothing(key) -> None:
    assert key.values("true", "'yes'", "false") == [True, True, None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("true", "false") is None


def test_it_is_a_flag(key) -> None:
    assert key.printed("root") == """\
error[O8-104]: `services.web.privileged` must be true or false, found the text `root`
 --> stack.yml:4:17
4 |     privileged: root
  |                 ^^^^
"""  # fmt: skip
