"""`command`: the words that the image's entrypoint is given, or the program itself."""

import pytest


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("python3 -m http.server", ["python3", "-m", "http.server"]),
        ("[sh, -c, 'a; b']", ["sh", "-c", "a; b"]),
        ("'sh -c \"a; b\"'", ["sh", "-c", "a; b"]),
        ("", None),
        ("[]", []),
        ("''", []),
    ],
)
def test_text_is_split_a_list_is_kept_and_nothing_is_the_images(key, written: str, words) -> None:
    assert key.value(written) == words
    assert key.unsaid() is None


def test_a_later_file_replaces_all_of_it(key) -> None:
    assert key.merged("[a, b]", "c d") == ["c", "d"]
    assert key.merged("[a, b]", "") is None


def test_a_word_must_be_text(key) -> None:
    assert key.printed("[sleep, 5]") == """\
error[O8-104]: `services.web.command[1]` must be text, found the number 5
 --> stack.yml:4:22
4 |     command: [sleep, 5]
  |                      ^
  = help: quote it: "5"
  = fix:  orchestr8 check --fix   (quote it: "5")
"""  # fmt: skip


def test_the_program_true_is_to_be_quoted(key) -> None:
    assert key.printed("true") == """\
error[O8-104]: `services.web.command` must be a command line, or a list of words, found the boolean true
 --> stack.yml:4:14
4 |     command: true
  |              ^^^^
  = help: quote it: "true"
  = fix:  orchestr8 check --fix   (quote it: "true")
"""  # fmt: skip


def test_what_a_shell_would_do_is_left_out_and_warned_of(key) -> None:
    assert key.value("serve > /dev/null") == ["serve"]
    assert key.warned("serve > /dev/null") == """\
warning[O8-113]: `services.web.command` is not run by a shell: all from `>` on is left out, as compose does
 --> stack.yml:4:14
4 |     command: serve > /dev/null
  |              ^^^^^^^^^^^^^^^^^
  = help: write ["sh", "-c", "..."] for a shell
"""  # fmt: skip


def test_an_open_quote_is_an_error(key) -> None:
    assert key.errors("'sh -c \"x'") == [
        'O8-305 `services.web.command`: the command line cannot be split: a " is not closed'
    ]
