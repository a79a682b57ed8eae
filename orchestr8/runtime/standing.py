"""The files of a container that does not run: its root with its volumes and binds, mounted for one process alone.

The same code mounts them as for a run (`rootfs`), in a mount namespace of this process's own, which takes all of it along
when it ends. What a run has of its own is not there: /proc, /sys and /dev are as the image has them, and a tmpfs is an
empty place that cannot be written to, since nothing written there would be seen again.
"""

import errno
import json
import os
from typing import Any, Final

from orchestr8.kernel import mount as mounts
from orchestr8.kernel.libc import SyscallError
from orchestr8.kernel.mount import MountAttr, MountFlag
from orchestr8.kernel.namespaces import CloneFlag, unshare
from orchestr8.kernel.openat2 import open_in_root
from orchestr8.runtime import messages
from orchestr8.runtime.rootfs import NUMBERED, Rootfs
from orchestr8.runtime.userns import ids_of, make_namespace

_WALLS: Final = MountAttr.NODEV | MountAttr.NOSUID | MountAttr.NOEXEC
_A_RUNS: Final = ("/proc", "/sys", "/dev")


def stand_up(order: messages.Message, layer: int) -> int:
    """A descriptor of the root. `layer`: the mount of a layer of limited size, -1 where there is none."""
    unshare(CloneFlag.NEWNS)
    mounts.set_propagation("/", MountFlag.REC | MountFlag.PRIVATE)
    if layer >= 0:
        mounts.attach(layer, f"{order.bundle}/layer")
        os.close(layer)
    with open(os.path.join(order.bundle, "config.json"), "rb") as document:
        config = json.load(document)
    config["mounts"] = [each for each in config["mounts"] if _is_files(each, config)]
    namespace = make_namespace(order.id_base, order.id_count) if order.id_count else -1
    ids = ids_of(config, namespace)
    rootfs = Rootfs(order.bundle, config, ids=ids)
    rootfs.mount_all(lambda: None)
    root = rootfs.root_fd
    for each in config["mounts"]:
        if each.get("type") == "tmpfs":
            _change(root, each["destination"], MountAttr.RDONLY)
    if config["root"].get("readonly"):
        _change(root, "/", MountAttr.RDONLY)
    whole = mounts.open_tree("", dir_fd=root, clone=False)
    try:
        mounts.set_attributes(whole, on=_WALLS, recursive=True)
    finally:
        os.close(whole)
    ids.join()  # not `enter`: with its new mount namespace this one would end
    return root


def _is_files(entry: dict[str, Any], config: dict[str, Any]) -> bool:
    """Whether a mount has files that outlive a run, or hides some that the image has."""
    place = entry["destination"]
    if any(place == each or place.startswith(f"{each}/") for each in _A_RUNS):
        return False
    if entry.get("type", "bind") != "bind":
        return bool(entry["type"] == "tmpfs")
    # A secret may have gone with the machine's memory, which is a start's concern, not a copy's.
    return place not in config.get("annotations", {}).get(NUMBERED, "") or os.path.exists(entry["source"])


def _change(root: int, path: str, attributes: MountAttr) -> None:
    try:
        target = open_in_root(root, path)
    except SyscallError as error:
        if error.errno == errno.ENOENT:
            return
        raise
    try:
        here = mounts.open_tree("", dir_fd=target, clone=False)
        try:
            mounts.set_attributes(here, on=attributes)
        finally:
            os.close(here)
    finally:
        os.close(target)
