"""What PID 1 does to build a container, done in the forkserver before it freezes its heap, as far as nothing is mounted by it.

As `rehearsal` does for a shim: what settles here, each PID 1 finds settled. Its tree is attached nowhere, so that this
needs no namespace of its own and leaves nothing behind.
"""

import json
import os
import sys
from typing import Final

from orchestr8.errors import OperationFailed
from orchestr8.kernel import mount as mounts
from orchestr8.kernel.mount import MountAttr
from orchestr8.kernel.openat2 import is_directory
from orchestr8.runtime import program
from orchestr8.runtime.rootfs import Rootfs, split_options
from orchestr8.runtime.sources import close_sources, open_sources

_TIMES: Final = 4  # most settles at the first; each is some milliseconds of an engine that starts
_WALLS: Final = ["nosuid", "noexec", "nodev"]
_SETS: Final = ("bounding", "effective", "permitted")
_DOCUMENT: Final = json.dumps(
    {
        "process": {
            "user": {"uid": 0, "gid": 0, "additionalGids": [0]}, "args": ["sh"], "env": ["PATH=/bin", "HOME=/"],
            "capabilities": {name: ["CAP_CHOWN", "CAP_KILL"] for name in _SETS}, "noNewPrivileges": True,
        },
        "root": {"path": "."},
        "mounts": [
            {"destination": "/proc", "type": "proc", "options": _WALLS},
            {"destination": "/dev", "type": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/shm", "type": "tmpfs", "options": [*_WALLS, "mode=1777", "size=65536k"]},
            {"destination": "/sys", "type": "sysfs", "options": [*_WALLS, "ro"]},
            {"destination": "/etc/hosts", "type": "bind", "source": os.devnull, "options": ["bind", "rprivate"]},
            {"destination": "/srv", "type": "bind", "source": os.devnull, "options": ["rbind", "ro", "rprivate"]},
        ],
        "linux": {"readonlyPaths": ["/proc", "/sys"], "maskedPaths": ["/etc/hosts", "/sys/firmware"]},
    }
)  # fmt: skip


def practise() -> None:
    """A failure is told, and only makes starts a little slower."""
    try:
        for _ in range(_TIMES):
            config = json.loads(_DOCUMENT)
            _Detached("/", config).practise()
            process = config["process"]
            program.pack_walls(process, b"")
            program.limits_of(process)
            program.variables_of(process["env"])
    except (OSError, OperationFailed) as error:
        print(f"forkserver: starts take a little longer, for practice failed: {error}", file=sys.stderr, flush=True)


class _Detached(Rootfs):
    """One whose root is a mount that is attached nowhere, and on which nothing is mounted."""

    def practise(self) -> None:
        entries = self._config["mounts"]
        close_sources(open_sources(entries, self._annotations))
        self._root_fd = mounts.new_filesystem("tmpfs", [("mode", "755")], source="tmpfs")
        try:
            for entry in entries:
                attributes, data = split_options(entry["options"])
                if entry["type"] == "tmpfs":
                    os.close(mounts.new_filesystem("tmpfs", data, attributes, source="tmpfs"))
                os.close(self._open_target(entry["destination"], directory=entry["type"] != "bind"))
            for paths in self._config["linux"].values():
                for path in paths:
                    self._look_at(path)
            mounts.set_attributes(self._root_fd, on=MountAttr.RDONLY, recursive=True)
        finally:
            os.close(self._root_fd)

    def _look_at(self, path: str) -> None:
        found = self._existing(path)
        if found >= 0:
            is_directory(found)
            os.close(found)
