"""`hostname`: how the container calls itself."""


def test_letters_digits_and_some_signs_make_up_a_name(key) -> None:
    assert key.values("web-1.example", "my_host", "A9", "''") == ["web-1.example", "my_host", "A9", None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("a", "b") == "b"


def test_the_kernel_takes_64_letters(key) -> None:
    assert key.value("a" * 64) == "a" * 64
    (error,) = key.errors("a" * 65)
    assert error.startswith("O8-305 `services.web.hostname` must be a host name, found the text `aaa")


def test_a_name_has_no_sign_at_its_ends(key) -> None:
    assert key.printed("-x") == """\
error[O8-305]: `services.web.hostname` must be a host name, found the text `-x`
 --> stack.yml:4:15
4 |     hostname: -x
  |               ^^
  = help: up to 64 letters, digits, - and . make up a host name
"""  # fmt: skip
