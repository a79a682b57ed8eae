"""`dns`: name servers in place of the engine's."""


def test_one_or_several_are_a_list(key) -> None:
    assert key.values("1.1.1.1", "[1.1.1.1, '::1', 1.1.1.1]") == [["1.1.1.1"], ["1.1.1.1", "::1"]]
    assert key.unsaid() is None


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("1.1.1.1", "[9.9.9.9, 1.1.1.1]") == ["1.1.1.1", "9.9.9.9"]


def test_it_is_text(key) -> None:
    assert key.printed("{server: 1.1.1.1}") == """\
error[O8-104]: `services.web.dns` must be a text, or a list of texts, found a mapping
 --> stack.yml:4:10
4 |     dns: {server: 1.1.1.1}
  |          ^
"""  # fmt: skip
    assert key.errors("[5]") == ["O8-104 `services.web.dns[0]` must be text, found the number 5"]
