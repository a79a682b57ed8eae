"""`ulimits`: what each process of the container may use."""


def test_a_number_stands_for_both_limits(key) -> None:
    assert key.value("{nproc: 5, nofile: {soft: 1, hard: '2'}, core: 0, memlock: -1}") == {
        "nproc": 5, "nofile": {"soft": 1, "hard": 2}, "core": 0, "memlock": -1,
    }  # fmt: skip
    assert key.unsaid() is None


def test_a_later_file_replaces_a_limit_whole(key) -> None:
    assert key.merged("{nproc: 5, nofile: {soft: 1, hard: 2}}", "{nofile: 9}") == {"nproc": 5, "nofile": 9}


def test_the_kernel_has_such_a_limit_and_the_soft_one_is_no_higher(key) -> None:
    assert key.acted_on("{nofiles: 5}") == [
        "stack.yml:4:15: error[O8-305] `services.web.ulimits.nofiles`: the kernel has no such limit"
    ]
    assert key.acted_on("{nofile: {soft: 9, hard: 5}}") == [
        "stack.yml:4:23: error[O8-305] `services.web.ulimits.nofile`: the soft limit is above the hard one"
    ]
    assert key.acted_on("{nofile: {soft: 5, hard: -1}}") == []


def test_there_are_both_or_one_number(key) -> None:
    assert key.errors("{nofile: many}", "{no-file: 1}") == [
        "O8-104 `services.web.ulimits.nofile` must be an integer, found the text `many`",
        "O8-108 `services.web.ulimits`: `no-file` cannot be a name",
    ]
    assert key.printed("{nofile: {soft: 1}}") == """\
error[O8-105]: `services.web.ulimits.nofile` has no `hard`
 --> stack.yml:4:24
4 |     ulimits: {nofile: {soft: 1}}
  |                        ^^^^
  = help: add `hard:`
"""  # fmt: skip
