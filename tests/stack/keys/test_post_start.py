"""`post_start`: programs that run in the container once it is up."""


def test_a_command_may_be_text_and_what_is_off_says_nothing(key) -> None:
    assert key.value(
        "[{command: echo hi, privileged: false}, {command: [a], user: u, working_dir: /w, environment: {A: 1}}]"
    ) == [
        {"command": ["echo", "hi"]},
        {"command": ["a"], "user": "u", "working_dir": "/w", "environment": {"A": "1"}},
    ]
    assert key.unsaid() is None


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("[{command: a}]", "[{command: b}]") == [{"command": ["a"]}, {"command": ["b"]}]


def test_each_has_a_command(key) -> None:
    assert key.printed("[{user: x}]") == """\
error[O8-105]: `services.web.post_start[0]` has no `command`
 --> stack.yml:4:19
4 |     post_start: [{user: x}]
  |                   ^^^^
  = help: add `command:`
"""  # fmt: skip


def test_up_refuses_it(key) -> None:
    assert key.acted_on("[{command: a}]") == [
        "stack.yml:4:5: error[O8-110] `services.web.post_start` is not supported yet"
    ]
