"""`volumes`: the volumes of the stack."""

USED = "services: {a: {image: x, volumes: ['v:/v']}}\nvolumes:\n  v: "


def test_nothing_said_is_a_volume_with_a_name(key) -> None:
    assert key.values("", "{}", "{name: mine}", "{driver: local, labels: [a=b]}") == [
        {"name": "shop_x"}, {"name": "shop_x"}, {"name": "mine"},
        {"name": "shop_x", "driver": "local", "labels": {"a": "b"}},
    ]  # fmt: skip


def test_a_directory_that_it_stands_for_is_whole(key, project_dir) -> None:
    assert key.value("{driver_opts: {type: none, o: bind, device: ./d}}")["driver_opts"]["device"] == f"{project_dir}/d"
    assert key.value("{driver_opts: {type: nfs, o: 'addr=10.0.0.1', device: ':/d'}}")["driver_opts"]["device"] == ":/d"


def test_a_volume_is_there_when_it_is_used(stack) -> None:
    assert list(stack(USED + "\n  w:\n").document["volumes"]) == ["v"]


def test_an_external_one_has_only_a_name(key) -> None:
    assert key.values("{external: true}", "{external: {name: y}}") == [
        {"name": "x", "external": True}, {"name": "y", "external": True},
    ]  # fmt: skip
    assert key.outcome("{external: {name: y}}").warnings == [
        "stack.yml:2:17: warning[O8-109] `volumes.x.external.name` is deprecated"
    ]
    assert key.printed("{external: true, driver: local}") == """\
error[O8-204]: `volumes.x` is external, so `driver` cannot be set here
 --> stack.yml:2:23
2 |   x: {external: true, driver: local}
  |                       ^^^^^^
2 |   x: {external: true, driver: local}
  |       -------- external here
"""  # fmt: skip


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("{labels: [a=1], name: n}", "{labels: {b: 2}}") == {"name": "n", "labels": {"a": "1", "b": "2"}}


def test_another_driver_or_its_options_are_refused(stack) -> None:
    assert stack(USED + "{driver: local}").errors == []
    assert stack(USED + "{driver: nfs}").errors == [
        "stack.yml:3:15: error[O8-110] `volumes.v.driver`: the driver `nfs` is not supported yet"
    ]
    assert stack(USED + "{driver_opts: {type: nfs}}").errors == [
        "stack.yml:3:7: error[O8-110] `volumes.v.driver_opts` is not supported yet"
    ]
