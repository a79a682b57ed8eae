"""`userns_mode`: whether the container's users are the machine's."""


def test_a_mode_stays_as_it_is_written(key) -> None:
    assert key.values("host", "private", "''") == ["host", "private", None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("host", "private") == "private"


def test_there_is_such_a_mode(key) -> None:
    assert key.acted_on("keep-id") == [
        "stack.yml:4:18: error[O8-305] `services.web.userns_mode` must be one of host, private, auto, found `keep-id`"
    ]


def test_it_is_text(key) -> None:
    assert key.printed("true") == """\
error[O8-104]: `services.web.userns_mode` must be a user namespace mode, found the boolean true
 --> stack.yml:4:18
4 |     userns_mode: true
  |                  ^^^^
  = help: quote it: "true"
  = fix:  orchestr8 check --fix   (quote it: "true")
"""  # fmt: skip
