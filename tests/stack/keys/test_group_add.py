"""`group_add`: groups that the program belongs to beside its own."""


def test_numbers_become_text(key) -> None:
    assert key.value("[1, audio, '2']") == ["1", "audio", "2"]
    assert key.unsaid() is None


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("[audio]", "[video, audio]") == ["audio", "video"]


def test_one_stands_once_in_a_file(key) -> None:
    assert key.errors("[audio, audio]") == ["O8-115 `services.web.group_add[1]` stands in the list before"]


def test_one_alone_is_a_list_too(key) -> None:
    assert key.printed("audio") == """\
error[O8-104]: `services.web.group_add` must be a list of texts, found the text `audio`
 --> stack.yml:4:16
4 |     group_add: audio
  |                ^^^^^
  = help: write [audio]
"""  # fmt: skip
