"""`healthcheck`: how it is found out whether the program is well."""

import pytest


def test_text_is_for_a_shell_and_a_list_says_for_whom(key) -> None:
    assert [each["test"] for each in key.values(
        "{test: curl -f localhost}", "{test: [CMD, a, b]}", "{test: [CMD-SHELL, a b]}", "{test: [NONE]}",
    )] == [["CMD-SHELL", "curl -f localhost"], ["CMD", "a", "b"], ["CMD-SHELL", "a b"], ["NONE"]]  # fmt: skip
    assert key.unsaid() is None


def test_times_are_shown_as_go_shows_them(key) -> None:
    written = "{test: a, interval: 90s, timeout: 500ms, start_period: 1h, start_interval: 1.5s, retries: 5}"
    assert key.value(written) == {
        "test": ["CMD-SHELL", "a"], "interval": "1m30s", "timeout": "500ms", "start_period": "1h0m0s",
        "start_interval": "1.5s", "retries": 5,
    }  # fmt: skip


def test_one_that_is_turned_off_keeps_what_it_says(key) -> None:
    assert key.value("{disable: true, interval: 5s}") == {"disable": True, "interval": "5s"}
    assert key.value("{disable: false, test: a}") == {"test": ["CMD-SHELL", "a"]}


def test_a_later_file_replaces_the_test_whole_and_keeps_the_rest(key) -> None:
    assert key.merged("{test: [CMD, a, b], retries: 3}", "{test: c}") == {"test": ["CMD-SHELL", "c"], "retries": 3}
    assert key.merged("{test: a, interval: 5s}", "{disable: true}") == {
        "test": ["CMD-SHELL", "a"], "interval": "5s", "disable": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("written", "error"),
    [
        ("{test: [curl, x]}", ("26: error[O8-305] `services.web.healthcheck.test`: a list starts with CMD, CMD-SHELL or NONE, "
         "not `curl`")),
        ("{test: [CMD]}", "25: error[O8-305] `services.web.healthcheck.test`: CMD needs a program"),
        ("{test: [CMD-SHELL, a, b]}", ("25: error[O8-305] `services.web.healthcheck.test`: CMD-SHELL takes exactly one text, "
         "the shell's command line")),
        ("{test: a, interval: 5}", ("38: error[O8-305] `services.web.healthcheck.interval` must be a duration such as 30s or "
         "1m30s, found the number 5")),
        ("{test: a, retries: often}", ("37: error[O8-104] `services.web.healthcheck.retries` must be an integer, found the "
         "text `often`")),
    ],
)  # fmt: skip
def test_what_cannot_be_a_check_is_an_error(key, written: str, error: str) -> None:
    assert key.outcome(written).errors == [f"stack.yml:4:{error}"]


def test_an_unknown_setting_is_shown_with_the_valid_ones(key) -> None:
    assert key.printed("\n      test: a\n      intervall: 5s") == """\
error[O8-101]: unknown key `intervall` in `services.web.healthcheck`
 --> stack.yml:6:7
6 |       intervall: 5s
  |       ^^^^^^^^^ not a healthcheck setting
  = note: valid keys: disable, interval, retries, start_interval, start_period, test, timeout
  = help: did you mean `interval`?
  = fix:  orchestr8 check --fix   (write `interval`)
"""  # fmt: skip


def test_settings_without_a_test_are_for_the_images_own(key) -> None:
    assert key.outcome("{interval: 5s}").warnings == [
        "stack.yml:4:5: warning[O8-206] `services.web.healthcheck` has no `test`: the image's own is used, where it has one"
    ]
