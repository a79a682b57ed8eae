"""`cap_drop`: rights that the program lacks of the usual ones."""


def test_names_stay_as_they_are_written_each_once(key) -> None:
    assert key.value("[ALL, NET_RAW, ALL]") == ["ALL", "NET_RAW"]
    assert key.unsaid() is None


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("[CHOWN]", "[KILL]") == ["CHOWN", "KILL"]


def test_the_kernel_knows_them(key) -> None:
    assert key.acted_on("[NOTHING]") == [
        "stack.yml:4:16: error[O8-305] `services.web.cap_drop[0]`: there is no capability `NOTHING`"
    ]


def test_a_name_is_text(key) -> None:
    assert key.printed("[{ALL: }]") == """\
error[O8-104]: `services.web.cap_drop[0]` must be a capability, such as NET_ADMIN, found a mapping
 --> stack.yml:4:16
4 |     cap_drop: [{ALL: }]
  |                ^
"""  # fmt: skip
