"""`dns_opt`: options of the container's resolver."""


def test_options_stay_as_they_are_written_each_once(key) -> None:
    assert key.value("['ndots:2', rotate, rotate]") == ["ndots:2", "rotate"]
    assert key.unsaid() is None


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("[a]", "[b, a]") == ["a", "b"]


def test_one_alone_is_a_list_too(key) -> None:
    assert key.printed("rotate") == """\
error[O8-104]: `services.web.dns_opt` must be a list of texts, found the text `rotate`
 --> stack.yml:4:14
4 |     dns_opt: rotate
  |              ^^^^^^
  = help: write [rotate]
"""  # fmt: skip
