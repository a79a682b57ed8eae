"""`oom_kill_disable`: whether the container's programs wait for memory, rather than be killed."""


def test_a_flag_may_be_a_word_and_off_says_nothing(key) -> None:
    assert key.values("true", "'true'", "false") == [True, True, None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("true", "false") is None


def test_it_is_a_flag(key) -> None:
    assert key.printed("never") == """\
error[O8-104]: `services.web.oom_kill_disable` must be true or false, found the text `never`
 --> stack.yml:4:23
4 |     oom_kill_disable: never
  |                       ^^^^^
"""  # fmt: skip
