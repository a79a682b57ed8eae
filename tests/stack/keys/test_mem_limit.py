"""`mem_limit`: how much memory the container may use."""


def test_a_size_is_bytes(key) -> None:
    assert key.values("512m", "1.5GiB", "64000000", "-1", "'-1'", "0") == [
        "536870912",
        "1610612736",
        "64000000",
        "-1",
        "-1",
        None,
    ]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("512m", "64m") == "67108864"


def test_it_agrees_with_deploy(key) -> None:
    deploy = "\n    deploy: {resources: {limits: {memory: %s}}}"
    assert key.value("64m" + deploy % "65536k") == "67108864"
    assert key.errors("64m" + deploy % "32m") == [
        "O8-204 `services.web`: mem_limit and deploy.resources.limits.memory differ"
    ]


def test_less_than_six_mebibytes_is_too_little_to_start(key) -> None:
    assert key.acted_on("5m") == [
        "stack.yml:4:16: error[O8-305] `services.web`: a container needs at least 6m of memory"
    ]


def test_it_is_a_size(key) -> None:
    assert key.printed("lots") == """\
error[O8-305]: `services.web.mem_limit` must be a size such as 512m, found the text `lots`
 --> stack.yml:4:16
4 |     mem_limit: lots
  |                ^^^^
  = help: a size is a number with a unit: b, k, m, g or t, such as 512m or 1.5g
"""  # fmt: skip
