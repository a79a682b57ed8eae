"""The file system of somebody else's bundle: `runtime.rootfs`, and what its documents do not ask for.

A tmpfs with `tmpcopyup` begins with what the image has at its place (an option of runc's, which podman uses). Ids are mapped of
those mounts alone that ask for it: with a user namespace the root has the host's numbers for the container's users already.
"""

import errno
import os
from typing import Any

from orchestr8.errors import OperationFailed
from orchestr8.kernel import mount as mounts
from orchestr8.kernel.mount import MountAttr
from orchestr8.kernel.openat2 import make_in_root, open_in_root
from orchestr8.oci.document import COPY_UP, ID_MAP
from orchestr8.oci.userns import Users
from orchestr8.runtime.rootfs import Rootfs
from orchestr8.runtime.sharing import NOTHING, Shared
from orchestr8.storage.copy import TreeCopy

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


class Root(Rootfs):
    def __init__(self, config: dict[str, Any], users: Users, shared: Shared = NOTHING) -> None:
        super().__init__("", config, shared, users.ids)
        self._users = users

    def _show_root_ids(self, tree: int) -> None:
        pass

    def _show_ids(self, tree: int, entry: dict[str, Any]) -> None:
        if entry[ID_MAP]:
            ids = self._users.ids_on(entry)
            ids.show(tree, entry["source"], recursive=entry[ID_MAP] == "ridmap", remedy="")

    def _set_parameter(self, name: str, value: str) -> None:
        """Those of IPC are by the kernel's version the machine's root's, or that of the namespace's users (ipc_sysctl.c)."""
        try:
            super()._set_parameter(name, value)
        except OperationFailed as error:
            refused = isinstance(error.__cause__, OSError) and error.__cause__.errno in {errno.EACCES, errno.EPERM}
            if self._users.ids.fd < 0 or not refused:
                raise
            with self._users.ids.acting_as_root():
                super()._set_parameter(name, value)

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
