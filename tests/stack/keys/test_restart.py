"""`restart`: what becomes of a container whose program ends."""


def test_a_policy_is_a_word_and_one_may_have_a_number(key) -> None:
    words = ["no", "always", "unless-stopped", "on-failure", "on-failure:3"]
    assert key.values(*words) == words
    assert key.values("'no'", "''") == ["no", None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("always", "no") == "no"


def test_a_misspelt_policy_is_told_with_the_nearest(key) -> None:
    assert key.printed("on-falure") == """\
error[O8-305]: `services.web.restart` must be no, always, unless-stopped, on-failure or on-failure:N, found the text `on-falure`
 --> stack.yml:4:14
4 |     restart: on-falure
  |              ^^^^^^^^^
  = help: did you mean `on-failure`?
"""  # fmt: skip


def test_a_flag_is_most_likely_meant_as_no(key) -> None:
    assert key.printed("false") == """\
error[O8-104]: `services.web.restart` must be no, always, unless-stopped, on-failure or on-failure:N, found the boolean false
 --> stack.yml:4:14
4 |     restart: false
  |              ^^^^^
  = help: write "no"
"""  # fmt: skip
