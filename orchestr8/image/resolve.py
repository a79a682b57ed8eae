"""From a reference to what a container is made of: layers, defaults for its program, and what to hide from it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestr8.errors import InvalidInput, NotFound, Unsupported
from orchestr8.image.documents import environment_of
from orchestr8.image.host import host_covers
from orchestr8.image.reference import Reference
from orchestr8.image.store import ImageStore
from orchestr8.model.specs import Pairs
from orchestr8.stack.images import IMAGE_HELPS, tags_help
from orchestr8.storage.covers import Cover, CoverKind

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # Docker's


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """What the image says about its program, in the words of the OCI image config."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Pairs = (("PATH", DEFAULT_PATH),)
    working_dir: str = "/"
    user: str = ""
    stop_signal: str = ""  # "": SIGTERM


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    lowerdirs: tuple[str, ...]  # top to bottom
    config: ImageConfig
    covers: tuple[Cover, ...] = ()
    digest: str = ""  # of its manifest; "" for a directory, which is what it is now


def resolve(reference: Reference, engine_root: str) -> Image:
    """The image behind a reference, as it is on this machine now; its layers are unpacked when they have not been yet."""
    return _directory(reference, engine_root) if reference.transport else _stored(reference, engine_root)


def _stored(reference: Reference, engine_root: str) -> Image:
    store = ImageStore(engine_root)
    found = store.find(reference.path)
    if found is None:
        store.look()
        raise Unsupported(
            f"image {reference}: none of this name was made here, and there are no registries yet",
            code="O8-501",
            helps=[
                *tags_help(reference.path, store.named),
                "`orchestr8 commit SERVICE NAME` makes an image of a container",
                *IMAGE_HELPS,
            ],
        )
    return Image(lowerdirs=store.lowerdirs(found), config=config_of(found.config), digest=found.digest)


def config_of(config: Mapping[str, Any]) -> ImageConfig:
    """OCI's (image-spec, config.md), as far as containers are started by it."""
    return ImageConfig(
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        environment=tuple({"PATH": DEFAULT_PATH, **environment_of(config)}.items()),
        working_dir=config.get("WorkingDir") or "/",
        user=config.get("User") or "",
        stop_signal=config.get("StopSignal") or "",
    )


def _directory(reference: Reference, engine_root: str) -> Image:
    path = os.path.realpath(reference.path)
    if not os.path.isdir(path):
        if os.path.exists(path):
            raise InvalidInput(f"image {reference}: {path} is no directory", code="O8-502")
        raise NotFound(f"image {reference}: there is no directory {path}", code="O8-502")
    engine_root = os.path.realpath(engine_root)
    if path == engine_root:
        raise InvalidInput(f"image {reference}: that is the engine's own state", code="O8-502")
    covers = host_covers() if os.path.samefile(path, "/") else []
    base = path.rstrip("/")
    if engine_root.startswith(f"{base}/"):
        covers.append(Cover(engine_root.removeprefix(base), CoverKind.DIRECTORY, 0o700))
    return Image(lowerdirs=(path,), config=ImageConfig(), covers=_outermost(covers))


def _outermost(covers: list[Cover]) -> tuple[Cover, ...]:
    """Sorted, each place once, and none that lies below another: the outer one hides it already."""
    kept: list[Cover] = []
    for cover in sorted(covers):
        if not any(f"{cover.path}/".startswith(f"{outer.path}/") for outer in kept):
            kept.append(cover)
    return tuple(kept)
