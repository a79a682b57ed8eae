"""Places of an image that a container must not see: values made by image, put into layers by snapshots."""

import enum
from typing import NamedTuple


class CoverKind(enum.StrEnum):
    TMPFS = "tmpfs"  # the runtime mounts one there at each start
    DIRECTORY = "dir"  # empty and the container's own, in its layer
    FILE = "file"


class Cover(NamedTuple):
    path: str  # absolute in the container, without symlinks
    kind: CoverKind
    mode: int
