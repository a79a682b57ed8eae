"""Names from containers in messages: one line, and nothing that a terminal obeys."""

import pytest

from orchestr8.model.shown import shown


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"srv/plain \xc3\xa9", "srv/plain é"),
        (b"e\x1b]0;pwned\x07\nfaked line", "e\\x1b]0;pwned\\x07\\nfaked line"),
        (b"no \xff utf-8", "no \\xff utf-8"),
        ("to the \u202eleft".encode(), "to the \\u202eleft"),
        (b"a" * 150 + b"b" * 150, "a" * 100 + "…" + "b" * 100),
    ],
)
def test_a_name_is_shown_in_one_line_that_nothing_obeys(name: bytes, text: str) -> None:
    assert shown(name) == text
