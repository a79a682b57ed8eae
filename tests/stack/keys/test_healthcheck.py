import pytest


def check(service, text: str):
    return service(f"healthcheck: {text}").web["healthcheck"]


def test_each_form_of_the_test(service) -> None:
    assert check(service, "{test: curl -f localhost}") == {"test": ["CMD-SHELL", "curl -f localhost"]}
    assert check(service, "{test: [CMD, a, b]}") == {"test": ["CMD", "a", "b"]}
    assert check(service, "{test: [CMD-SHELL, a b]}") == {"test": ["CMD-SHELL", "a b"]}
    assert check(service, "{test: [NONE]}") == {"test": ["NONE"]}
    assert check(service, "{disable: true, interval: 5s}") == {"disable": True, "interval": "5s"}
    assert check(service, "{disable: false, test: a}") == {"test": ["CMD-SHELL", "a"]}


def test_times_are_shown_as_go_shows_them(service) -> None:
    text = "{test: a, interval: 90s, timeout: 500ms, start_period: 1h, start_interval: 1.5s, retries: 5}"
    assert check(service, text) == {
        "test": ["CMD-SHELL", "a"], "interval": "1m30s", "timeout": "500ms", "start_period": "1h0m0s",
        "start_interval": "1.5s", "retries": 5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "error"),
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
def test_what_cannot_be_a_check_is_an_error(service, text: str, error: str) -> None:
    assert service(f"healthcheck: {text}").errors == [f"stack.yml:4:{error}"]


def test_an_unknown_setting_is_shown_with_the_valid_ones(service) -> None:
    assert (
        service("healthcheck:\n  test: a\n  intervall: 5s").text
        == """\
error[O8-101]: unknown key `intervall` in `services.web.healthcheck`
 --> stack.yml:6:7
6 |       intervall: 5s
  |       ^^^^^^^^^ not a healthcheck setting
  = note: valid keys: disable, interval, retries, start_interval, start_period, test, timeout
  = help: did you mean `interval`?
  = fix:  orchestr8 check --fix   (write `interval`)
"""
    )


def test_settings_without_a_test_are_warned_of(service) -> None:
    assert service("healthcheck: {interval: 5s}").warnings == [
        "stack.yml:4:5: warning[O8-206] `services.web.healthcheck` has no `test`: the image's own is used, where it has one"
    ]
