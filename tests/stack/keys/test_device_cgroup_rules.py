"""`device_cgroup_rules`: kinds of devices that the container may use, as the kernel writes them."""


def test_rules_stay_as_they_are_written(key) -> None:
    assert key.value("['c 1:3 rwm', 'a *:* m']") == ["c 1:3 rwm", "a *:* m"]
    assert key.unsaid() is None


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("['c 1:3 r']", "['c 1:5 r', 'c 1:3 r']") == ["c 1:3 r", "c 1:5 r"]


def test_a_rule_is_one(key) -> None:
    assert key.acted_on("['c 1:3 rwm', 'b 8:* rw']") == []
    assert key.acted_on("['c 1 r']") == [
        "stack.yml:4:27: error[O8-305] `services.web.device_cgroup_rules[0]`: `c 1 r` is not a device rule"
    ]


def test_one_alone_is_a_list_too(key) -> None:
    assert key.printed("c 1:3 rwm") == """\
error[O8-104]: `services.web.device_cgroup_rules` must be a list of texts, found the text `c 1:3 rwm`
 --> stack.yml:4:26
4 |     device_cgroup_rules: c 1:3 rwm
  |                          ^^^^^^^^^
  = help: write [c 1:3 rwm]
"""  # fmt: skip
