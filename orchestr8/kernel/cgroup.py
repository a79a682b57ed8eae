"""Control groups of one engine: a group per container, one for the shims, on cgroup v1, v2 and the hybrid of both.

Everything lies below `orchestr8-<instance>` of each hierarchy; nothing else is changed, except that on v2 the
controllers we need are turned on in the root where they are off. The groups:

    orchestr8-<instance>/<container id>     limits, device rules, OOM count, and in cgroup2 the handle to kill them all
    orchestr8-<instance>/shims              the forkserver and its shims. They enter once and inherit it by fork: no cost
                                            per container, no limit of a session or service that started the engine,
                                            and not the parent group, since v2 wants processes in leaves only

On v1 and hybrid machines limits are set on v1 (memory, cpu, pids, devices); with cgroup2 beside it a leaf without
controllers serves for tracking, freezing and killing. How a forked process enters its group: `kernel.cgroup_enter`.
Calls block for a few hundred microseconds (`remove` for up to a second).
"""

import contextlib
import enum
import errno
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, Self

from orchestr8.errors import Conflict, InvalidInput, NotFound, OperationFailed
from orchestr8.kernel import device_filter
from orchestr8.kernel.cgroup_limits import Limit, limit_files
from orchestr8.kernel.cgroup_mounts import mounted_hierarchies
from orchestr8.kernel.device_rules import DEFAULT_DEVICES, from_oci, oci_devices, settle
from orchestr8.kernel.libc import SyscallError
from orchestr8.model.specs import ResourceSpec

_SHIMS: Final = "shims"
_NAME: Final = re.compile(r"[0-9a-zA-Z+_-][0-9a-zA-Z+_.-]*")
_REMOVE_TRIES: Final = 11
_KILL_TRIES: Final = 10


class Layout(enum.StrEnum):
    V1 = "v1"
    HYBRID = "hybrid"  # controllers on v1, and cgroup2 mounted beside
    V2 = "v2"


class CgroupPlace(NamedTuple):
    """Where a process of one group belongs, ready for a child that has no time to think."""

    group: str  # "orchestr8-<instance>/<id>"
    leaf: str  # the group's directory in cgroup2, for clone3's CLONE_INTO_CGROUP; "" where there is no cgroup2
    tasks: tuple[str, ...]  # v1 files that the child enters itself
    warnings: tuple[str, ...] = ()  # limits that this machine cannot set

    @property
    def files(self) -> tuple[str, ...]:
        """Everything to enter for a process that was not cloned into `leaf`."""
        return (*self.tasks, f"{self.leaf}/cgroup.procs") if self.leaf else self.tasks


class CgroupTree:
    """The groups of one engine instance. `hierarchies` maps each v1 controller to its mount point."""

    def __init__(
        self,
        instance: str,
        hierarchies: dict[str, str],
        unified: str = "",
        *,
        sleep: Callable[[float], None] = time.sleep,
        kill: Callable[[int, int], None] = os.kill,
    ) -> None:
        self.parent: Final = f"orchestr8-{_checked(instance)}"
        self._unified = unified
        self._hierarchies = dict(hierarchies)
        self._sleep = sleep
        self._kill = kill
        self._device_program = -1
        v2_controllers = frozenset(_read(f"{unified}/cgroup.controllers").split()) if unified else frozenset()
        self._v2 = {"memory", "cpu", "pids"} & v2_controllers - hierarchies.keys()
        wanted = {"memory", "cpu", "pids", "devices"} | (set() if unified else {"freezer", "cpuacct"})
        self._v1 = {name: hierarchies[name] for name in sorted(wanted & hierarchies.keys())}
        # Where systemd runs, it tracks services and sessions by a named hierarchy: shims must leave those too.
        self._named = tuple(path for name, path in sorted(hierarchies.items()) if name.startswith("name="))
        self.layout: Final = Layout.V1 if not unified else Layout.HYBRID if self._v1 else Layout.V2
        self.controllers: Final = frozenset(self._v1) | self._v2

    @classmethod
    def detect(cls, instance: str, mountinfo: str | None = None) -> Self:
        """The tree as this machine mounts it; `mountinfo` is the text of /proc/self/mountinfo."""
        hierarchies, unified = mounted_hierarchies(_read("/proc/self/mountinfo") if mountinfo is None else mountinfo)
        if not hierarchies and not unified:
            raise OperationFailed(
                "no cgroup hierarchy is mounted",
                code="O8-410",
                helps=["mount cgroup2: mount -t cgroup2 none /sys/fs/cgroup"],
            )
        return cls(instance, hierarchies, unified)

    def prepare(self) -> CgroupPlace:
        """Make the parent groups and that of the shims, or adopt them. The forkserver enters the place returned."""
        for mount in (*self._v1_mounts(), *self._named):
            _ensure(f"{mount}/{self.parent}")
            _ensure(f"{mount}/{self.parent}/{_SHIMS}")
        if self._unified:
            self._delegate(self._unified)
            _ensure(f"{self._unified}/{self.parent}")
            self._delegate(f"{self._unified}/{self.parent}")
            _ensure(f"{self._unified}/{self.parent}/{_SHIMS}")
        place = self._place(_SHIMS)
        return place._replace(tasks=(*place.tasks, *(f"{mount}/{self.parent}/{_SHIMS}/tasks" for mount in self._named)))

    def home(self, own: str | None = None) -> list[list[str]]:
        """For each hierarchy the files to try, in turn, for a child of the forkserver that is no shim: the next engine.

        First where the calling process is, unless that is a group of ours; then the root, for a session's group may
        be gone by then. `own` is the text of /proc/self/cgroup.
        """
        lines = (_read("/proc/self/cgroup") if own is None else own).splitlines()
        paths = {name: path for _, names, path in (line.split(":", 2) for line in lines) for name in names.split(",")}
        mounts = {self._unified: ""} if self._unified else {}
        mounts |= {
            mount: name for name, mount in self._hierarchies.items() if mount in (*self._v1_mounts(), *self._named)
        }
        found = []
        for mount, name in sorted(mounts.items()):
            path = paths.get(name, "/").rstrip("/")
            ours = path.startswith(f"/{self.parent}/") or not os.path.isdir(f"{mount}{path}")
            file = "tasks" if name else "cgroup.procs"
            found.append(
                list(dict.fromkeys([f"{mount}/{file}" if ours else f"{mount}{path}/{file}", f"{mount}/{file}"]))
            )
        return found

    def create(self, container_id: str, limits: ResourceSpec) -> CgroupPlace:
        """A fresh group with its limits set, empty; one group per run, so that its OOM count starts at 0."""
        place = self._place(container_id)
        made: list[str] = []
        try:
            for directory in self._directories(container_id):
                self._make(directory, place.group)
                made.append(directory)
            warnings = [*self._set_limits(place.group, limits), *self._set_devices(place)]
        except BaseException:
            for directory in made:
                with contextlib.suppress(OSError):  # the failure itself is what the caller must see
                    _rmdir(directory)
            raise
        return place._replace(warnings=tuple(warnings))

    def planned(self, container_id: str) -> CgroupPlace:
        """Where `create` will make the group."""
        return self._place(container_id)

    def place(self, container_id: str) -> CgroupPlace:
        """The place of a group that exists."""
        place = self._place(container_id)
        if not os.path.isdir(next(self._directories(container_id))):
            raise NotFound(f"no cgroup {place.group}")
        return place

    def pids(self, container_id: str) -> list[int]:
        """The processes in the group and below it, as the engine's pid namespace numbers them."""
        directory = next(self._directories(container_id))
        return sorted({pid for each in _walk(directory) for pid in _pids_in(each)})

    def kill(self, container_id: str) -> None:
        """SIGKILL to every process of the group, also to those that are being forked meanwhile."""
        if self._unified:
            leaf = self._place(container_id).leaf
            try:
                _write(f"{leaf}/cgroup.kill", "1")
                return
            except FileNotFoundError:  # a kernel before 5.14, or the group is gone
                if not os.path.isdir(leaf):
                    return
        with self._frozen(container_id):
            self._kill_each(container_id)

    def oom_kill_count(self, container_id: str) -> int:
        """How many processes of the group the kernel killed for lack of memory; 0 when the group is gone."""
        path = self.oom_file(container_id)
        fields = dict(line.split() for line in _read_if_there(path).splitlines()) if path else {}
        return int(fields.get("oom_kill", 0))

    def oom_file(self, container_id: str) -> str:
        """The file whose line `oom_kill N` counts those kills; "" where memory is not accounted."""
        if "memory" in self._v1:
            return f"{self._v1['memory']}/{self.parent}/{_checked(container_id)}/memory.oom_control"
        return f"{self._place(container_id).leaf}/memory.events" if "memory" in self._v2 else ""

    def views(self) -> list[tuple[str, str, str]]:
        """What a container may see at /sys/fs/cgroup: (directory, file system, controllers); directory "" is the top."""
        if self.layout is Layout.V2:
            return [("", "cgroup2", "")]
        views = []
        for mount in self._v1_mounts():
            controllers = sorted(name for name, path in self._hierarchies.items() if path == mount)
            views.append((os.path.basename(mount), "cgroup", ",".join(controllers)))
        return [*views, ("unified", "cgroup2", "")] if self._unified else views

    def containers(self) -> set[str]:
        """Ids of all groups that exist in any hierarchy: what a crash may have left behind."""
        found: set[str] = set()
        for mount in self._mounts():
            with contextlib.suppress(FileNotFoundError):
                found.update(entry.name for entry in os.scandir(f"{mount}/{self.parent}") if entry.is_dir())
        return found - {_SHIMS}

    def remove(self, container_id: str) -> None:
        """Remove the group and what was made below it; it must have no process any more. Gone already is fine."""
        for directory in self._directories(container_id):
            self._remove_directory(directory)

    def remove_parent(self) -> None:
        """Remove the shims' group and the parents, once neither shim nor forkserver is left."""
        for mount in (*self._mounts(), *self._named):
            if os.getpid() in _pids_in(f"{mount}/{self.parent}/{_SHIMS}"):  # an engine that a forkserver restarted
                _write(f"{mount}/cgroup.procs", str(os.getpid()))
            self._remove_directory(f"{mount}/{self.parent}/{_SHIMS}")
            self._remove_directory(f"{mount}/{self.parent}")

    def close(self) -> None:
        """Let go of the device program; groups keep theirs."""
        if self._device_program >= 0:
            os.close(self._device_program)
            self._device_program = -1

    def _v1_mounts(self) -> list[str]:
        return list(dict.fromkeys(self._v1.values()))  # controllers may share a mount, as cpu,cpuacct do

    def _mounts(self) -> list[str]:
        return ([self._unified] if self._unified else []) + self._v1_mounts()

    def _directories(self, name: str) -> Iterator[str]:
        """The group's directories, cgroup2's first."""
        return (f"{mount}/{self.parent}/{_checked(name)}" for mount in self._mounts())

    def _place(self, name: str) -> CgroupPlace:
        group = f"{self.parent}/{_checked(name)}"
        return CgroupPlace(
            group=group,
            leaf=f"{self._unified}/{group}" if self._unified else "",
            tasks=tuple(f"{mount}/{group}/tasks" for mount in self._v1_mounts()),
        )

    def _delegate(self, directory: str) -> None:
        """Turn on, for the children of a v2 directory, each controller that we use and that can be turned on there."""
        control = f"{directory}/cgroup.subtree_control"
        for controller in sorted(self._v2 - set(_read(control).split())):
            # One by one: a nested or threaded parent refuses some, and `create` then says which limit is missing.
            with contextlib.suppress(OSError):
                _write(control, f"+{controller}")

    def _make(self, directory: str, group: str) -> None:
        try:
            _mkdir(directory)
        except FileExistsError:
            if any(_pids_in(each) for each in _walk(directory)):
                raise Conflict(f"cgroup {group} still has processes") from None
            self._remove_directory(directory)
            _mkdir(directory)
        except FileNotFoundError:  # somebody removed our empty parents
            self.prepare()
            _mkdir(directory)

    def _set_limits(self, group: str, limits: ResourceSpec) -> Iterator[str]:
        """Write the limits; a sentence for each one that this machine cannot enforce."""
        for v1, v2 in zip(limit_files(limits, v2=False), limit_files(limits, v2=True), strict=True):
            if v1.controller in self._v1:
                yield from _write_limit(f"{self._v1[v1.controller]}/{group}", v1)
            elif v2.controller in self._v2:
                yield from _write_limit(f"{self._unified}/{group}", v2)
            else:
                yield f"{v1.name} is not enforced: no {v1.controller} controller is mounted"

    def _set_devices(self, place: CgroupPlace) -> Iterator[str]:
        """Refuse every device but the harmless ones."""
        if "devices" in self._v1:
            directory = f"{self._v1['devices']}/{place.group}"
            _write(f"{directory}/devices.deny", "a")
            _write(f"{directory}/devices.allow", *map(str, DEFAULT_DEVICES))
        elif self._unified:
            try:
                if self._device_program < 0:
                    self._device_program = device_filter.load(settle(from_oci(oci_devices(DEFAULT_DEVICES))))
                device_filter.attach(self._device_program, place.leaf)
            except SyscallError as error:
                # In a user namespace the kernel refuses the program, and device nodes cannot be made there either.
                if error.errno != errno.EPERM or not _in_user_namespace():
                    raise
                yield "devices are not filtered: not allowed in a user namespace"
        else:
            yield "devices are not filtered: no devices controller is mounted"

    def _kill_each(self, container_id: str) -> None:
        for _ in range(_KILL_TRIES):  # once is enough where the group could be frozen
            pids = self.pids(container_id)
            if not pids:
                return
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    self._kill(pid, signal.SIGKILL)

    @contextlib.contextmanager
    def _frozen(self, container_id: str) -> Iterator[None]:
        """No process of the group runs meanwhile, so that none forks away. Thawed whatever happens."""
        name = _checked(container_id)
        if self._unified:
            file, on, off = f"{self._unified}/{self.parent}/{name}/cgroup.freeze", "1", "0"
        elif "freezer" in self._v1:
            file, on, off = f"{self._v1['freezer']}/{self.parent}/{name}/freezer.state", "FROZEN", "THAWED"
        else:
            yield
            return
        try:
            _write(file, on)
        except FileNotFoundError:  # a kernel before 5.2: the signals are repeated until nobody is left
            yield
            return
        try:
            yield
        finally:
            _write(file, off)

    def _remove_directory(self, directory: str) -> None:
        """rmdir, children first. The kernel says EBUSY until the last process that exited has left: wait for that."""
        pause_s = 0.001
        for attempt in range(_REMOVE_TRIES):
            try:
                _rmdir(directory)
                return
            except FileNotFoundError:
                return
            except OSError as error:
                if attempt == _REMOVE_TRIES - 1:
                    raise OperationFailed(f"cannot remove the cgroup {directory}: {error.strerror}") from error
            children = _children(directory)
            for child in children:
                self._remove_directory(child)
            if not children:
                self._sleep(pause_s)
                pause_s *= 2


def _write_limit(directory: str, limit: Limit) -> Iterator[str]:
    for file in limit.files:
        path = f"{directory}/{file.name}"
        try:
            _write(path, file.text)
        except FileNotFoundError:
            if not file.optional:
                yield f"{limit.name} is not enforced: there is no {path}"
                return
        except OSError as error:
            raise OperationFailed(f"cannot set {limit.name}: {path}: {error.strerror}") from error


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{name!r} cannot name a cgroup")
    return name


# What only a cgroup filesystem does, by name, for a fake one in tests: mkdir fills a group, rmdir ignores its files, a
# write is a command.
_mkdir = os.mkdir
_rmdir = os.rmdir


def _ensure(directory: str) -> None:
    with contextlib.suppress(FileExistsError):
        _mkdir(directory)


def _children(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _walk(directory: str) -> Iterator[str]:
    yield directory
    for child in _children(directory):
        yield from _walk(child)


def _pids_in(directory: str) -> list[int]:
    try:
        return [int(line) for line in _read_if_there(f"{directory}/cgroup.procs").split()]
    except OSError as error:
        if error.errno in {errno.ENODEV, errno.EOPNOTSUPP}:  # being removed; a threaded group, whose root lists them
            return []
        raise


def _in_user_namespace() -> bool:
    return _read("/proc/self/uid_map").split() != ["0", "0", "4294967295"]


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _read_if_there(path: str) -> str:
    try:
        return _read(path)
    except FileNotFoundError:
        return ""


def _write(path: str, *texts: str) -> None:
    """One write(2) for each text: a cgroup file takes one command at a time, and is never created."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        for text in texts:
            os.write(fd, text.encode())
    finally:
        os.close(fd)
