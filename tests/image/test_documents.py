"""The documents of an image."""

import json
from typing import Any

import pytest

from orchestr8.errors import OperationFailed
from orchestr8.image import documents
from orchestr8.image.documents import config_of, read_config, read_manifest
from orchestr8.image.resolve import DEFAULT_PATH
from orchestr8.image.resolve import config_of as image_config_of
from orchestr8.model.specs import ContainerSpec, PortSpec
from orchestr8.storage.blobs import Blob

ONE, TWO = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
BASE: dict[str, Any] = {
    "Env": ["PATH=/bin", "A=1", "B=2"], "Entrypoint": ["init"], "Cmd": ["serve"], "User": "app", "WorkingDir": "/srv",
    "Labels": {"x": "1"}, "StopSignal": "SIGINT", "Volumes": {"/data": {}},
}  # fmt: skip


def test_what_was_written_is_read() -> None:
    written = documents.manifest(Blob(ONE, 5), [Blob(TWO, 7)])
    assert read_manifest(written, "x") == (ONE, (Blob(TWO, 7),))
    config = documents.image_config({"Cmd": ["x"]}, [TWO], [], created="2026-01-01T00:00:00Z", author="me")
    document, diff_ids = read_config(config, "x")
    assert diff_ids == (TWO,)
    assert (document["os"], document["author"], document["rootfs"]) == (
        "linux",
        "me",
        {"type": "layers", "diff_ids": [TWO]},
    )


def test_a_layer_stays_compressed_as_it_is_in_images_made_upon_it() -> None:
    gzip = "application/vnd.oci.image.layer.v1.tar+gzip"
    layers = [{"mediaType": gzip, "digest": ONE, "size": 5}, {"mediaType": documents.LAYER, "digest": TWO, "size": 7}]
    _, found = read_manifest(json.dumps({"config": {"digest": ONE}, "layers": layers}).encode(), "x")
    assert found == (Blob(ONE, 5, gzip), Blob(TWO, 7))
    assert json.loads(documents.manifest(Blob(ONE, 5), found))["layers"] == layers


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"layers": [], "config": {"digest": "../../etc/passwd"}}',
        b'{"layers": [{}]}',
        b'{"layers": ["x"]}',
    ],
)
def test_what_is_no_manifest_is_told(text: bytes) -> None:
    with pytest.raises(OperationFailed) as caught:
        read_manifest(text, "x")
    assert caught.value.code == "O8-506"
    with pytest.raises(OperationFailed):
        read_config(text, "x")


def test_a_container_that_was_given_nothing_has_its_images_config() -> None:
    assert config_of(ContainerSpec(image="x"), BASE) == BASE


def test_what_a_container_was_given_counts() -> None:
    spec = ContainerSpec(
        image="x",
        entrypoint=("run",),
        environment=(("A", "9"), ("C", "3")),
        unset_environment=("B",),
        user="0",
        working_dir="/w",
        labels=(("com.docker.compose.project", "shop"), ("y", "2")),
        ports=(PortSpec(target=80, published_first=8080, published_last=8080),),
        stop_signal="SIGQUIT",
    )
    assert config_of(spec, BASE) == {
        "Env": ["PATH=/bin", "A=9", "C=3"], "Entrypoint": ["run"], "User": "0", "WorkingDir": "/w",
        "Labels": {"x": "1", "y": "2"}, "ExposedPorts": {"80/tcp": {}}, "StopSignal": "SIGQUIT",
        "Volumes": {"/data": {}},
    }  # fmt: skip


def test_a_config_says_what_containers_are_started_with() -> None:
    config = image_config_of({**BASE, "Env": ["A=1", "B=x=y"]})
    assert (config.entrypoint, config.command, config.user, config.working_dir) == (
        ("init",),
        ("serve",),
        "app",
        "/srv",
    )
    assert config.environment == (("PATH", DEFAULT_PATH), ("A", "1"), ("B", "x=y"))
    assert image_config_of({"Cmd": None}).command == ()
