"""The text of `image:`: which transport, and what it names there. Finding it is `image.resolve`'s business."""

import re
from typing import NamedTuple

from orchestr8.errors import InvalidInput, Unsupported
from orchestr8.stack.images import IMAGE_HELPS, ROOTFS


class Reference(NamedTuple):
    """An image as the user names it."""

    transport: str
    path: str

    def __str__(self) -> str:
        return f"{self.transport}:{self.path}"


def parse_image(text: str) -> Reference:
    """Only `rootfs:` with an absolute path so far; everything else is an error that says so."""
    if not text.startswith(ROOTFS):
        if not text.strip():
            raise InvalidInput("an image must be named", code="O8-500", helps=IMAGE_HELPS)
        raise Unsupported(f"image {text}: only `rootfs:` images are supported yet", code="O8-501", helps=IMAGE_HELPS)
    path = text.removeprefix(ROOTFS)
    if not path.startswith("/") or "\0" in path:
        raise InvalidInput(f"image {text}: `rootfs:` needs an absolute path", code="O8-500", helps=IMAGE_HELPS)
    return Reference(ROOTFS.rstrip(":"), "/" + re.sub(r"/{2,}", "/", path).strip("/"))
