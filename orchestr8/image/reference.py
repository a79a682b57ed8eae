"""The text of `image:`: which transport, and what it names there. Finding it is `image.resolve`'s business."""

import re
from typing import Final, NamedTuple

from orchestr8.errors import InvalidInput, Unsupported

ROOTFS: Final = "rootfs"
_PREFIX: Final = f"{ROOTFS}:"
_HELP: Final = (
    "`image: rootfs:/` runs on this machine's own files, copy-on-write",
    "`image: rootfs:/some/directory` runs on a tree made by debootstrap, for example",
)


class Reference(NamedTuple):
    """An image as the user names it."""

    transport: str
    path: str

    def __str__(self) -> str:
        return f"{self.transport}:{self.path}"


def parse_image(text: str) -> Reference:
    """Only `rootfs:` with an absolute path so far; everything else is an error that says so."""
    if not text.startswith(_PREFIX):
        if not text.strip():
            raise InvalidInput("an image must be named", code="O8-500", helps=_HELP)
        raise Unsupported(f"image {text}: only `rootfs:` images are supported yet", code="O8-501", helps=_HELP)
    path = text.removeprefix(_PREFIX)
    if not path.startswith("/") or "\0" in path:
        raise InvalidInput(f"image {text}: `rootfs:` needs an absolute path", code="O8-500", helps=_HELP)
    return Reference(ROOTFS, "/" + re.sub(r"/{2,}", "/", path).strip("/"))
