"""`pull_policy`: when the image is fetched anew."""


def test_a_policy_stays_as_it_is_written(key) -> None:
    words = ["always", "never", "missing", "build", "refresh", "daily", "weekly", "every_2d", "every_1h30m"]
    assert key.values(*words) == words
    assert key.unsaid() is None


def test_one_of_them_has_an_older_name(key) -> None:
    assert key.value("if_not_present") == "missing"


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("always", "never") == "never"


def test_it_has_no_effect(key) -> None:
    assert key.acted_on("always") == [
        "stack.yml:4:5: warning[O8-111] `pull_policy` has no effect (`services.*.pull_policy`)"
    ]


def test_there_is_such_a_policy(key) -> None:
    assert key.printed("sometimes") == """\
error[O8-305]: `services.web.pull_policy` must be a pull policy, found the text `sometimes`
 --> stack.yml:4:18
4 |     pull_policy: sometimes
  |                  ^^^^^^^^^
  = help: one of always, never, missing, build, daily, weekly, or every_12h and the like
"""  # fmt: skip
    assert key.errors("''") == ["O8-104 `services.web.pull_policy` must be a pull policy, found an empty text"]
