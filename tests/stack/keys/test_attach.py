"""`attach`: whether `up` shows the service's logs."""


def test_a_flag_may_be_a_word_and_off_is_kept(key) -> None:
    assert key.values("true", "'no'") == [True, False]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("true", "false") is False


def test_off_has_no_effect_and_on_is_what_happens(key) -> None:
    assert key.acted_on("false") == ["stack.yml:4:5: warning[O8-111] `attach` has no effect (`services.*.attach`)"]
    assert key.acted_on("true") == []


def test_it_is_a_flag(key) -> None:
    assert key.printed("sometimes") == """\
error[O8-104]: `services.web.attach` must be true or false, found the text `sometimes`
 --> stack.yml:4:13
4 |     attach: sometimes
  |             ^^^^^^^^^
"""  # fmt: skip
