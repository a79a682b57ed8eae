"""What of this machine's own tree a container on `rootfs:/` does not see.

Everything else is live and as it is. Covered is what belongs to people and to other containers, what must be fresh in
each container, and secrets that root in the container could otherwise read although no program there needs them.
Only what exists is covered, at the place that it really has: /home may be a link to another disk.
"""

import glob
import os
import re
import stat
from typing import Final

from orchestr8.storage.covers import Cover, CoverKind

_FRESH: Final = (
    Cover("/tmp", CoverKind.TMPFS, 0o1777),  # files and sockets of programs of the host
    Cover("/run", CoverKind.TMPFS, 0o755),  # sockets of the host's services, ours among them
)
_PRIVATE_DIRECTORIES: Final = (
    ("/root", 0o700),
    ("/home", 0o755),
    # Layers, volumes and secrets of other containers: other engines', and those of an orchestr8 with another root.
    ("/var/lib/orchestr8", 0o700),
    ("/var/lib/docker", 0o710),
    ("/var/lib/containerd", 0o711),
    ("/var/lib/containers", 0o700),
    ("/var/lib/kubelet", 0o700),
)
_SECRET_FILES: Final = (
    "/etc/shadow",
    "/etc/shadow-",  # the copy that shadow's tools keep of the last version: the same hashes
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/ssh/ssh_host_*_key",  # with them, anybody can pose as this machine
)
# Mounted over in every container. A link there, as systemd-resolved makes one, would lead into the covered /run.
_MOUNT_TARGETS: Final = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")


def host_covers(root: str = "/", swaps: str = "/proc/swaps") -> list[Cover]:
    """The covers for a container whose image is the tree at `root`, which is "/" but in tests."""
    base = root.rstrip("/")
    covers = [Cover(_real(base, cover.path), cover.kind, cover.mode) for cover in _FRESH if _exists(base, cover.path)]
    covers += [
        Cover(_real(base, path), CoverKind.DIRECTORY, mode)
        for path, mode in _PRIVATE_DIRECTORIES
        if _exists(base, path)
    ]
    secrets = [found.removeprefix(base) for pattern in _SECRET_FILES for found in sorted(glob.glob(f"{base}{pattern}"))]
    secrets += [path for path in _swap_files(swaps) if _exists(base, path)]  # what other processes have in memory
    covers += [Cover(_real(base, path), CoverKind.FILE, 0o400) for path in secrets]
    covers += [Cover(path, CoverKind.FILE, 0o644) for path in _MOUNT_TARGETS if os.path.islink(f"{base}{path}")]
    return covers


def _exists(base: str, path: str) -> bool:
    return os.path.exists(f"{base}{path}")


def _real(base: str, path: str) -> str:
    return os.path.realpath(f"{base}{path}").removeprefix(base)


def _swap_files(swaps: str) -> list[str]:
    try:
        with open(swaps, encoding="utf-8") as file:
            lines = file.read().splitlines()[1:]
    except FileNotFoundError:  # a kernel without swap
        return []
    paths = [re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), line.split()[0]) for line in lines]
    return [path for path in paths if os.path.exists(path) and stat.S_ISREG(os.stat(path).st_mode)]
