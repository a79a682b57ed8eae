"""`runtime`: the program that makes the container; here it is orchestr8 itself, which does it as runc and its like do."""

import pytest


def test_a_name_stays_as_it_is_written(key) -> None:
    assert key.values("runc", "''") == ["runc", None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("runc", "crun") == "crun"


@pytest.mark.parametrize("name", ["runc", "crun", "youki", "io.containerd.runc.v2", "orchestr8", "''"])
def test_what_those_would_make_is_made(key, name: str) -> None:
    assert key.acted_on(name) == []


@pytest.mark.parametrize("name", ["runsc", "kata-runtime", "nvidia", "io.containerd.runsc.v1"])
def test_who_would_keep_the_container_apart_in_another_way_is_not_replaced_in_silence(key, name: str) -> None:
    assert key.acted_on(name) == [f"stack.yml:4:14: error[O8-110] `services.web.runtime: {name}` is not supported yet"]


def test_it_is_text(key) -> None:
    assert key.printed("{name: runc}") == """\
error[O8-104]: `services.web.runtime` must be the name of a runtime, found a mapping
 --> stack.yml:4:14
4 |     runtime: {name: runc}
  |              ^
"""  # fmt: skip
