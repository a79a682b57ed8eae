"""The file system of somebody else's bundle: `runtime.rootfs`, and what its documents do not ask for.

A tmpfs with `tmpcopyup` begins with what the image has at its place (an option of runc's, which podman uses).
"""

import os
from typing import Any

from orchestr8.kernel import mount as mounts
from orchestr8.kernel.mount import MountAttr
from orchestr8.kernel.openat2 import make_in_root, open_in_root
from orchestr8.oci.document import COPY_UP
from orchestr8.runtime.rootfs import Rootfs
from orchestr8.storage.copy import TreeCopy

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


class Root(Rootfs):
    def _mount(self, entry: dict[str, Any], source: int = -1) -> None:
        if not entry.get(COPY_UP):
            super()._mount(entry, source)
            return
        place, options = entry["destination"], entry["options"]
        os.close(make_in_root(self._root_fd, place, directory=True))
        below = open_in_root(self._root_fd, place, _DIRECTORY)
        try:
            super()._mount({**entry, "options": [each for each in options if each != "ro"]}, source)
            _fill(below, open_in_root(self._root_fd, place, _DIRECTORY), options)
        finally:
            os.close(below)


def _fill(below: int, above: int, options: list[str]) -> None:
    """`above` is closed. A mode that was asked for stays."""
    try:
        mode = os.fstat(above).st_mode & 0o7777
        TreeCopy(below, above, {}).run()
        if any(each.startswith("mode=") for each in options):
            os.fchmod(above, mode)
        if "ro" in options:
            tree = mounts.open_tree("", dir_fd=above, clone=False)
            mounts.set_attributes(tree, on=MountAttr.RDONLY)
            os.close(tree)
    finally:
        os.close(above)
