"""The text of `image:`: which transport, and what it names there. Finding it is `image.resolve`'s business."""

import re
from typing import Final, NamedTuple

from orchestr8.errors import InvalidInput, Unsupported
from orchestr8.stack.images import IMAGE_HELPS, ROOTFS, full_name

# Of distribution/reference: a registry's host, components of a path, a tag, a digest.
_HOST: Final = (
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]+)?"
)
_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME: Final = re.compile(
    rf"(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?"
)
_ID: Final = re.compile(r"sha256:[0-9a-f]{64}")
_NAME_MAX: Final = 460  # Docker's 255 of a name, its longest tag and a digest
_TRANSPORTS: Final = ("oci:", "oci-archive:", "docker-archive:", "docker-daemon:", "dir:", "containers-storage:")


class Reference(NamedTuple):
    """An image as the user names it. `transport`: "rootfs", or "" for one of the engine's own store."""

    transport: str
    path: str  # of a directory; or a full name, or an id

    def __str__(self) -> str:
        return f"{self.transport}:{self.path}" if self.transport else self.path


def parse_image(text: str) -> Reference:
    """`rootfs:` with an absolute path, a name, or an id; other transports are an error that says so."""
    if text.startswith(ROOTFS):
        path = text.removeprefix(ROOTFS)
        if not path.startswith("/") or "\0" in path:
            raise InvalidInput(f"image {text}: `rootfs:` needs an absolute path", code="O8-500", helps=IMAGE_HELPS)
        return Reference(ROOTFS.rstrip(":"), "/" + re.sub(r"/{2,}", "/", path).strip("/"))
    if not text.strip():
        raise InvalidInput("an image must be named", code="O8-500", helps=IMAGE_HELPS)
    if text.startswith(_TRANSPORTS) or "://" in text:
        raise Unsupported(f"image {text}: this transport is not supported yet", code="O8-501", helps=IMAGE_HELPS)
    if _ID.fullmatch(text):
        return Reference("", text)
    if text.startswith(("/", "./", "../", "~/")) or text in (".", "..", "~"):
        helps = [f"a directory is written with its absolute path: rootfs:{text if text.startswith('/') else '/...'}"]
        raise InvalidInput(f"{text!r:.300} is not the name of an image", code="O8-500", helps=helps)
    return Reference("", parse_name(text))


def parse_new_name(text: str) -> str:
    """The full name that an image is to be given; `image:` must then find it by the same text."""
    bare, at, _ = text.partition("@")
    if at:
        raise InvalidInput(
            f"{text!r:.300} cannot be given as a name: a digest is what an image has by itself",
            code="O8-500",
            helps=[f"leave the digest out: {bare:.200}", "`image:` takes the id that commit prints, too"],
        )
    if text.startswith((ROOTFS, *_TRANSPORTS)) or _ID.fullmatch(text):
        raise InvalidInput(
            f"{text!r:.300} cannot be given as a name: `image:` takes it for something else",
            code="O8-500",
            helps=["take another one: shop/web:1.2"],
        )
    return parse_name(text)


def parse_name(text: str) -> str:
    """The full name of `shop`, `shop:1` or `registry.example:5000/team/shop:1`."""
    if len(text) > _NAME_MAX or not _NAME.fullmatch(text):
        raise InvalidInput(
            f"{text!r:.300} is not the name of an image",
            code="O8-500",
            helps=["a name is in lower-case letters and digits, and may have a tag: shop/web:1.2"],
        )
    return full_name(text)
