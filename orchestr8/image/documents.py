"""The documents of an OCI image (image-spec 1.1: config.md, manifest.md), made and read. Pure."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from orchestr8.errors import OperationFailed
from orchestr8.model.specs import ContainerSpec
from orchestr8.storage.blobs import DIGEST, Blob

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
NAME: Final = "org.opencontainers.image.ref.name"  # annotation in the index: what tools take after "oci:PATH:"
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}  # the machine's word → Go's
_COMPOSE: Final = "com.docker.compose."  # labels that say what a container belongs to, which its image does not


class Stored(NamedTuple):
    """An image that is in a store."""

    digest: str  # of its manifest
    id: str  # of its config
    document: dict[str, Any]  # the config, whole
    layers: tuple[Blob, ...]  # from the lowest up
    diff_ids: tuple[str, ...]  # of the same layers, when they are not compressed

    @property
    def config(self) -> dict[str, Any]:
        """Without fields that are null, as Go writes what is empty."""
        return {key: value for key, value in (self.document.get("config") or {}).items() if value is not None}


def read_manifest(data: bytes, digest: str) -> tuple[str, tuple[Blob, ...]]:
    """The config's digest, and the layers."""
    try:
        found = json.loads(data)
        layers = tuple(_layer(each) for each in found["layers"] or ())
        config = str(found["config"]["digest"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OperationFailed(f"{digest} is no manifest of an image: {error!r}", code="O8-506") from error
    if not all(DIGEST.fullmatch(each) for each in (config, *(layer.digest for layer in layers))):
        raise OperationFailed(f"the manifest {digest} names something by what is no digest", code="O8-506")
    return config, layers


def _layer(descriptor: Mapping[str, Any]) -> Blob:
    media_type = str(descriptor.get("mediaType") or LAYER)
    return Blob(descriptor["digest"], int(descriptor["size"]), "" if media_type == LAYER else media_type)


def read_config(data: bytes, digest: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    try:
        found = json.loads(data)
        if not isinstance(found.get("config") or {}, dict):
            raise TypeError("its settings are no object")
        return found, tuple(str(each) for each in found["rootfs"]["diff_ids"] or ())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OperationFailed(f"{digest} is no config of an image: {error!r}", code="O8-506") from error


def manifest(config: Blob, layers: Sequence[Blob]) -> bytes:
    return _json({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": config.digest, "size": config.size},
        "layers": [{"mediaType": each.media_type or LAYER, "digest": each.digest, "size": each.size} for each in layers],
    })  # fmt: skip


def image_config(
    config: Mapping[str, Any],
    diff_ids: Sequence[str],
    history: Sequence[Mapping[str, Any]],
    *,
    created: str,
    author: str,
) -> bytes:
    machine = os.uname().machine
    return _json({
        "created": created,
        **({"author": author} if author else {}),
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        "history": list(history),
    })  # fmt: skip


def history_entry(created: str, created_by: str, *, author: str = "", comment: str = "") -> dict[str, str]:
    entry = {"created": created, "created_by": created_by, "author": author, "comment": comment}
    return {key: value for key, value in entry.items() if value}


def moment(seconds: float) -> str:
    """Unix time as RFC 3339."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def environment_of(config: Mapping[str, Any]) -> dict[str, str]:
    """What says nothing, having no "=", is not there."""
    return dict(pair.split("=", 1) for pair in config.get("Env") or () if "=" in pair)


def config_of(spec: ContainerSpec, base: Mapping[str, Any]) -> dict[str, Any]:
    """What a container's image says about its program, `base`, with what the container was given, as `docker commit` has it."""
    config = dict(base)
    values = environment_of(base)
    values.update(spec.environment)
    for name in spec.unset_environment:
        values.pop(name, None)
    config["Env"] = [f"{key}={value}" for key, value in values.items()]
    if spec.entrypoint is not None:
        config["Entrypoint"] = list(spec.entrypoint)
        config.pop("Cmd", None)
    if spec.command is not None:
        config["Cmd"] = list(spec.command)
    labels = {key: value for key, value in spec.labels if not key.startswith(_COMPOSE)}
    ports: dict[str, Any] = {f"{each.target}/{each.protocol}": {} for each in spec.ports}
    config |= {
        "User": spec.user or base.get("User", ""),
        "WorkingDir": spec.working_dir or base.get("WorkingDir", ""),
        "Labels": {**(base.get("Labels") or {}), **labels},
        "ExposedPorts": {**(base.get("ExposedPorts") or {}), **ports},
        "StopSignal": spec.stop_signal if spec.stop_signal != "SIGTERM" else base.get("StopSignal", ""),
    }
    return {key: value for key, value in config.items() if value not in ("", None, {}, [])}


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
