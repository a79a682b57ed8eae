"""`cgroup_parent`: below which group the container's stands."""


def test_a_path_stays_as_it_is_written(key) -> None:
    assert key.values("/a/b.slice/", "batch", "''") == ["/a/b.slice/", "batch", None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("a", "b") == "b"


def test_it_does_not_lead_upwards(key) -> None:
    assert key.acted_on("../up") == [
        "stack.yml:4:20: error[O8-305] `services.web.cgroup_parent` must be the path of a cgroup such as /batch, found `../up`"
    ]


def test_it_is_text(key) -> None:
    assert key.printed("5") == """\
error[O8-104]: `services.web.cgroup_parent` must be a cgroup, found the number 5
 --> stack.yml:4:20
4 |     cgroup_parent: 5
  |                    ^
  = help: quote it: "5"
  = fix:  orchestr8 check --fix   (quote it: "5")
"""  # fmt: skip
