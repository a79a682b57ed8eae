"""`user`: as whom the program runs: a name or number, and perhaps a group."""


def test_names_and_numbers_stay_as_they_are_written(key) -> None:
    assert key.values("www-data", "'1000:1000'", "'0'", "''") == ["www-data", "1000:1000", "0", None]
    assert key.unsaid() is None


def test_digits_with_a_colon_are_text(key) -> None:
    assert key.value("10:20") == "10:20"


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("a:b", "c") == "c"


def test_a_bare_number_is_not_text(key) -> None:
    assert key.printed("1000") == """\
error[O8-104]: `services.web.user` must be a user, such as 1000:1000 or www-data, found the number 1000
 --> stack.yml:4:11
4 |     user: 1000
  |           ^^^^
  = help: quote it: "1000"
  = fix:  orchestr8 check --fix   (quote it: "1000")
"""  # fmt: skip
