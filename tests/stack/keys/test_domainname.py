"""`domainname`: the NIS domain of the container."""


def test_letters_digits_and_some_signs_make_up_a_name(key) -> None:
    assert key.values("example.org", "''") == ["example.org", None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("a.example", "b.example") == "b.example"


def test_a_name_has_no_space(key) -> None:
    assert key.printed("a b") == """\
error[O8-305]: `services.web.domainname` must be a domain name, found the text `a b`
 --> stack.yml:4:17
4 |     domainname: a b
  |                 ^^^
  = help: up to 64 letters, digits, - and . make up a domain name
"""  # fmt: skip
