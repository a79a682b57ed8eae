"""What an IsolationSpec means in OCI's words: capabilities, masks, devices, kernel parameters, namespaces. Pure.

Rules are Docker's (moby daemon/oci_linux.go, oci/caps, runconfig/hostconfig_unix.go).
"""

import os
import stat
from typing import Any, Final, NamedTuple

from orchestr8.errors import InvalidInput
from orchestr8.kernel.capabilities import DEFAULT, NAMES
from orchestr8.kernel.device_rules import DeviceRule
from orchestr8.model.specs import DeviceSpec, IsolationSpec
from orchestr8.model.sysctl import namespace_of

SHARED_HOST: Final = "host"
NO_IPC: Final = "none"
_ALL: Final = "ALL"
_DEVICES_MAX: Final = 4096  # below one directory


def capability_names(spec: IsolationSpec) -> tuple[str, ...]:
    """What a root program of the container may hold, in the kernel's order. Raises InvalidInput for an unknown name."""
    for name in (*spec.cap_add, *spec.cap_drop):
        if name != _ALL and name not in NAMES:
            raise InvalidInput(
                f"there is no capability {name}",
                code="O8-305",
                helps=["capabilities(7) lists them: cap_add: [NET_ADMIN]"],
            )
    if spec.privileged:
        return NAMES
    added, dropped = set(spec.cap_add), set(spec.cap_drop)
    if _ALL in added:
        kept = set(NAMES) - dropped
    elif _ALL in dropped:
        kept = added
    else:
        kept = (set(DEFAULT) | added) - dropped
    return tuple(name for name in NAMES if name in kept)


def check_combination(spec: IsolationSpec, hostname: str) -> None:
    """Refuse what contradicts itself. Raises InvalidInput."""
    if spec.privileged and spec.user_namespace:
        raise InvalidInput(
            "`privileged` and `userns_mode: private` exclude each other: the first gives the host's rights, which root "
            "of a user namespace of its own does not have", code="O8-204",
        )  # fmt: skip
    if spec.uts and hostname:
        raise InvalidInput(
            "`hostname` and `uts: host` exclude each other: the name would be the machine's", code="O8-204"
        )


def check_sysctls(spec: IsolationSpec, *, host_network: bool = False) -> None:
    """Refuse what has no namespace of the container's behind it: it would change the host. Raises InvalidInput."""
    shared = {"ipc": spec.ipc if spec.ipc != NO_IPC else "", "network": "host" if host_network else ""}
    for name, _ in spec.sysctls:
        namespace = namespace_of(name)
        if not namespace:
            raise InvalidInput(
                f"the kernel has one {name} for all of the machine, so a container cannot set it", code="O8-615"
            )
        if shared[namespace]:
            raise InvalidInput(f"{name} cannot be set: the container shares its {namespace} namespace", code="O8-615")


class DeviceNode(NamedTuple):
    """A device as it is to stand in the container; `kind` is "c" or "b"."""

    path: str
    kind: str
    major: int
    minor: int
    mode: int  # permission bits
    uid: int
    gid: int
    access: str

    def oci(self) -> dict[str, Any]:
        """An entry of `linux.devices`."""
        return {
            "path": self.path, "type": self.kind, "major": self.major, "minor": self.minor,
            "fileMode": self.mode, "uid": self.uid, "gid": self.gid,
        }  # fmt: skip

    def rule(self) -> DeviceRule:
        return DeviceRule(self.kind, self.major, self.minor, self.access)


def device_nodes(spec: IsolationSpec) -> list[DeviceNode]:
    """The devices that the container gets besides everybody's, looked up on this machine; each path once, the last wins.

    Raises InvalidInput for what is no device.
    """
    found: dict[str, DeviceNode] = {}
    if spec.privileged:
        for node in _below("/dev", "/dev", "rwm"):
            found[node.path] = node
    for device in spec.devices:
        for node in _nodes(device):
            found[node.path] = node
    return list(found.values())


def _nodes(device: DeviceSpec) -> list[DeviceNode]:
    if not device.source.startswith("/"):
        raise InvalidInput(
            f"device {device.source} is not a path of this machine", code="O8-616",
            helps=["CDI names such as vendor.com/class=name are not supported; name the device's file"],
        )  # fmt: skip
    try:
        status = os.stat(device.source)
    except OSError as error:
        raise InvalidInput(f"device {device.source}: {error.strerror}", code="O8-616") from error
    if stat.S_ISDIR(status.st_mode):
        nodes = _below(device.source, device.target, device.access)
        if not nodes:
            raise InvalidInput(f"device {device.source}: there is no device in this directory", code="O8-616")
        return nodes
    node = _node(device.target, status, device.access)
    if node is None:
        raise InvalidInput(f"device {device.source} is a file, not a device", code="O8-616")
    return [node]


def _below(source: str, target: str, access: str) -> list[DeviceNode]:
    """Every device below a directory, but for what a container has of its own (moby devices_linux.go does so)."""
    found: list[DeviceNode] = []
    for folder, folders, files in os.walk(source):
        if folder == "/dev":
            folders[:] = [name for name in folders if name not in _OWN_FOLDERS]
        for name in sorted(files):
            path = os.path.join(folder, name)
            if path in _OWN:
                continue
            try:
                status = os.lstat(path)
            except FileNotFoundError:  # a device that is being taken away
                continue
            node = _node(target + path[len(source) :], status, access)
            if node is not None:
                found.append(node)
        if len(found) > _DEVICES_MAX:
            raise InvalidInput(f"device {source}: more than {_DEVICES_MAX} devices", code="O8-616")
    return found


_OWN_FOLDERS: Final = {"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"}
_OWN: Final = {
    *("/dev/console", "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx"),
}


def _node(path: str, status: os.stat_result, access: str) -> DeviceNode | None:
    kind = "c" if stat.S_ISCHR(status.st_mode) else "b" if stat.S_ISBLK(status.st_mode) else ""
    if not kind:
        return None
    major, minor = os.major(status.st_rdev), os.minor(status.st_rdev)
    mode = stat.S_IMODE(status.st_mode)
    return DeviceNode(path, kind, major, minor, mode, status.st_uid, status.st_gid, access)
