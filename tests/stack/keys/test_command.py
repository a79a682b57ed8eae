"""`command` and `entrypoint`."""

import pytest


@pytest.mark.parametrize("key", ["command", "entrypoint"])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("python3 -m http.server", ["python3", "-m", "http.server"]),
        ("[sh, -c, 'a; b']", ["sh", "-c", "a; b"]),
        ("'sh -c \"a; b\"'", ["sh", "-c", "a; b"]),
        ("", None),
        ("[]", []),
        ("''", []),
    ],
)
def test_text_is_split_a_list_is_kept_and_nothing_is_the_images(service, key: str, value: str, words) -> None:
    assert service(f"{key}: {value}").services["web"][key] == words


def test_a_word_must_be_text(service) -> None:
    found = service("command: [sleep, 5]")
    assert found.errors == ["stack.yml:4:22: error[O8-104] `services.web.command[1]` must be text, found the number 5"]
    assert '= help: quote it: "5"' in found.text


def test_what_a_shell_would_do_is_warned_of(service) -> None:
    found = service("command: serve > /dev/null")
    assert found.web == {"command": ["serve"]}
    assert found.warnings == [
        (
            "stack.yml:4:14: warning[O8-113] `services.web.command` is not run by a shell: all from `>` on is left out, "
            "as compose does"
        )
    ]


def test_an_open_quote_is_an_error(service) -> None:
    assert service("command: 'sh -c \"x'").errors == [
        'stack.yml:4:14: error[O8-305] `services.web.command`: the command line cannot be split: a " is not closed'
    ]
