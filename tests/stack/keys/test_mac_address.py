"""`mac_address`: the address of the container's interface."""


def test_an_address_stays_as_it_is_written(key) -> None:
    assert key.values("'02:42:ac:11:65:43'", "''") == ["02:42:ac:11:65:43", None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("'02:00:00:00:00:01'", "'02:00:00:00:00:02'") == "02:00:00:00:00:02"


def test_it_has_no_effect(key) -> None:
    assert key.acted_on("'02:00:00:00:00:01'") == [
        "stack.yml:4:5: warning[O8-111] `mac_address` has no effect (`services.*.mac_address`)"
    ]


def test_it_is_text(key) -> None:
    assert key.printed("24200000001") == """\
error[O8-104]: `services.web.mac_address` must be text, found the number 24200000001
 --> stack.yml:4:18
4 |     mac_address: 24200000001
  |                  ^^^^^^^^^^^
  = help: quote it: "24200000001"
  = fix:  orchestr8 check --fix   (quote it: "24200000001")
"""  # fmt: skip
