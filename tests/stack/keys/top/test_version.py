"""`version`: what once said how the file is read, and now says nothing."""


def test_whatever_it_is_it_is_gone(key) -> None:
    assert key.values("'3.8'", "3", "[x]") == [None, None, None]


def test_a_warning_says_so(key) -> None:
    assert key.warned("'3'") == """\
warning[O8-109]: `version` is obsolete and has no effect
 --> stack.yml:1:1
1 | version: '3'
  | ^^^^^^^
  = help: remove the line
  = fix:  orchestr8 check --fix   (remove `version: '3'`)
"""  # fmt: skip
