"""Mounts and files of a service, from its canonical document."""

from typing import Any

import pytest

from orchestr8.errors import InvalidInput
from orchestr8.model.specs import FileSpec, MountKind, MountSpec, Recursion
from orchestr8.plan.desired import build_desired


def container(service: dict[str, Any], **rest: Any) -> Any:
    document = {
        "name": "shop",
        "services": {"web": {"image": "rootfs:/", **service}},
        "networks": {"default": None},
        **rest,
    }
    return build_desired(document).services["web"].container  # type: ignore[index]


def test_files_have_places_owners_and_modes_without_bits_for_writing() -> None:
    found = container({
        "secrets": [
            {"source": "s", "target": "/run/secrets/s"},
            {"source": "s", "target": "short", "uid": "5", "gid": "6", "mode": "0640"},
        ],
        "configs": [{"source": "c"}, {"source": "c", "target": "rel", "mode": 0o777}],
    }, **{"x-orchestr8": {"contents": {"secrets.s": "sha256:1"}}})  # fmt: skip
    assert found.files == (
        FileSpec(name="configs.c", target="/c"),
        FileSpec(name="configs.c", target="/rel", mode=0o555),
        FileSpec(name="secrets.s", target="/run/secrets/s"),
        FileSpec(name="secrets.s", target="/run/secrets/short", uid=5, gid=6, mode=0o440),
    )
    assert found.contents == (("configs.c", ""), ("secrets.s", "sha256:1"))


@pytest.mark.parametrize("owner", ["root", "-1", "4294967295", "0x0"])
def test_an_owner_that_is_no_number_is_refused(owner: str) -> None:
    with pytest.raises(InvalidInput, match=r"services\.web\.secrets: uid: .* is not the number"):
        container({"secrets": [{"source": "s", "uid": owner}]})


def test_options_of_binds_and_volumes_are_taken_over() -> None:
    found = container({
        "volumes": [
            {"type": "bind", "source": "/a", "target": "/a", "bind": {"propagation": "rslave", "recursive": "writable"}},
            {"type": "volume", "source": "data", "target": "/b", "volume": {"subpath": "x//y/../z/"}},
            {"type": "volume", "source": "data", "target": "/c", "volume": {"subpath": "."}},
        ],
    })  # fmt: skip
    assert found.mounts == (
        MountSpec(kind=MountKind.BIND, source="/a", target="/a", propagation="rslave", recursion=Recursion.WRITABLE),
        MountSpec(kind=MountKind.VOLUME, source="shop_data", target="/b", subpath="x/z"),
        MountSpec(kind=MountKind.VOLUME, source="shop_data", target="/c"),
    )


@pytest.mark.parametrize("path", ["/etc", "..", "../x", "a/../.."])
def test_a_subpath_that_leads_out_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match="does not lie in the volume"):
        container({"volumes": [{"type": "volume", "source": "d", "target": "/d", "volume": {"subpath": path}}]})
