"""What carries our marks and no record owns: the leavings of an engine that died half-way. And the trash, emptied.

Blocking: called in threads. What networks leave behind `networks` sweeps.
"""

import contextlib
import logging
import os
import re
import shutil
from collections.abc import Collection
from typing import Final

from orchestr8.backends.native.making import Surroundings, clear_blanks
from orchestr8.errors import OperationFailed
from orchestr8.model.ids import ContainerId
from orchestr8.storage import skeleton
from orchestr8.storage.trash import Trash

_log: Final = logging.getLogger(__name__)
_ANONYMOUS: Final = re.compile(r"[0-9a-f]{64}")


def sweep_files(around: Surroundings, trash: Trash, live: Collection[ContainerId]) -> None:
    """`live`: the containers that are recorded."""
    for container_id in around.cgroups.containers() - set(live):
        try:
            around.cgroups.kill(container_id)
            around.cgroups.remove(container_id)
        except OperationFailed as error:  # a process is stuck in the kernel: the next engine tries again
            _log.warning("%s", error)
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(f"{around.root}/containers"):
            if name not in live:
                around.snapshots.remove(name)
    clear_blanks(around)  # they may be of another version
    for path in (*skeleton.half_made(around.root), *around.images.half_made()):
        trash.discard(path)
    for name in os.listdir(f"{around.run_dir}/shims"):
        if name not in live:
            os.unlink(f"{around.run_dir}/shims/{name}")
    for name in around.contents.containers():
        if name not in live:
            around.contents.revoke(name)
    for name in around.volumes.names():
        if name not in around.registry.volumes and _ANONYMOUS.fullmatch(name):  # of a creation that never ended
            around.volumes.remove(name)


def empty_trash(trash: Trash) -> None:
    """What cannot be deleted is left for another time: nobody waits for it."""
    try:
        trash.empty()
    except OperationFailed as error:
        _log.warning("%s: %s", error.message, "; ".join(error.notes))
    except OSError as error:
        _log.warning("cannot empty the trash: %s", error)


def remove_shared(around: Surroundings) -> None:
    """What there is once for all containers. A shim may still wait for a client that reads slowly."""
    try:
        around.cgroups.remove_parent()
    except OperationFailed as error:
        _log.warning("%s", error)
    shutil.rmtree(f"{around.run_dir}/shims", ignore_errors=True)  # with the socket of a shim that was killed
