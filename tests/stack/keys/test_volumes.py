"""`volumes`: what is mounted into the container."""

import pytest

NAMED = "volumes: {data: }\n"
BIND = {"type": "bind", "source": "/srv", "target": "/d", "bind": {"create_host_path": True}}


@pytest.mark.parametrize(
    ("written", "long"),
    [
        ("'data:/d'", {"type": "volume", "source": "data", "target": "/d", "volume": {}}),
        ("'data:/d:ro,nocopy'", {"type": "volume", "source": "data", "target": "/d", "read_only": True, "volume": {"nocopy": True}}),
        ("/anonymous", {"type": "volume", "target": "/anonymous", "volume": {}}),
        ("'/srv:/d'", BIND),
        ("'./x:/d/../d/'", {**BIND, "source": "<dir>/x"}),
        ("'/srv:/d:ro,cached'", {**BIND, "read_only": True}),
        ("'/srv:/d:z,rslave'", {**BIND, "bind": {"selinux": "z", "propagation": "rslave", "create_host_path": True}}),
        ("{type: bind, source: /srv, target: /d}", BIND),
        ("{type: bind, source: /srv, target: /d, bind: {create_host_path: false}}", {**BIND, "bind": {"create_host_path": False}}),
        ("{target: /d, type: volume, source: data, volume: {nocopy: true}, read_only: 'yes'}",
         {"type": "volume", "source": "data", "target": "/d", "read_only": True, "volume": {"nocopy": True}}),
        ("{type: tmpfs, target: /t, tmpfs: {size: 64m, mode: '0700'}}",
         {"type": "tmpfs", "target": "/t", "tmpfs": {"size": "67108864", "mode": 0o700}}),
        ("{type: tmpfs, target: /t}", {"type": "tmpfs", "target": "/t"}),
    ],
)  # fmt: skip
def test_every_form_has_one_long_form(key, project_dir, written: str, long: dict) -> None:
    (found,) = key.value(f"[{written}]", NAMED)
    assert {**found, "source": found.get("source", "").replace(str(project_dir), "<dir>")} == {"source": "", **long}


def test_a_later_file_mounts_more_and_what_has_one_target_is_one(key) -> None:
    assert key.unsaid() is None
    found = key.merged("['data:/a', '/b:/b']", "['/c:/a', '/d:/d']", NAMED)
    assert [(each["source"], each["target"]) for each in found] == [("/c", "/a"), ("/b", "/b"), ("/d", "/d")]


@pytest.mark.parametrize(
    ("written", "error"),
    [
        ("''", "`services.web.volumes[0]`: invalid empty volume spec"),
        ("'/a:/b:ro:x'", "`services.web.volumes[0]`: too many colons"),
        ("{type: bind, target: /t}", "`services.web.volumes[0]`: a bind mount needs a `source`"),
        ("{type: tmpfs, source: x, target: /t}", "`services.web.volumes[0]`: a tmpfs has no `source`"),
        ("{type: bnd, source: /x, target: /t}", ("`services.web.volumes[0].type` must be one of bind, volume, tmpfs, image, npipe, "
         "cluster, found the text `bnd`")),
        ("{source: /x, target: /t}", "`services.web.volumes[0]` has no `type`"),
        ("{type: volume, source: data}", "`services.web.volumes[0]` has no `target`"),
        ("{type: tmpfs, target: /t, tmpfs: {size: -1}}", ("`services.web.volumes[0].tmpfs.size`: must be greater than or equal to 0, "
         "found -1")),
        ("{type: tmpfs, target: /t, tmpfs: {mode: rwx}}", ("`services.web.volumes[0].tmpfs.mode` must be permission bits such as "
         "0755, found the text `rwx`")),
        ("5", ('`services.web.volumes[0]` must be a mount such as "./data:/data", or {type: bind, source: ./data, target: /data}, '
         "found the number 5")),
        ("'dta:/d'", "no volume is called `dta`"),
    ],
)  # fmt: skip
def test_what_is_no_mount_is_an_error(key, written: str, error: str) -> None:
    assert [line.partition("] ")[2] for line in key.outcome(f"[{written}]", NAMED).errors] == [error]


def test_nothing_stands_between_two_colons(key) -> None:
    assert key.printed("['/a::ro']") == """\
error[O8-305]: `services.web.volumes[0]`: empty section between colons
 --> stack.yml:4:15
4 |     volumes: ['/a::ro']
  |               ^^^^^^^^
  = help: the short form is "SOURCE:TARGET" or "SOURCE:TARGET:ro"
"""  # fmt: skip


@pytest.mark.parametrize(
    ("mount", "told"),
    [
        ("'data:d'", "`services.web.volumes[0]`: the target `d` must be an absolute path in the container"),
        ("{type: bind, source: /, target: /t, bind: {propagation: up}}",
         "`services.web.volumes[0].bind.propagation`: `up` is none of private, rprivate, rshared, rslave, shared, slave"),
        ("{type: bind, source: /, target: /t, bind: {recursive: readonly}}",
         "`services.web.volumes[0].bind.recursive: readonly` needs `read_only: true`"),
        ("{type: bind, source: /, target: /t, read_only: true, bind: {recursive: readonly, propagation: rslave}}",
         "`services.web.volumes[0].bind.recursive: readonly` and propagation rslave exclude each other"),
        ("{type: volume, source: data, target: /t, volume: {subpath: a/../../b}}",
         "`services.web.volumes[0].volume.subpath`: `a/../../b` does not lie in the volume"),
        ("{type: volume, source: data, target: /t, volume: {subpath: /etc}}",
         "`services.web.volumes[0].volume.subpath`: `/etc` does not lie in the volume"),
    ],
)  # fmt: skip
def test_what_no_engine_could_mount_is_refused_with_its_place(key, mount: str, told: str) -> None:
    (line,) = key.acted_on(f"[{mount}]", NAMED)
    assert line.startswith("stack.yml:4:")
    assert line.endswith(f"error[O8-305] {told}")


def test_an_image_mount_is_refused_until_there_are_images(key) -> None:
    (line,) = key.acted_on("[{type: image, source: x, target: /t}]")
    assert line.endswith("error[O8-110] `services.web.volumes[0]`: a mount of type image is not supported yet")


def test_options_of_another_kind_of_mount_are_warned_of(key) -> None:
    found = key.acted_on("[{type: volume, source: data, target: /d, bind: {selinux: z}}]", NAMED)
    assert [line.partition("] ")[2] for line in found] == [
        "`services.web.volumes[0].bind` has no effect on a mount of type volume",
        "`selinux` has no effect (`services.*.volumes[].bind.selinux`)",
    ]


def test_a_second_mount_on_one_target_is_warned_of(key) -> None:
    found = key.outcome("['data:/d', '/:/d']", NAMED)
    assert [mount["source"] for mount in key.of(found)] == ["/"]
    assert found.warnings == [
        "stack.yml:4:15: warning[O8-208] `services.web.volumes`: /d is mounted again below; the last one is used"
    ]
