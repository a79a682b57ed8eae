"""`stop_grace_period`: how long the program has to end before it is killed."""


def test_a_duration_is_shown_as_go_shows_it(key) -> None:
    assert key.values("90s", "1m30s", "1.5h", "500ms", "'0'", "+5s") == [
        "1m30s",
        "1m30s",
        "1h30m0s",
        "500ms",
        "0s",
        "5s",
    ]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("1s", "2s") == "2s"


def test_a_number_needs_a_unit(key) -> None:
    assert key.printed("10") == """\
error[O8-305]: `services.web.stop_grace_period` must be a duration such as 30s or 1m30s, found the number 10
 --> stack.yml:4:24
4 |     stop_grace_period: 10
  |                        ^^
  = help: give it a unit: 10s
"""  # fmt: skip
    assert key.errors("soon", "-5s", "''") == [
        "O8-305 `services.web.stop_grace_period` must be a duration such as 30s or 1m30s, found the text `soon`",
        "O8-305 `services.web.stop_grace_period` must be a duration such as 30s or 1m30s, found the text `-5s`",
        "O8-305 `services.web.stop_grace_period` must be a duration such as 30s or 1m30s, found an empty text",
    ]
