"""What of a container lies on disk: layer, volumes, bind sources, and the bundle that describes them.

Blocking: called in threads. Paths inside images are resolved below descriptors; who may be named as a user is read
from the image by hand.
"""

import dataclasses
import json
import logging
import os
import signal
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from orchestr8.backends.native import idranges
from orchestr8.backends.native.limits import disk_numbers
from orchestr8.backends.native.networks import Networks
from orchestr8.errors import NotFound
from orchestr8.image.reference import parse_image
from orchestr8.image.resolve import Image, resolve
from orchestr8.image.store import ImageStore
from orchestr8.kernel import capabilities, seccomp, seccomp_profile
from orchestr8.kernel.cgroup import CgroupTree
from orchestr8.model.events import Event
from orchestr8.model.ids import ContainerId
from orchestr8.model.lending import anonymous_volume
from orchestr8.model.records import ContainerRecord, Registry
from orchestr8.model.specs import IsolationSpec, MountKind
from orchestr8.runtime import bundle, places
from orchestr8.runtime.client import read_state
from orchestr8.runtime.forkserver_client import ForkserverClient
from orchestr8.runtime.limits import block_devices, oci_resources
from orchestr8.runtime.userns import Ids
from orchestr8.runtime.users import User, read_file, resolve_user
from orchestr8.storage import snapshots
from orchestr8.storage.blanks import Blanks
from orchestr8.storage.contents import ContentStore
from orchestr8.storage.covers import CoverKind
from orchestr8.storage.layers import Tree
from orchestr8.storage.skeleton import with_skeleton
from orchestr8.storage.snapshots import SnapshotStore
from orchestr8.storage.volumes import VolumeStore

_log: Final = logging.getLogger(__name__)
_NAMES: Final = ("hostname", "hosts", "resolv.conf")  # files of the bundle, bound to /etc


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every container of an engine shares."""

    root: str
    run_dir: str
    seccomp_path: str
    registry: Registry
    snapshots: SnapshotStore
    blanks: Blanks
    volumes: VolumeStore
    contents: ContentStore
    networks: Networks
    cgroups: CgroupTree
    images: ImageStore
    forkserver: ForkserverClient
    emit: Callable[[Event], None]
    find: Callable[[ContainerRecord, str], int]  # pid of PID 1 of whom `service:NAME` or `container:NAME` means

    def bundle(self, container_id: ContainerId) -> str:
        return f"{self.root}/containers/{container_id}"

    def shim_socket(self, container_id: ContainerId) -> str:
        return f"{self.run_dir}/shims/{container_id}"


def blanks(root: str) -> Blanks:
    """With what `make_bundle` puts into a bundle, and then the shim."""
    return Blanks(
        root,
        folders={snapshots.UNFINISHED: 0o700, snapshots.WORK: 0o700, **dict.fromkeys(bundle.FOLDERS, 0o777)},
        files={
            **dict.fromkeys((*_NAMES, bundle.UNFINISHED), 0o666),
            places.STATE_FILE: places.STATE_MODE,
            places.LOG_FILE: places.LOG_MODE,
        },
    )


def fill_blanks(around: Surroundings, count: int) -> bool:
    """What cannot be made ahead (False) is made when it is needed, and who needs it hears why it cannot."""
    try:
        return around.blanks.fill(count)
    except OSError as error:
        _log.warning("cannot make folders of containers ahead: %s", error)
        return False


def clear_blanks(around: Surroundings) -> None:
    """They are nobody's: what cannot be put away now the next engine tries."""
    try:
        around.blanks.clear()
    except OSError as error:
        _log.warning("cannot put folders away that were made ahead: %s", error)


def make_bundle(around: Surroundings, record: ContainerRecord) -> dict[str, Any]:
    """In a thread: everything of a container on disk. Returns the OCI document."""
    folder = around.bundle(record.id)
    available = frozenset(capabilities.names_of(capabilities.read().permitted))
    image = resolve(parse_image(record.spec.image), around.root)
    size_bytes = record.spec.storage_bytes
    blank = not size_bytes and around.blanks.take(folder)  # a limited layer lies in a file system of its own
    overlay = around.snapshots.prepare(
        record.id, with_skeleton(image.lowerdirs, around.root), image.covers, size_bytes=size_bytes, blank=blank
    )
    volume_paths = _fill_volumes(around, record, image)
    _make_bind_sources(record)
    disks = {path: disk_numbers(path) for path in block_devices(record.spec.resources)}
    request = bundle.BundleRequest(
        container_id=record.id,
        spec=record.spec,
        name=record.name,
        labels=dict(record.labels),
        overlay=overlay.data(),
        image_digest=image.digest,
        image_entrypoint=image.config.entrypoint,
        image_command=image.config.command,
        image_environment=dict(image.config.environment),
        image_working_dir=image.config.working_dir,
        user=find_user(record.spec.user or image.config.user, image.lowerdirs, record.spec.isolation.groups),
        files={f"/etc/{name}": f"{folder}/{name}" for name in _NAMES},
        tmpfs_covers=[(each.path, each.mode) for each in image.covers if each.kind is CoverKind.TMPFS],
        volume_paths=volume_paths,
        granted_paths=grant_files(around, record),
        cgroup_views=around.cgroups.views(oci_resources(record.spec.resources, disks)),
        cgroup_group=around.cgroups.planned(record.id, {}).group,
        available=available,
        has_time_namespaces=os.path.exists("/proc/self/ns/time"),
        id_base=record.id_base,
        id_count=idranges.COUNT if record.id_base else 0,
        block_devices=disks,
    )
    held = bundle.capabilities_of(request)
    os.makedirs(folder, exist_ok=True)
    seccomp_path = filter_path(around, record.spec.isolation, held, folder)
    document = bundle.build_document(dataclasses.replace(request, seccomp_path=seccomp_path))
    files = {
        "hostname": f"{record.spec.hostname or record.id}\n",
        "hosts": hosts(record),
        "resolv.conf": around.networks.resolv_conf(),
    }
    bundle.write(folder, document, files)
    return document


def filter_path(around: Surroundings, isolation: IsolationSpec, held: tuple[str, ...], folder: str) -> str:
    """Where the compiled seccomp filter stands: one for all that have nothing of their own, else in the bundle."""
    if isolation.seccomp == "unconfined" or (isolation.privileged and not isolation.seccomp):
        return ""
    if not isolation.seccomp and held == capabilities.DEFAULT:
        return around.seccomp_path
    if isolation.seccomp:
        kernel = os.uname().release.split(".")
        version = (int(kernel[0]), int(kernel[1]))
        profile = seccomp_profile.parse(json.loads(isolation.seccomp), held, os.uname().machine, version)
        compiled = seccomp.compile_profile(profile)
    else:
        compiled = seccomp.compile_default(held)
    path = f"{folder}/seccomp.bpf"
    with open(path, "wb") as file:
        file.write(compiled)
    return path


def _fill_volumes(around: Surroundings, record: ContainerRecord, image: Image) -> dict[str, str]:
    """Make anonymous volumes, seed the empty ones: target → directory."""
    paths = {}
    for mount in record.spec.mounted:
        if mount.kind is not MountKind.VOLUME:
            continue
        name = mount.source or anonymous_volume(record.name, mount.target)
        paths[mount.target] = around.volumes.create(name)
        if not mount.nocopy:
            around.volumes.seed(name, image.lowerdirs, mount.target, image.covers)
    return paths


def grant_files(around: Surroundings, record: ContainerRecord) -> list[str]:
    """The secrets and configs of a container, as files to mount: those that a restart of the machine took, again.

    They have the numbers that the host has for the container's users, not mapped ones: secrets may lie in a ramfs.
    """
    files = record.spec.files
    if record.id_base:
        ids = Ids.from_base(record.id_base, idranges.COUNT)
        files = tuple(dataclasses.replace(each, uid=ids.uid(each.uid), gid=ids.gid(each.gid)) for each in files)
    return around.contents.grant(record.stack, record.id, files, dict(record.spec.contents))


def _make_bind_sources(record: ContainerRecord) -> None:
    for mount in record.spec.mounted:
        if mount.kind is not MountKind.BIND or os.path.exists(mount.source):
            continue
        if not mount.create_host_path:
            raise NotFound(f"bind source {mount.source} does not exist", code="O8-402")
        os.makedirs(mount.source, exist_ok=True)
        _log.warning("%s: made the missing bind source %s", record.name, mount.source)


def hosts(record: ContainerRecord) -> str:
    """The text of /etc/hosts."""
    hostname = record.spec.hostname or record.id
    return bundle.hosts_file(hostname, [address for each in record.addresses.values() for address in each])


def write_hosts(around: Surroundings, record: ContainerRecord) -> None:
    """In place: the file is bound into the container by its inode."""
    with open(f"{around.bundle(record.id)}/hosts", "w", encoding="utf-8") as file:
        file.write(hosts(record))


def find_user(text: str, lowerdirs: tuple[str, ...], more_groups: tuple[str, ...] = ()) -> User:
    """Resolve a user and further groups against the image's passwd and group files, which are a container's own to make."""
    with Tree([os.open(each, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) for each in lowerdirs]) as tree:
        passwd, group = (_read(tree, f"/etc/{name}") for name in ("passwd", "group"))
    return resolve_user(text, passwd, group).in_groups(more_groups, group)


def _read(tree: Tree, path: str) -> bytes:
    fd = tree.open_path(path)
    if fd is None:
        return b""
    try:
        return read_file(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


class MadeOf(NamedTuple):
    command: tuple[str, ...] = ()  # what it runs
    image_digest: str = ""  # of the manifest of an image of the store

    @classmethod
    def of(cls, document: dict[str, Any]) -> "MadeOf":
        return cls(tuple(document["process"]["args"]), document["annotations"].get(bundle.IMAGE, ""))


def made_of(bundle_path: str) -> MadeOf:
    """What a complete bundle says; nothing for one whose creation was interrupted."""
    try:
        return MadeOf.of(bundle.read(bundle_path))
    except FileNotFoundError:
        return MadeOf()
    except ValueError:  # a power cut took what was in it: without it the bundle is made again at the next start
        _log.warning("%s/config.json is damaged, and is made anew", bundle_path)
        os.unlink(f"{bundle_path}/config.json")
        return MadeOf()


def last_state(bundle_path: str) -> dict[str, Any]:
    """What the shim wrote of its last run; {} when it never did. What a power cut took ended by that."""
    try:
        return read_state(bundle_path)
    except ValueError:
        _log.warning("%s: the state of its last run is damaged", bundle_path)
        ended = {"state": "exited", "pid": 0, "exit_code": 128 + signal.SIGKILL, "oom_killed": False}
        return {**ended, "started_at": 0.0, "finished_at": time.time()}
