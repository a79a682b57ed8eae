"""A container's bundle: the OCI document that set-up consumes, and what the shim is told of it. Pure, but for `write`.

The document is a valid OCI runtime-spec `config.json`; what OCI has no field for stands in annotations. Defaults are
Docker's (moby `oci/defaults.go`, `profiles`): masks, capabilities, devices. Mounts are `oci_mounts`'.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from orchestr8.errors import InvalidInput, Unsupported
from orchestr8.kernel.capabilities import NAMES, oci_capabilities
from orchestr8.kernel.cgroup import CgroupPlace
from orchestr8.kernel.descriptors import write_whole
from orchestr8.kernel.device_rules import EVERY_DEVICE
from orchestr8.kernel.namespaces import CloneFlag
from orchestr8.model.specs import ContainerSpec, LogSpec
from orchestr8.runtime.confinement import NO_IPC, capability_names, check_combination, check_sysctls, device_nodes
from orchestr8.runtime.limits import oci_resources, oci_rlimits
from orchestr8.runtime.logorder import log_order
from orchestr8.runtime.messages import Spawn
from orchestr8.runtime.oci_mounts import hostile_roots, oci_mounts
from orchestr8.runtime.rootfs import CGROUP_MOUNTS, NUMBERED, OVERLAY
from orchestr8.runtime.sources import BENEATH
from orchestr8.runtime.users import User

OCI_VERSION: Final = "1.2.0"
ROOTFS: Final = "rootfs"
FOLDERS: Final = (ROOTFS, "log")
UNFINISHED: Final = "config.json.new"
DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REAPER: Final = "org.orchestr8.reaper"
_STDIN: Final = "org.orchestr8.stdin"
_SECCOMP: Final = "org.orchestr8.seccomp"
_LOG: Final = "org.orchestr8.log"
IMAGE: Final = "org.orchestr8.image"  # annotation: the digest of the manifest that it was made from
# Programs that reap and forward themselves, and that want to be PID 1 to do it.
_INITS: Final = {
    *("/init", "/sbin/init", "/usr/sbin/init", "/lib/systemd/systemd", "/usr/lib/systemd/systemd", "systemd"),
    *("tini", "tini-static", "dumb-init", "docker-init", "catatonit", "s6-svscan", "runit-init", "openrc-init"),
}
_MASKED: Final = (
    *("/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats"),
    *("/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats"),
    *("/sys/devices/virtual/powercap", "/sys/firmware"),
)
_READ_ONLY: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_NAMESPACES: Final = ("mount", "pid", "network", "ipc", "uts", "cgroup")
_SOME_KERNELS: Final = ("time",)  # Linux 5.6, CONFIG_TIME_NS; Docker has it by default since 29.5
# Those in which PID 1 is born; the network's comes from the engine, and the cgroup's is made once it is in its group.
_BORN_IN: Final = {
    "mount": CloneFlag.NEWNS, "pid": CloneFlag.NEWPID, "ipc": CloneFlag.NEWIPC, "uts": CloneFlag.NEWUTS,
    "time": CloneFlag.NEWTIME,
}  # fmt: skip


ROOT: Final = User(0, 0, (), "/root")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRequest:
    """Everything that goes into one document. Paths are the host's unless said otherwise."""

    container_id: str
    spec: ContainerSpec
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)  # all of them; the spec has the user's
    overlay: str  # options of the root's overlay mount
    image_digest: str = ""  # of its manifest, where it has one
    image_entrypoint: tuple[str, ...] = ()
    image_command: tuple[str, ...] = ()
    image_environment: Mapping[str, str] = field(default_factory=dict)
    image_working_dir: str = "/"
    user: User = ROOT
    files: Mapping[str, str] = field(default_factory=dict)  # path in the container → host file, bound read-write
    tmpfs_covers: Sequence[tuple[str, int]] = ()  # (path in the container, mode)
    volume_paths: Mapping[str, str] = field(default_factory=dict)  # target of a volume mount → its directory
    granted_paths: Sequence[str] = ()  # one host file for each of `spec.files`
    cgroup_views: Sequence[tuple[str, str, str]] = ()  # see CgroupTree.views
    cgroup_group: str = ""
    seccomp_path: str = ""
    block_devices: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # see runtime.limits
    has_time_namespaces: bool = False  # this kernel
    id_base: int = 0  # of the ids in a user namespace of its own
    id_count: int = 0  # 0: it has none
    available: frozenset[str] = frozenset(NAMES)  # capabilities that the engine has, and so can give away


def command_of(request: BundleRequest) -> list[str]:
    """Entrypoint and command; an entrypoint of the user's drops the image's command, as Docker does."""
    spec = request.spec
    if spec.entrypoint is not None:
        entrypoint, command = spec.entrypoint, spec.command or ()
    else:
        entrypoint = request.image_entrypoint
        command = spec.command if spec.command is not None else request.image_command
    argv = [*entrypoint, *command]
    if not argv:
        raise InvalidInput(
            f"image {spec.image} says no command to run, and the service has none",
            code="O8-611",
            helps=["add `command:` to the service"],
        )
    return argv


def environment_of(request: BundleRequest) -> list[str]:
    """What every container has, the image's, the user's; the last one wins, as with Docker."""
    values = {"PATH": DEFAULT_PATH, "HOSTNAME": request.spec.hostname or request.container_id}
    if request.spec.tty:
        values["TERM"] = "xterm"
    values["HOME"] = request.user.home
    values.update(request.image_environment)
    values.update(request.spec.environment)
    for name in request.spec.unset_environment:
        values.pop(name, None)
    return [f"{key}={value}" for key, value in values.items()]


def wants_reaper(spec: ContainerSpec, argv: Sequence[str]) -> bool:
    """Our reaper is PID 1 unless the program is an init itself, or the user says otherwise."""
    if spec.init is not None:
        return spec.init
    return argv[0] not in _INITS and os.path.basename(argv[0]) not in _INITS


def build_document(request: BundleRequest) -> dict[str, Any]:
    """The OCI document of a container. Raises InvalidInput for what cannot be a container."""
    spec, user, isolation = request.spec, request.user, request.spec.isolation
    argv = command_of(request)
    check_combination(isolation, spec.hostname)
    check_sysctls(isolation)
    nodes = device_nodes(isolation)
    given = [EVERY_DEVICE] if isolation.privileged else [node.rule() for node in nodes]
    open_paths = isolation.privileged or not isolation.system_paths
    working_dir = spec.working_dir or request.image_working_dir or "/"
    if not working_dir.startswith("/"):
        raise InvalidInput(
            f"working_dir `{working_dir}` must be absolute", code="O8-612", helps=[f"write /{working_dir}"]
        )
    return {
        "ociVersion": OCI_VERSION,
        "process": {
            "terminal": spec.tty,
            "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)},
            "args": argv,
            "env": environment_of(request),
            "cwd": working_dir,
            "capabilities": oci_capabilities(user.uid, capabilities_of(request)),
            "noNewPrivileges": isolation.no_new_privileges,
            "oomScoreAdj": spec.resources.oom_score_adj,
            "rlimits": oci_rlimits(spec.resources),
        },
        "root": {"path": ROOTFS, "readonly": spec.read_only},
        **_names(request),
        "mounts": oci_mounts(request),
        "linux": {
            **_namespaces(request),
            "cgroupsPath": f"/{request.cgroup_group}",
            "resources": oci_resources(spec.resources, request.block_devices, given),
            **({"devices": [node.oci() for node in nodes]} if nodes else {}),
            **({"sysctl": dict(isolation.sysctls)} if isolation.sysctls else {}),
            "maskedPaths": [] if open_paths else list(_MASKED),
            "readonlyPaths": [] if open_paths else list(_READ_ONLY),
        },
        "annotations": {
            OVERLAY: request.overlay,
            **({IMAGE: request.image_digest} if request.image_digest else {}),
            **({BENEATH: json.dumps(hostile)} if (hostile := hostile_roots(request)) else {}),
            **({NUMBERED: json.dumps([each.target for each in spec.files])} if spec.files else {}),
            CGROUP_MOUNTS: json.dumps(request.cgroup_views),
            _REAPER: str(wants_reaper(spec, argv)).lower(),
            _STDIN: str(spec.stdin_open).lower(),
            _SECCOMP: request.seccomp_path,
            **({_LOG: json.dumps(_log_order(request, argv))} if spec.logging != LogSpec() else {}),
        },
    }


def _log_order(request: BundleRequest, argv: Sequence[str]) -> dict[str, Any]:
    return log_order(
        request.spec.logging, container_id=request.container_id, name=request.name, image=request.spec.image, argv=argv,
        environment=environment_of(request), labels=request.labels,
    )  # fmt: skip


def capabilities_of(request: BundleRequest) -> tuple[str, ...]:
    """What its programs may hold, of what this engine itself may: nobody gives away what he does not have."""
    return tuple(name for name in capability_names(request.spec.isolation) if name in request.available)


def _names(request: BundleRequest) -> dict[str, str]:
    """Host and domain name, unless they are the host's own."""
    spec = request.spec
    if spec.isolation.uts:
        return {}
    names = {"hostname": spec.hostname or request.container_id}
    return {**names, "domainname": spec.isolation.domainname} if spec.isolation.domainname else names


def _namespaces(request: BundleRequest) -> dict[str, Any]:
    """Its own ones; with one of users, how its ids are mapped."""
    kinds = (*_NAMESPACES, *(_SOME_KERNELS if request.has_time_namespaces else ()))
    found: dict[str, Any] = {"namespaces": [{"type": kind} for kind in kinds if kind not in _shared(request.spec)]}
    if request.id_count:
        mapping = [{"containerID": 0, "hostID": request.id_base, "size": request.id_count}]
        found["namespaces"].append({"type": "user"})
        found |= {"uidMappings": mapping, "gidMappings": mapping}
    return found


def _shared(spec: ContainerSpec) -> set[str]:
    """The namespaces that are the host's or another container's."""
    isolation = spec.isolation
    shared = {
        "pid": isolation.pid, "uts": isolation.uts, "ipc": isolation.ipc if isolation.ipc != NO_IPC else "",
        "cgroup": spec.resources.host_cgroup,
    }  # fmt: skip
    return {kind for kind, whose in shared.items() if whose}


def joined(spec: ContainerSpec) -> dict[str, str]:
    """Kind of namespace → whose it is: `service:NAME` or `container:NAME`. They are joined at each start."""
    wanted = {"pid": spec.isolation.pid, "ipc": spec.isolation.ipc}
    return {kind: whose for kind, whose in wanted.items() if ":" in whose}


def check(document: Mapping[str, Any]) -> None:
    """Refuse what this runtime does not do, before anything is made for it."""
    for namespace in document.get("linux", {}).get("namespaces", ()):
        if namespace["type"] not in {*_NAMESPACES, *_SOME_KERNELS, "user"}:
            raise Unsupported(f"a {namespace['type']} namespace of the container's own is not supported yet")
    if document.get("hooks"):
        raise Unsupported("OCI hooks are not supported yet")


def spawn_order(
    document: Mapping[str, Any],
    *,
    container_id: str,
    bundle: str,
    socket_path: str,
    place: CgroupPlace,
    oom_file: str,
    default_filter: str,
) -> Spawn:
    """What the shim of this bundle is told, so that neither it nor PID 1 has to hold the document.

    `default_filter`: where the seccomp filter stands that was made for all.
    """
    check(document)
    process, annotations = document["process"], document.get("annotations", {})
    ids: Mapping[str, int] = next(iter(document.get("linux", {}).get("uidMappings") or ()), {})
    limited = any(each["type"] == "RLIMIT_NPROC" for each in process.get("rlimits", ()))
    own = {each["type"] for each in document.get("linux", {}).get("namespaces", ())}
    return Spawn(
        container=container_id,
        bundle=bundle,
        socket=socket_path,
        terminal=process.get("terminal", False),
        stdin=annotations.get(_STDIN) == "true",
        reaper=annotations.get(_REAPER) != "false",
        seccomp=annotations.get(_SECCOMP, ""),
        log=json.loads(annotations.get(_LOG, "{}")),
        id_base=ids.get("hostID", 0),
        id_count=ids.get("size", 0),
        namespaces=sum(flag for kind, flag in _BORN_IN.items() if kind in own),
        cgroup_files=place.tasks,
        cgroup_leaf=place.leaf,
        oom_file=oom_file,
        host_cgroup="cgroup" not in own,
        oom_score=process.get("oomScoreAdj", 0),
        plain=annotations.get(_SECCOMP, "") not in {"", default_filter} or limited,
        throttled=any(
            key.startswith("throttle") for key in document.get("linux", {}).get("resources", {}).get("blockIO", ())
        ),
    )


def hosts_file(hostname: str, addresses: Sequence[str]) -> str:
    """/etc/hosts as Docker writes it: the loopback names, then the container's own."""
    lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback", "fe00::0\tip6-localnet"]
    lines += ["ff00::0\tip6-mcastprefix", "ff02::1\tip6-allnodes", "ff02::2\tip6-allrouters"]
    lines += [f"{address}\t{hostname}" for address in addresses]
    return "\n".join(lines) + "\n"


def write(bundle: str, document: Mapping[str, Any], files: Mapping[str, str]) -> None:
    """Put the document and `files` (name → text) into the bundle; config.json comes last and by rename: it marks the
    bundle as complete.
    """
    for folder in FOLDERS:
        os.makedirs(os.path.join(bundle, folder), exist_ok=True)
    for name, text in files.items():
        _put(os.path.join(bundle, name), text)
    fresh = os.path.join(bundle, UNFINISHED)
    _put(fresh, json.dumps(document))  # at once: `dump` encodes piece by piece, in Python
    os.rename(fresh, os.path.join(bundle, "config.json"))


def _put(path: str, text: str) -> None:
    """Have the file say `text`. One that is empty, as those made ahead are, is not truncated: ext4 would take it for a file that
    is being replaced, and write it to the disk while this waits (auto_da_alloc, ext4(5)).
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        if os.fstat(fd).st_size:
            os.ftruncate(fd, 0)
        write_whole(fd, text.encode())
    finally:
        os.close(fd)


def read(bundle: str) -> dict[str, Any]:
    with open(os.path.join(bundle, "config.json"), encoding="utf-8") as file:
        return dict(json.load(file))
