"""`external_links`: containers of others by further names."""


def test_links_stay_as_they_are_written(key) -> None:
    assert key.value("[a, 'b:c']") == ["a", "b:c"]
    assert key.unsaid() is None


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("[a]", "[b, a]") == ["a", "b"]


def test_up_refuses_it(key) -> None:
    assert key.acted_on("[a]") == ["stack.yml:4:5: error[O8-110] `services.web.external_links` is not supported yet"]


def test_one_stands_once(key) -> None:
    assert key.printed("[a, a]") == """\
error[O8-115]: `services.web.external_links[1]` stands in the list before
 --> stack.yml:4:25
4 |     external_links: [a, a]
  |                         ^ again here
4 |     external_links: [a, a]
  |                      - first here
  = help: remove one
  = fix:  orchestr8 check --fix   (remove the second `a`)
"""  # fmt: skip
