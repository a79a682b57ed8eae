"""What a service's containers find mounted: volumes, binds, tmpfs, and the files of secrets and configs."""

import os
from collections.abc import Mapping
from typing import Any, Final

from orchestr8.errors import InvalidInput
from orchestr8.model.ids import StackName
from orchestr8.model.specs import FileSpec, MountKind, MountSpec, Recursion, VolumeSpec
from orchestr8.plan.values import mode_bits, size_bytes

Document = Mapping[str, Any]
_SECRETS: Final = "/run/secrets"
_WRITE_BITS: Final = 0o222  # of no use on a file that is mounted read-only; the format says to leave them out


def mounts_of(
    stack: StackName, where: str, content: Document, volumes: Mapping[str, VolumeSpec]
) -> tuple[MountSpec, ...]:
    """Sorted by target."""
    mounts = [_mount(stack, f"{where}.volumes", each, volumes) for each in content.get("volumes") or ()]
    mounts += [_tmpfs(f"{where}.tmpfs", each) for each in _listed(content.get("tmpfs"))]
    return tuple(sorted(mounts, key=lambda each: each.target))


def files_of(where: str, content: Document) -> tuple[FileSpec, ...]:
    """Secrets and configs, sorted by target; owner and mode hold for each, wherever its content comes from."""
    found = [
        FileSpec(
            name=f"{section}.{each['source']}",
            target=_target(section, each),
            uid=_number(each.get("uid"), f"{where}.{section}: uid"),
            gid=_number(each.get("gid"), f"{where}.{section}: gid"),
            mode=mode_bits(each.get("mode") or _MODE, f"{where}.{section}: mode") & 0o7777 & ~_WRITE_BITS,
        )
        for section in ("configs", "secrets")
        for each in content.get(section) or ()
    ]
    return tuple(sorted(found, key=lambda each: each.target))


_MODE: Final = 0o444


def _target(section: str, grant: Document) -> str:
    target = str(grant.get("target") or grant["source"])
    return target if target.startswith("/") else f"{_SECRETS if section == 'secrets' else ''}/{target}"


def _number(value: Any, where: str) -> int:
    text = str(value or 0)
    if not (text.isascii() and text.isdigit() and int(text) < 2**32 - 1):
        raise InvalidInput(f"{where}: {text!r} is not the number of a user or group", code="O8-305")
    return int(text)


def _mount(stack: StackName, where: str, content: Document, volumes: Mapping[str, VolumeSpec]) -> MountSpec:
    kind = MountKind(content["type"])
    target = str(content["target"])
    tmpfs = content.get("tmpfs") or {}
    source = str(content.get("source") or "")
    if kind is MountKind.VOLUME and source:
        source = volumes[source].name if source in volumes else f"{stack}_{source}"
    bind, volume = content.get("bind") or {}, content.get("volume") or {}
    return MountSpec(
        kind=kind,
        target=target,
        source=source,
        read_only=bool(content.get("read_only")),
        create_host_path=bool(bind.get("create_host_path", True)),
        propagation=str(bind.get("propagation") or "rprivate"),
        recursion=Recursion(bind.get("recursive") or Recursion.ENABLED),
        nocopy=bool(volume.get("nocopy")),
        subpath=_subpath(f"{where}: {target}", str(volume.get("subpath") or "")),
        size_bytes=size_bytes(tmpfs.get("size") or 0, f"{where}: {target}: size"),
        mode=mode_bits(tmpfs.get("mode", _TMPFS_MODE), f"{where}: {target}: mode"),
    )


def _subpath(where: str, text: str) -> str:
    path = os.path.normpath(text) if text else ""
    if path.startswith(("/", "../")) or path == "..":
        raise InvalidInput(f"{where}: subpath {text!r} does not lie in the volume", code="O8-305")
    return "" if path == "." else path


_TMPFS_MODE: Final = 0o1777


def _tmpfs(where: str, text: str) -> MountSpec:
    """The short form `/run:size=64m,mode=755,noexec`."""
    target, _, rest = text.partition(":")
    options = [each for each in rest.split(",") if each]
    named = {key: value for key, found, value in (each.partition("=") for each in options) if found}
    return MountSpec(
        kind=MountKind.TMPFS,
        target=target,
        read_only="ro" in options,
        size_bytes=size_bytes(named.get("size", 0), f"{where}: {target}: size"),
        mode=mode_bits(named.get("mode", _TMPFS_MODE), f"{where}: {target}: mode"),
        options=tuple(each for each in options if each not in {"ro", "rw"} and not each.startswith(("size=", "mode="))),
    )


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())
