"""`cpuset`: which processors the container runs on."""


def test_ranges_stay_as_they_are_written(key) -> None:
    assert key.values("0-3", "'0,1'", "''") == ["0-3", "0,1", None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("0-3", "0-1") == "0-1"


def test_it_names_processors(key) -> None:
    assert key.acted_on("all") == [
        "stack.yml:4:13: error[O8-305] `services.web.cpuset` must be a list of processors such as 0-3 or 0,2, found `all`"
    ]


def test_a_single_one_is_text_too(key) -> None:
    assert key.printed("0") == """\
error[O8-104]: `services.web.cpuset` must be processors, such as 0-3 or 0,1, found the number 0
 --> stack.yml:4:13
4 |     cpuset: 0
  |             ^
  = help: quote it: "0"
  = fix:  orchestr8 check --fix   (quote it: "0")
"""  # fmt: skip
