"""`use_api_socket`: whether the container may speak to the engine."""


def test_a_flag_may_be_a_word_and_off_says_nothing(key) -> None:
    assert key.values("true", "'yes'", "false") == [True, True, None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("true", "false") is None


def test_up_refuses_it_unless_it_is_off(key) -> None:
    assert key.acted_on("true") == ["stack.yml:4:5: error[O8-110] `services.web.use_api_socket` is not supported yet"]
    assert key.acted_on("false") == []


def test_it_is_a_flag(key) -> None:
    assert key.printed("/run/x.sock") == """\
error[O8-104]: `services.web.use_api_socket` must be true or false, found the text `/run/x.sock`
 --> stack.yml:4:21
4 |     use_api_socket: /run/x.sock
  |                     ^^^^^^^^^^^
"""  # fmt: skip
