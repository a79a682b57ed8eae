"""`dns_search`: domains in which short names are looked for."""


def test_one_or_several_are_a_list(key) -> None:
    assert key.values("a.example", "[a.example, b.example]") == [["a.example"], ["a.example", "b.example"]]
    assert key.unsaid() is None


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("a.example", "b.example") == ["a.example", "b.example"]


def test_it_is_text(key) -> None:
    assert key.printed("[[a.example]]") == """\
error[O8-104]: `services.web.dns_search[0]` must be text, found a list
 --> stack.yml:4:18
4 |     dns_search: [[a.example]]
  |                  ^
"""  # fmt: skip
