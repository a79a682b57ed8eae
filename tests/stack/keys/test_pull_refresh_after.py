"""`pull_refresh_after`: after how long an image is fetched anew."""


def test_a_duration_stays_as_it_is_written(key) -> None:
    assert key.values("24h", "''") == ["24h", None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("24h", "1h") == "1h"


def test_it_has_no_effect(key) -> None:
    assert key.acted_on("24h") == [
        "stack.yml:4:5: warning[O8-111] `pull_refresh_after` has no effect (`services.*.pull_refresh_after`)"
    ]


def test_it_is_text(key) -> None:
    assert key.printed("24") == """\
error[O8-104]: `services.web.pull_refresh_after` must be a duration, found the number 24
 --> stack.yml:4:25
4 |     pull_refresh_after: 24
  |                         ^^
  = help: quote it: "24"
  = fix:  orchestr8 check --fix   (quote it: "24")
"""  # fmt: skip
