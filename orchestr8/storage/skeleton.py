"""The layer below an image: empty places for what is mounted into every container.

An image need not have /proc, /sys, /dev or /etc/hosts. Made at each start they would be new inodes, and a copy of /etc,
in every container's own layer; in one shared layer below the image they are there already. What the image has itself,
a symlink included, lies above and counts.
"""

import os
from collections.abc import Sequence
from typing import Final

_DIRECTORIES: Final = ("proc", "sys", "dev", "etc")
_FILES: Final = ("etc/hosts", "etc/hostname", "etc/resolv.conf")


def with_skeleton(lowerdirs: Sequence[str], root: str) -> tuple[str, ...]:
    """`lowerdirs` and below them the skeleton of the engine whose state is `root`.

    Without it where the state lies inside a layer, as with `rootfs:/`: overlayfs refuses layers within each other, and
    a machine's own tree has those places.
    """
    real = os.path.realpath(root)
    if any(f"{real}/".startswith(f"{layer.rstrip('/')}/") for layer in lowerdirs):
        return tuple(lowerdirs)
    return (*lowerdirs, _made(f"{real}/skeleton"))


def without_skeleton(lowerdirs: Sequence[str], root: str) -> list[str]:
    """The image's own among what `with_skeleton` made."""
    return [layer for layer in lowerdirs if layer != f"{os.path.realpath(root)}/skeleton"]


def _made(path: str) -> str:
    """The layer at `path`, made by the first who asks: complete or not there."""
    if not os.path.isdir(path):
        fresh = f"{path}.{os.urandom(4).hex()}"
        for name in _DIRECTORIES:
            os.makedirs(f"{fresh}/{name}", mode=0o755)
        for name in _FILES:
            os.close(os.open(f"{fresh}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
        try:
            os.rename(fresh, path)
        except OSError:  # another container's creation was faster
            if not os.path.isdir(path):
                raise
            _discard(fresh)
    return path


def half_made(root: str) -> list[str]:
    """What an engine that died over it has left of its skeleton."""
    return [entry.path for entry in os.scandir(os.path.realpath(root)) if entry.name.startswith("skeleton.")]


def _discard(path: str) -> None:
    for name in _FILES:
        os.unlink(f"{path}/{name}")
    for name in _DIRECTORIES:
        os.rmdir(f"{path}/{name}")
    os.rmdir(path)
