"""`pre_stop`: programs that run in the container before it is stopped."""


def test_a_command_may_be_text_or_words(key) -> None:
    assert key.value("[{command: 'drain --now'}, {command: [a], privileged: true}]") == [
        {"command": ["drain", "--now"]}, {"command": ["a"], "privileged": True},
    ]  # fmt: skip
    assert key.unsaid() is None


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("[{command: a}]", "[{command: a}]") == [{"command": ["a"]}, {"command": ["a"]}]


def test_an_image_is_for_containers_of_their_own(key) -> None:
    assert key.printed("[{command: a, image: x}]") == """\
error[O8-101]: unknown key `image` in `services.web.pre_stop[0]`
 --> stack.yml:4:29
4 |     pre_stop: [{command: a, image: x}]
  |                             ^^^^^ not a hook setting
  = note: valid keys: command, environment, privileged, user, working_dir
"""  # fmt: skip


def test_up_refuses_it(key) -> None:
    assert key.acted_on("[{command: a}]") == [
        "stack.yml:4:5: error[O8-110] `services.web.pre_stop` is not supported yet"
    ]
