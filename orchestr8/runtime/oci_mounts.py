"""The `mounts` of a container's OCI document, in the order in which they are made. Pure.

Defaults are Docker's (moby `oci/defaults.go`). How each is made, safely, is `rootfs`' business.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from orchestr8.errors import InvalidInput
from orchestr8.model.specs import ContainerSpec, MountKind, MountSpec, Recursion
from orchestr8.runtime.confinement import NO_IPC, SHARED_HOST
from orchestr8.runtime.rootfs import JOINED_SHM

Entry = dict[str, Any]

_SAFE: Final = ("nosuid", "noexec", "nodev")
_MOUNTS: Final[tuple[Entry, ...]] = (
    {"destination": "/proc", "type": "proc", "source": "proc", "options": [*_SAFE]},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
    {
        "destination": "/dev/pts",
        "type": "devpts",
        "source": "devpts",
        "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": [*_SAFE, "mode=1777", "size=65536k"]},
    {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": [*_SAFE]},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*_SAFE, "ro"]},
    {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": [*_SAFE, "ro"]},
)  # fmt: skip


class Request(Protocol):
    """What of a `bundle.BundleRequest` is needed here."""

    @property
    def spec(self) -> ContainerSpec: ...
    @property
    def files(self) -> Mapping[str, str]: ...
    @property
    def tmpfs_covers(self) -> Sequence[tuple[str, int]]: ...
    @property
    def volume_paths(self) -> Mapping[str, str]: ...
    @property
    def granted_paths(self) -> Sequence[str]: ...


def oci_mounts(request: Request) -> list[Entry]:
    """Ours first, with the image's covers, then the user's from the root downwards, so that no mount hides a later one's target."""
    wanted = [_user_mount(request, each) for each in request.spec.mounted]
    wanted += [_file(each.target, path) for each, path in zip(request.spec.files, request.granted_paths, strict=True)]
    wanted.sort(key=lambda each: (each["destination"].rstrip("/").count("/"), each["destination"]))
    taken = {"/" + os.path.normpath(each["destination"]).lstrip("/") for each in wanted}  # normpath keeps "//proc"
    for target in taken:
        if target == "/proc" or target.startswith("/proc/") or target == "/":
            raise InvalidInput(
                f"nothing can be mounted on {target} of a container",
                code="O8-621",
                helps=["a mount there could show programs a false view of the kernel"],
            )
    own = [entry for entry in _own_mounts(request.spec) if entry["destination"] not in taken - {"/dev"}]
    # /sys shows the network, for which a container waits there: what needs none comes first.
    of_network = [entry for entry in own if entry["destination"].startswith("/sys")]
    mounts = [entry for entry in own if entry not in of_network]
    mounts += [
        {"destination": path, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", f"mode={mode:o}"]}
        for path, mode in request.tmpfs_covers
        if path not in taken
    ]
    mounts += [
        {"destination": target, "type": "bind", "source": source, "options": ["bind", "rprivate"]}
        for target, source in request.files.items()
        if target not in taken
    ]
    return mounts + of_network + wanted


def _own_mounts(spec: ContainerSpec) -> list[Entry]:
    """Everybody's, with what rights and shared namespaces change of them."""
    isolation = spec.isolation
    mounts: list[Entry] = []
    for usual in _MOUNTS:
        entry: Entry = {**usual, "options": list(usual["options"])}
        place = entry["destination"]
        if isolation.privileged and place in {"/sys", "/sys/fs/cgroup"}:
            entry["options"].remove("ro")
        if place == "/dev/shm" and isolation.ipc == NO_IPC:
            continue
        # A fresh mount of the queues shows those of the namespace that it is made in, the host's here.
        if place == "/dev/shm" and isolation.ipc == SHARED_HOST:
            entry |= {"type": "bind", "source": place, "options": ["rbind", "rprivate", *_SAFE]}
        elif place == "/dev/shm" and isolation.ipc:  # another container's; its queues come with the namespace
            entry["type"] = JOINED_SHM
        elif place == "/dev/shm" and spec.shm_size_bytes:
            entry["options"][-1] = f"size={spec.shm_size_bytes}"
        mounts.append(entry)
    return mounts


def _file(target: str, path: str) -> Entry:
    """A secret or config. Not `noexec`: a config may be a script that is to be run."""
    options = ["bind", "rprivate", "ro", "nosuid", "nodev"]
    return {"destination": target, "type": "bind", "source": path, "options": options}


def _user_mount(request: Request, mount: MountSpec) -> Entry:
    access = ["ro"] if mount.read_only else ["rw"]
    if mount.kind is MountKind.TMPFS:
        size = [f"size={mount.size_bytes}"] if mount.size_bytes else []
        options = [*_SAFE, *access, f"mode={mount.mode:o}", *size, *mount.options]
        return {"destination": mount.target, "type": "tmpfs", "source": "tmpfs", "options": options}
    if mount.kind is MountKind.VOLUME:
        source = os.path.join(request.volume_paths[mount.target], mount.subpath).rstrip("/")
        return {
            "destination": mount.target,
            "type": "bind",
            "source": source,
            "options": ["rbind", "rprivate", *access],
        }
    kind = "bind" if mount.recursion is Recursion.DISABLED else "rbind"
    if mount.read_only:
        access = ["ro"] if mount.recursion in {Recursion.DISABLED, Recursion.WRITABLE} else ["rro"]
    options = [kind, mount.propagation, *access]
    return {"destination": mount.target, "type": "bind", "source": mount.source, "options": options}


def hostile_roots(request: Request) -> dict[str, str]:
    """For the annotation `sources.BENEATH`: the mounts that show a part of a volume."""
    return {each.target: request.volume_paths[each.target] for each in request.spec.mounted if each.subpath}
