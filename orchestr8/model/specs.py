"""What a user asked for, typed: built by `plan.desired` from the canonical document, never changed afterwards.

Units stand in the names. Mappings are tuples of pairs, sorted by key, so that values hash and compare.
"""

import enum
from dataclasses import dataclass, field

from orchestr8.model.ids import ContainerName, NetworkName, ServiceName, StackName, VolumeName
from orchestr8.model.limits import ResourceSpec

Pairs = tuple[tuple[str, str], ...]


class RestartMode(enum.StrEnum):
    NO = "no"
    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    UNLESS_STOPPED = "unless-stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    mode: RestartMode = RestartMode.NO
    max_retries: int = 0  # on-failure only; 0: no limit


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthcheckSpec:
    """Docker's constants are the defaults (moby daemon/health.go)."""

    test: tuple[str, ...]  # ("CMD", program, …) or ("CMD-SHELL", text); NONE and `disable` leave no spec at all
    interval_s: float = 30.0
    timeout_s: float = 30.0
    retries: int = 3
    start_period_s: float = 0.0
    start_interval_s: float = 5.0


class MountKind(enum.StrEnum):
    BIND = "bind"
    VOLUME = "volume"
    TMPFS = "tmpfs"


class Recursion(enum.StrEnum):
    """`bind.recursive`: are mounts below the source seen, and does `read_only` mean them, too?"""

    ENABLED = "enabled"  # seen, and read-only with it
    DISABLED = "disabled"  # not seen
    WRITABLE = "writable"  # seen, and as they are
    READONLY = "readonly"  # as ENABLED, or an error


@dataclass(frozen=True, slots=True, kw_only=True)
class MountSpec:
    kind: MountKind
    target: str  # absolute, in the container
    source: str = ""  # bind: absolute host path; volume: its full name, "" for an anonymous one; tmpfs: ""
    read_only: bool = False
    create_host_path: bool = True  # bind: make a missing source directory
    propagation: str = "rprivate"  # bind: one of mount(8)'s six, e.g. "rslave"
    recursion: Recursion = Recursion.ENABLED  # bind: of what is mounted below the source
    nocopy: bool = False  # volume: do not seed from the image
    subpath: str = ""  # volume: relative to its root, which is mounted when this is ""
    size_bytes: int = 0  # tmpfs; 0: no limit of our own (the kernel's: half of memory)
    mode: int = 0o1777  # tmpfs
    options: tuple[str, ...] = ()  # tmpfs: further mount options of the short syntax, e.g. "noexec"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanSpec:
    """`volumes_from: [container:NAME]`: mounts of a container that is none of this stack's services."""

    container: ContainerName
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSpec:
    """A secret or config that the container is given as a file. What it holds is known by its digest alone."""

    name: str  # "secrets.NAME" or "configs.NAME", as in `ContainerSpec.contents`
    target: str  # absolute, in the container
    uid: int = 0
    gid: int = 0
    mode: int = 0o444


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSpec:
    target: int
    published_first: int = 0  # 0: any free port
    published_last: int = 0  # equal to first unless a range was asked for
    host_ip: str = "0.0.0.0"
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentSpec:
    network: NetworkName
    aliases: tuple[str, ...] = ()  # what the user wrote; service and container names are added by the engine


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """A device of the host in the container, or every one below a directory of the host's /dev."""

    source: str  # absolute, on the host
    target: str  # absolute, in the container
    access: str = "rwm"


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationSpec:
    """How a container differs from what keeps containers apart otherwise: rights, confinement, namespaces.

    A shared namespace is "host", "service:NAME" of the same stack, or "container:NAME"; "" is one of its own.
    """

    privileged: bool = False
    cap_add: tuple[str, ...] = ()  # "ALL", or names such as CAP_NET_ADMIN; sorted
    cap_drop: tuple[str, ...] = ()
    no_new_privileges: bool = False
    seccomp: str = ""  # "": the default profile; "unconfined"; else the text of a profile, JSON
    system_paths: bool = True  # False: nothing of /proc and /sys is masked or read-only
    groups: tuple[str, ...] = ()  # names or numbers, besides the user's own
    sysctls: Pairs = ()
    devices: tuple[DeviceSpec, ...] = ()
    domainname: str = ""
    pid: str = ""
    ipc: str = ""  # "private" and "shareable" are "" here: any container's can be shared; "none": no /dev/shm either
    uts: str = ""
    user_namespace: bool = False  # True: one of its own, with ids of its own


class LogDriver(enum.StrEnum):
    LOCAL = "local"  # files of ours, rotated
    NONE = "none"  # nothing is kept
    SYSLOG = "syslog"  # sent there, and kept as with `local`
    JOURNALD = "journald"  # likewise


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSpec:
    """What becomes of a program's output, besides going to who is attached."""

    driver: LogDriver = LogDriver.LOCAL
    max_bytes: int = 10 << 20  # of one file; 0: no limit
    max_files: int = 3  # with the one that is written to
    compress: bool = True  # the others
    queue_bytes: int = 8 << 20  # of what a receiver has not taken yet
    copied: bool = True  # to files of ours, what goes to a receiver
    options: Pairs = ()  # of the receiver, in Docker's words: see `model.receivers`

    @property
    def kept(self) -> bool:
        """In files, which `logs` reads."""
        return self.copied and self.driver is not LogDriver.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """Everything that makes one replica what it is; two replicas of a service have equal specs."""

    image: str  # e.g. "rootfs:/srv/base"
    entrypoint: tuple[str, ...] | None = None  # None: the image's
    command: tuple[str, ...] | None = None
    environment: Pairs = ()
    unset_environment: tuple[str, ...] = ()  # keys taken from a caller who lacks them: removed, the image's too
    working_dir: str = ""
    user: str = ""  # "", "name", "uid", "uid:gid"
    hostname: str = ""
    init: bool | None = None  # None: the reaper, unless the program is an init itself
    tty: bool = False
    stdin_open: bool = False
    read_only: bool = False
    mounts: tuple[MountSpec, ...] = ()  # with those of services in `volumes_from`
    volumes_from: tuple[LoanSpec, ...] = ()
    borrowed: tuple[MountSpec, ...] = field(default=(), compare=False)  # of `volumes_from`, when it was created
    storage_bytes: int = 0  # what its own layer may hold; 0: no limit
    shm_size_bytes: int = 0  # 0: Docker's 64 MiB
    networks: tuple[AttachmentSpec, ...] = ()
    ports: tuple[PortSpec, ...] = ()
    labels: Pairs = ()
    stop_signal: str = "SIGTERM"
    stop_timeout_s: float = 10.0
    restart: RestartPolicy = RestartPolicy()
    healthcheck: HealthcheckSpec | None = None
    resources: ResourceSpec = ResourceSpec()
    files: tuple[FileSpec, ...] = ()  # sorted by target
    isolation: IsolationSpec = IsolationSpec()
    logging: LogSpec = LogSpec()
    contents: Pairs = ()  # `secrets.NAME`, `configs.NAME` -> a digest of the content that it had
    # `environment.LOG_LEVEL` -> `stack.yml:12`: for the reasons of plans; another place is no other container
    origins: Pairs = field(default=(), compare=False)

    def place_of(self, *keys: str) -> str:
        """Where the first of these keys that stands somewhere does: "`command` stands at stack.yml:5"; "" for none."""
        places = dict(self.origins)
        key = next((each for each in keys if each in places), "")
        return f"`{key}` stands at {places[key]}" if key else ""

    @property
    def mounted(self) -> tuple[MountSpec, ...]:
        """All mounts, sorted by target; its own hide borrowed ones."""
        own = {each.target for each in self.mounts}
        borrowed = {each.target: each for each in self.borrowed if each.target not in own}
        return tuple(sorted((*self.mounts, *borrowed.values()), key=lambda each: each.target))


class Condition(enum.StrEnum):
    STARTED = "service_started"
    HEALTHY = "service_healthy"
    COMPLETED = "service_completed_successfully"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    service: ServiceName
    condition: Condition = Condition.STARTED
    required: bool = True
    restart: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    name: ServiceName
    container: ContainerSpec
    replicas: int = 1
    container_name: ContainerName | None = None
    depends_on: tuple[Dependency, ...] = ()  # sorted by service
    lenders: tuple[ServiceName, ...] = ()  # services in `volumes_from`, sorted
    config_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    name: NetworkName
    key: str  # as the stack file calls it
    external: bool = False
    subnet: str = ""  # CIDR asked for; "": the engine allots one
    labels: Pairs = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSpec:
    name: VolumeName
    key: str
    external: bool = False
    labels: Pairs = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """One stack as it should be. `services` holds the selected ones only, profiles and arguments already applied."""

    stack: StackName
    services: dict[ServiceName, ServiceSpec] = field(default_factory=dict)
    networks: dict[NetworkName, NetworkSpec] = field(default_factory=dict)
    volumes: dict[VolumeName, VolumeSpec] = field(default_factory=dict)
    working_dir: str = ""
    config_files: tuple[str, ...] = ()
    disabled: frozenset[ServiceName] = frozenset()  # in the file, but their profiles are off: no orphans
