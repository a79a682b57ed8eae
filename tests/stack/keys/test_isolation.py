"""`isolation`: how a container of Windows is kept apart."""


def test_a_word_stays_as_it_is_written(key) -> None:
    assert key.values("hyperv", "''") == ["hyperv", None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("process", "hyperv") == "hyperv"


def test_up_refuses_it(key) -> None:
    assert key.acted_on("hyperv") == ["stack.yml:4:5: error[O8-110] `services.web.isolation` is not supported yet"]


def test_it_is_text(key) -> None:
    assert key.printed("true") == """\
error[O8-104]: `services.web.isolation` must be an isolation, found the boolean true
 --> stack.yml:4:16
4 |     isolation: true
  |                ^^^^
  = help: quote it: "true"
  = fix:  orchestr8 check --fix   (quote it: "true")
"""  # fmt: skip
