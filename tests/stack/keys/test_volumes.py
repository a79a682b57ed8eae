"""`volumes` and `tmpfs` of a service."""

import pytest

NAMED = "volumes: {data: }\n"


def mounts(service, text: str) -> list[dict]:
    return service(f"volumes: [{text}]", NAMED).web["volumes"]


@pytest.mark.parametrize(
    ("text", "long"),
    [
        ("'data:/d'", {"type": "volume", "source": "data", "target": "/d", "volume": {}}),
        ("'data:/d:ro,nocopy'", {"type": "volume", "source": "data", "target": "/d", "read_only": True, "volume": {"nocopy": True}}),
        ("/anonymous", {"type": "volume", "target": "/anonymous", "volume": {}}),
        ("'/srv:/d'", {"type": "bind", "source": "/srv", "target": "/d", "bind": {"create_host_path": True}}),
        ("'/srv:/d:ro,cached'", {"type": "bind", "source": "/srv", "target": "/d", "read_only": True, "bind": {"create_host_path": True}}),
        ("{type: bind, source: /srv, target: /d, bind: {create_host_path: false}}",
         {"type": "bind", "source": "/srv", "target": "/d", "bind": {"create_host_path": False}}),
        ("{target: /d, type: volume, source: data, volume: {nocopy: true}, read_only: 'yes'}",
         {"type": "volume", "source": "data", "target": "/d", "read_only": True, "volume": {"nocopy": True}}),
        ("{type: tmpfs, target: /t, tmpfs: {size: 64m, mode: '0700'}}",
         {"type": "tmpfs", "target": "/t", "tmpfs": {"size": "67108864", "mode": 0o700}}),
        ("{type: tmpfs, target: /t}", {"type": "tmpfs", "target": "/t"}),
    ],
)  # fmt: skip
def test_every_form_has_one_long_form(service, text: str, long: dict) -> None:
    assert mounts(service, text) == [long]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("''", "`services.web.volumes[0]`: invalid empty volume spec"),
        ("'/a:/b:ro:x'", "`services.web.volumes[0]`: too many colons"),
        ("'/a::ro'", "`services.web.volumes[0]`: empty section between colons"),
        ("'data:d'", "`services.web.volumes[0]`: the target `d` must be an absolute path in the container"),
        ("{type: tmpfs, source: x, target: /t}", "`services.web.volumes[0]`: a tmpfs has no `source`"),
        ("{type: bnd, source: /x, target: /t}", ("`services.web.volumes[0].type` must be one of bind, volume, tmpfs, image, npipe, "
         "cluster, found the text `bnd`")),
        ("{source: /x, target: /t}", "`services.web.volumes[0]` has no `type`"),
        ("{type: tmpfs, target: /t, tmpfs: {size: -1}}", ("`services.web.volumes[0].tmpfs.size`: must be greater than or equal to 0, "
         "found -1")),
        ("{type: tmpfs, target: /t, tmpfs: {mode: rwx}}", ("`services.web.volumes[0].tmpfs.mode` must be permission bits such as "
         "0755, found the text `rwx`")),
        ("5", ('`services.web.volumes[0]` must be a mount such as "./data:/data", or {type: bind, source: ./data, target: /data}, '
         "found the number 5")),
    ],
)  # fmt: skip
def test_what_is_no_mount_is_an_error(service, text: str, error: str) -> None:
    assert error in [line.partition("] ")[2] for line in service(f"volumes: [{text}]", NAMED).errors]


def test_an_image_mount_is_refused_until_there_are_images(service) -> None:
    (line,) = service("volumes: [{type: image, source: x, target: /t}]", NAMED).errors
    assert line.endswith("error[O8-110] `services.web.volumes[0]`: a mount of type image is not supported yet")


@pytest.mark.parametrize(
    ("mount", "told"),
    [
        (
            "{type: bind, source: /, target: /t, bind: {propagation: up}}",
            "`services.web.volumes[0].bind.propagation`: `up` is none of private, rprivate, rshared, rslave, shared, slave",
        ),
        (
            "{type: bind, source: /, target: /t, bind: {recursive: readonly}}",
            "`services.web.volumes[0].bind.recursive: readonly` needs `read_only: true`",
        ),
        (
            "{type: bind, source: /, target: /t, read_only: true, bind: {recursive: readonly, propagation: rslave}}",
            "`services.web.volumes[0].bind.recursive: readonly` and propagation rslave exclude each other",
        ),
        (
            "{type: volume, source: data, target: /t, volume: {subpath: a/../../b}}",
            "`services.web.volumes[0].volume.subpath`: `a/../../b` does not lie in the volume",
        ),
        (
            "{type: volume, source: data, target: /t, volume: {subpath: /etc}}",
            "`services.web.volumes[0].volume.subpath`: `/etc` does not lie in the volume",
        ),
    ],
)
def test_what_no_engine_could_mount_is_refused_with_its_place(service, mount: str, told: str) -> None:
    (line,) = service(f"volumes: [{mount}]", NAMED).errors
    assert line.startswith("stack.yml:4:")
    assert line.endswith(f"error[O8-305] {told}")


def test_options_of_another_kind_of_mount_are_warned_of(service) -> None:
    found = service("volumes: [{type: volume, source: data, target: /d, bind: {selinux: z}}]", NAMED)
    assert [line.partition("] ")[2] for line in found.warnings] == [
        "`services.web.volumes[0].bind` has no effect on a mount of type volume",
        "`selinux` has no effect (`services.*.volumes[].bind.selinux`)",
    ]


def test_a_second_mount_on_one_target_is_warned_of(service) -> None:
    found = service("volumes: ['data:/d', '/:/d']", NAMED)
    assert [mount["source"] for mount in found.web["volumes"]] == ["/"]
    assert found.warnings == [
        "stack.yml:4:15: warning[O8-208] `services.web.volumes`: /d is mounted again below; the last one is used"
    ]


def test_tmpfs_is_a_path_or_a_list_with_options(service) -> None:
    assert service("tmpfs: /run").web == {"tmpfs": ["/run"]}
    assert service("tmpfs: ['/run:size=64m,mode=755,noexec', /tmp]").web == {
        "tmpfs": ["/run:size=64m,mode=755,noexec", "/tmp"]
    }
    for wrong in ("run", "'/run:size=big'", "'/run:mode=9'", "[[/run]]"):
        assert len(service(f"tmpfs: {wrong}").errors) == 1
