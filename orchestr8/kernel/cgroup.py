"""Control groups of one engine instance: a group per container, one for the shims, on cgroup v1, v2 and hybrids of both.

Everything lies below `orchestr8-<instance>` of each hierarchy; nothing else is changed, except that on v2 the
controllers we need are turned on in the root where they are off. The groups:

    orchestr8-<instance>/<container id>     limits, device rules, OOM count, and in cgroup2 the handle to kill them all
    orchestr8-<instance>/shims              the forkserver and its shims. They enter once and inherit it by fork: no cost
                                            per container, no limit of a session or service that started the engine,
                                            and not the parent group, since v2 wants processes in leaves only
    <cgroup_parent>/orchestr8-<instance>/…  the same for containers that are to stand below somebody's group

On v1 and hybrid machines limits are set on v1; with cgroup2 beside it a leaf without controllers serves for tracking,
freezing, killing and the count of processor time. Controllers that few containers need are joined by those only, since
each v1 hierarchy costs a start a tenth of a millisecond; shims join none but those that containers always have.

Beside this: what is written where (`cgroup_limits`, `device_rules`), writing it (`cgroup_apply`), the groups above
(`cgroup_parents`), counts (`cgroup_counters`), entering (`cgroup_enter`). Calls block for a few hundred microseconds
(`remove` for up to a second).
"""

import contextlib
import enum
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, Self

from orchestr8.errors import Conflict, InvalidInput, OperationFailed
from orchestr8.kernel import cgroup_apply, cgroup_counters, cgroup_mounts, cgroup_parents
from orchestr8.kernel import cgroup_files as files
from orchestr8.kernel.cgroup_counters import Counters
from orchestr8.kernel.cgroup_limits import Limit, limits, uses
from orchestr8.kernel.device_rules import DEFAULT_DEVICES, from_oci, oci_devices
from orchestr8.kernel.freezer import Freezer, FreezerV1, FreezerV2, freeze, frozen

_SHIMS: Final = "shims"
_NAME: Final = re.compile(r"[0-9a-zA-Z+_-][0-9a-zA-Z+_.-]*")
_KILL_TRIES: Final = 10
_REAL_TIME_PERIOD_US: Final = 1_000_000  # the kernel's
_ALWAYS: Final = {"memory", "cpu", "pids"}  # and devices, which v2 has no controller for
_ON_DEMAND: Final = {"cpuset", "blkio", "io"}  # io: blkio's name on v2
# On v1 a JVM that does not find each of these beside cpu and memory believes to have the whole machine, and takes a quarter
# of its memory for a heap (JDK, src/hotspot/os/linux/cgroupSubsystem_linux.cpp).
_LOOKED_FOR: Final = {"cpuacct", "cpuset"}


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
    """The groups of one engine instance, in the hierarchies that `mounts` names."""

    def __init__(
        self,
        instance: str,
        mounts: cgroup_mounts.Mounts,
        *,
        sleep: Callable[[float], None] = time.sleep,
        kill: Callable[[int, int], None] = os.kill,
        parent: str = "",
    ) -> None:
        hierarchies, unified = mounts.hierarchies, mounts.unified
        self.parent: Final = parent or f"orchestr8-{_checked(instance)}"
        self._has_shims: Final = not parent
        self._mounts_found = mounts
        self._unified = unified
        self._sleep = sleep
        self._kill = kill
        self._programs = cgroup_apply.DevicePrograms()
        self._below: dict[str, str] = {}  # container id → what `put_below` said
        v2_controllers = frozenset(files.read(f"{unified}/cgroup.controllers").split()) if unified else frozenset()
        on_v2 = v2_controllers - hierarchies.keys()
        self._v2 = _ALWAYS & on_v2
        wanted = _ALWAYS | {"devices"} | (set() if unified else {"freezer", "cpuacct"})
        if parent:  # whoever named it counts in every hierarchy
            wanted |= _ON_DEMAND | _LOOKED_FOR | {"freezer"}
        self._v1 = {name: hierarchies[name] for name in sorted(wanted & hierarchies.keys())}
        further = _ON_DEMAND | (_LOOKED_FOR - self._v1.keys())
        self._v1_on_demand = {name: hierarchies[name] for name in sorted(further & hierarchies.keys())}
        self._v2_on_demand = _ON_DEMAND & on_v2
        # Where systemd runs, it tracks services and sessions by a named hierarchy: shims must leave those too.
        self._named = tuple(path for name, path in sorted(hierarchies.items()) if name.startswith("name="))
        self.layout: Final = Layout.V1 if not unified else Layout.HYBRID if self._v1 else Layout.V2
        self.controllers: Final = frozenset(self._v1) | self._v2

    @classmethod
    def below(cls, parent: str) -> Self:
        """Groups right below one that somebody else has named, `a/b`; it is made when the first of them is."""
        return cls.detect("", parent="/".join(_checked(part) for part in parent.split("/")))

    @classmethod
    def detect(cls, instance: str, mountinfo: str | None = None, *, parent: str = "") -> Self:
        """The tree as this machine mounts it; `mountinfo` is the text of /proc/self/mountinfo."""
        text = files.read("/proc/self/mountinfo") if mountinfo is None else mountinfo
        mounts = cgroup_mounts.find_mounts(text)
        if not mounts.hierarchies and not mounts.unified:
            raise OperationFailed(
                "no cgroup hierarchy is mounted",
                code="O8-410",
                helps=["mount cgroup2: mount -t cgroup2 none /sys/fs/cgroup"],
            )
        return cls(instance, mounts, parent=parent)

    def prepare(self) -> CgroupPlace:
        """Make the parent groups and that of the shims, or adopt them. The forkserver enters the place returned."""
        for mount in (*self._v1_mounts(), *self._named):
            files.ensure(f"{mount}/{self.parent}")
            files.ensure(f"{mount}/{self.parent}/{_SHIMS}")
        if self._unified:
            self._delegate(self.parent, self._v2)
            files.ensure(f"{self._unified}/{self.parent}/{_SHIMS}")
        place = self._place(_SHIMS)
        return place._replace(tasks=(*place.tasks, *(f"{mount}/{self.parent}/{_SHIMS}/tasks" for mount in self._named)))

    def home(self, own: str | None = None) -> list[list[str]]:
        """For each hierarchy the files to try, in turn, for a child of the forkserver that is no shim: the next engine.

        First where the calling process is, unless that is a group of ours; then the root, for a session's group may
        be gone by then. `own` is the text of /proc/self/cgroup.
        """
        groups = cgroup_mounts.own_groups(files.read("/proc/self/cgroup") if own is None else own)
        mounts = {self._unified: ""} if self._unified else {}
        mounts |= {
            mount: name
            for name, mount in self._mounts_found.hierarchies.items()
            if mount in (*self._v1_mounts(), *self._named)
        }
        found = []
        for mount, name in sorted(mounts.items()):
            path = cgroup_mounts.below(groups.get(name, "/"), self._mounts_found.roots.get(mount, ""))
            ours = path is None or path.startswith(f"/{self.parent}/") or not os.path.isdir(f"{mount}{path}")
            file = "tasks" if name else "cgroup.procs"
            there = f"{mount}/{file}" if ours else f"{mount}{path}/{file}"
            found.append(list(dict.fromkeys([there, f"{mount}/{file}"])))
        return found

    def put_below(self, container_id: str, parent: str) -> None:
        """Say that this container's group stands below another one (`/batch`, "": ours); to be said before all else."""
        if parent.strip("/"):
            self._below[container_id] = "/".join(_checked(part) for part in parent.split("/") if part)
        else:
            self._below.pop(container_id, None)

    def create(self, container_id: str, resources: Mapping[str, Any]) -> CgroupPlace:
        """A fresh group with its limits set, empty; one group per run, so that its counts start at 0.

        `resources`: `linux.resources` of OCI's document.
        """
        place = self.planned(container_id, resources)
        made: list[str] = []
        try:
            self._delegate_for(container_id, resources)
            for mount in self._mounts_for(resources):
                self._make(mount, place.group)
                made.append(f"{mount}/{place.group}")
            warnings = [*self._set_limits(place.group, resources), *self._set_devices(place, resources)]
        except BaseException:
            for directory in made:
                with contextlib.suppress(OSError):  # the failure itself is what the caller must see
                    files.rmdir(directory)
            raise
        return place._replace(warnings=tuple(warnings))

    def update(self, container_id: str, resources: Mapping[str, Any]) -> list[str]:
        """Limits of a group that is in use; a sentence for each one that this machine cannot enforce."""
        group = self._group(container_id)
        self._delegate_for(container_id, resources)
        self._share(group, resources)
        return list(cgroup_apply.change_limits(self._limits_in(group, resources)))

    def planned(self, container_id: str, resources: Mapping[str, Any]) -> CgroupPlace:
        """Where `create` will make the group."""
        return self._place(container_id, resources)

    def exists(self, container_id: str) -> bool:
        """In any hierarchy: a crash may have removed some of it."""
        return any(map(os.path.isdir, self._directories(container_id)))

    def pids(self, container_id: str) -> list[int]:
        """The processes in the group and below it, as the engine's pid namespace numbers them."""
        directory = next(self._directories(container_id))
        return sorted({pid for each in files.walk(directory) for pid in files.pids_in(each)})

    def kill(self, container_id: str) -> None:
        """SIGKILL to every process of the group, also to those that are being forked meanwhile."""
        if self._unified:
            leaf = self._place(container_id).leaf
            try:
                files.write(f"{leaf}/cgroup.kill", "1")
                return
            except FileNotFoundError:  # a kernel before 5.14, or the group is gone
                if not os.path.isdir(leaf):
                    return
        with frozen(self._freezer(container_id)):
            self._kill_each(container_id)

    def counters(self, container_id: str) -> Counters:
        """What the kernel has counted since the group was made; zeros when it is gone."""
        group, v1 = self._group(container_id), {**self._v1, **self._v1_on_demand}
        leaf = f"{self._unified}/{group}" if self._unified else ""
        return cgroup_counters.count(leaf, {name: f"{mount}/{group}" for name, mount in v1.items()})

    def oom_file(self, container_id: str) -> str:
        """The file whose line `oom_kill N` counts those kills; "" where memory is not accounted."""
        if "memory" in self._v1:
            return f"{self._v1['memory']}/{self._group(container_id)}/memory.oom_control"
        return f"{self._place(container_id).leaf}/memory.events" if "memory" in self._v2 else ""

    def views(self, resources: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        """What one with these limits may see at /sys/fs/cgroup: (directory, file system, controllers); "" is the top."""
        if self.layout is Layout.V2:
            return [("", "cgroup2", "")]
        views = []
        for mount in self._mounts_for(resources):
            if mount == self._unified:
                continue
            controllers = sorted(name for name, path in self._mounts_found.hierarchies.items() if path == mount)
            views.append((os.path.basename(mount), "cgroup", ",".join(controllers)))
        return [*views, ("unified", "cgroup2", "")] if self._unified else views

    def containers(self) -> set[str]:
        """Ids of all groups that exist in any hierarchy: what a crash may have left behind."""
        found: set[str] = set()
        for directory in self._own_directories():
            found.update(os.path.basename(child) for child in files.children(directory))
        return found - {_SHIMS}

    def remove(self, container_id: str) -> None:
        """Remove the group and what was made below it; it must have no process any more. Gone already is fine."""
        for directory in self._directories(container_id):
            self._remove_directory(directory)
            above = os.path.dirname(directory)
            if files.read_if_there(f"{above}/memory.low").strip() not in {"", "0"}:
                cgroup_parents.share_protection(above)
            if container_id in self._below:
                with contextlib.suppress(OSError):  # another container is there
                    files.rmdir(above)

    def remove_parent(self) -> None:
        """Remove the shims' group and the parents, once neither shim nor forkserver is left."""
        for directory in (*self._own_directories(), *(f"{mount}/{self.parent}" for mount in self._named)):
            shims = f"{directory}/{_SHIMS}"
            if os.getpid() in files.pids_in(shims):  # an engine that a forkserver restarted
                files.write(f"{self._way_out(directory)}/cgroup.procs", str(os.getpid()))
            self._remove_directory(shims)
            self._remove_directory(directory)
        if self._unified:
            cgroup_parents.readmit(self._unified)

    def remove_if_empty(self) -> None:
        """Remove the parent of a tree without shims, unless another group is in it."""
        for directory in self._own_directories():
            with contextlib.suppress(OSError):
                files.rmdir(directory)

    def close(self) -> None:
        """Let go of the device programs; groups keep theirs."""
        self._programs.close()

    def _way_out(self, directory: str) -> str:
        """Where a process can go that is in a group of ours: the root, unless that has given its processes to a leaf."""
        mount = directory.removesuffix(f"/{self.parent}")
        outer = f"{mount}/{cgroup_parents.OUTER}"
        return outer if os.path.isdir(outer) else mount

    def _v1_mounts(self) -> list[str]:
        return list(dict.fromkeys(self._v1.values()))  # controllers may share a mount, as cpu,cpuacct do

    def _mounts(self) -> list[str]:
        """Of every hierarchy in which a container may have a group, cgroup2's first."""
        mounts = [self._unified] if self._unified else []
        return list(dict.fromkeys([*mounts, *self._v1_mounts(), *self._v1_on_demand.values()]))

    def _mounts_for(self, resources: Mapping[str, Any] | None) -> list[str]:
        """Of those in which a container with these limits has one; None: the shims."""
        wanted = set() if resources is None else uses(resources, v2=False) | _LOOKED_FOR
        on_demand = [mount for name, mount in self._v1_on_demand.items() if name in wanted]
        return list(dict.fromkeys([*([self._unified] if self._unified else []), *self._v1_mounts(), *on_demand]))

    def _own_directories(self) -> list[str]:
        overs = {self.parent, *(f"{below}/{self.parent}" for below in self._below.values())}
        return [f"{mount}/{over}" for mount in self._mounts() for over in sorted(overs)]

    def _over(self, name: str) -> str:
        """The group right above this container's."""
        below = self._below.get(name, "")
        return f"{below}/{self.parent}" if below else self.parent

    def _group(self, name: str) -> str:
        return f"{self._over(name)}/{_checked(name)}"

    def _directories(self, name: str) -> Iterator[str]:
        """The group's directories, cgroup2's first; a hierarchy that it did not join has none."""
        group = self._group(name)
        return (f"{mount}/{group}" for mount in self._mounts())

    def _place(self, name: str, resources: Mapping[str, Any] | None = None) -> CgroupPlace:
        group = self._group(name)
        return CgroupPlace(
            group=group,
            leaf=f"{self._unified}/{group}" if self._unified else "",
            tasks=tuple(f"{mount}/{group}/tasks" for mount in self._mounts_for(resources) if mount != self._unified),
        )

    def _delegate_for(self, name: str, resources: Mapping[str, Any]) -> None:
        if self._unified and uses(resources, v2=True) & self._v2_on_demand:
            self._delegate(self._over(name), self._v2 | self._v2_on_demand)

    def _delegate(self, over: str, controllers: set[str]) -> None:
        """Make a v2 group that is to have children with these controllers, and those above it."""
        directory = self._unified
        cgroup_parents.delegate(directory, controllers)
        for part in over.split("/"):
            directory = f"{directory}/{part}"
            files.ensure(directory)
            cgroup_parents.delegate(directory, controllers)

    def _make(self, mount: str, group: str) -> None:
        directory = f"{mount}/{group}"
        try:
            files.mkdir(directory)
        except FileExistsError:
            if any(files.pids_in(each) for each in files.walk(directory)):
                raise Conflict(f"cgroup {group} still has processes") from None
            self._remove_directory(directory)
            files.mkdir(directory)
        except FileNotFoundError:  # somebody removed our empty parents, or this is the first one below that parent
            self._make_parents(mount, os.path.dirname(group))
            files.mkdir(directory)
        if mount != self._mounts_found.hierarchies.get("cpuset"):
            return
        if cgroup_parents.fill_cpuset(directory, mount) and self._has_shims:
            # An engine's own group: the next one comes filled (Documentation/admin-guide/cgroup-v1/cgroups.rst).
            files.write(f"{os.path.dirname(directory)}/cgroup.clone_children", "1")

    def _make_parents(self, mount: str, over: str) -> None:
        if self._has_shims and over == self.parent and mount in (self._unified, *self._v1_mounts()):
            self.prepare()
        elif mount == self._unified:
            self._delegate(over, self._v2)
        else:
            directory = mount
            for part in over.split("/"):
                directory = f"{directory}/{part}"
                files.ensure(directory)

    def _set_limits(self, group: str, resources: Mapping[str, Any]) -> Iterator[str]:
        """Write the limits; a sentence for each one that this machine cannot enforce."""
        self._share(group, resources)
        for directory, limit in self._limits_in(group, resources):
            yield from cgroup_apply.set_limit(directory, limit)
        if "memory" in self._v2 and (resources.get("memory") or {}).get("reservation"):
            cgroup_parents.share_protection(f"{self._unified}/{os.path.dirname(group)}")

    def _limits_in(self, group: str, resources: Mapping[str, Any]) -> Iterator[tuple[str, Limit]]:
        """Each limit with the group's directory that it is set in, "" for one that no controller is mounted for."""
        v1_mounts = {**self._v1, **self._v1_on_demand}
        for v1, v2 in zip(limits(resources, v2=False), limits(resources, v2=True), strict=True):
            if v1.controller in v1_mounts:
                yield f"{v1_mounts[v1.controller]}/{group}", v1
            elif v2.controller in self._v2 | self._v2_on_demand:
                yield f"{self._unified}/{group}", v2
            else:
                yield "", v1

    def _share(self, group: str, resources: Mapping[str, Any]) -> None:
        """What the groups above must have before this one can."""
        cpu = resources.get("cpu") or {}
        if "cpu" in self._v1 and cpu.get("realtimeRuntime"):
            period = cpu.get("realtimePeriod") or _REAL_TIME_PERIOD_US
            directory = f"{self._v1['cpu']}/{group}"
            if os.path.exists(f"{directory}/cpu.rt_runtime_us"):
                cgroup_parents.share_real_time(directory, cpu["realtimeRuntime"], period, self._v1["cpu"])

    def _set_devices(self, place: CgroupPlace, resources: Mapping[str, Any]) -> Iterator[str]:
        """A document that says nothing of devices gets the harmless ones."""
        rules = from_oci(resources.get("devices") or oci_devices(DEFAULT_DEVICES))
        if "devices" in self._v1:
            yield from cgroup_apply.set_devices_v1(f"{self._v1['devices']}/{place.group}", rules)
        elif self._unified:
            yield from self._programs.attach(place.leaf, rules)
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

    def freeze(self, container_id: str) -> None:
        """Have no process of the group run, nor one that comes to it; returns once all of them rest.

        Raises OperationFailed where this machine has no freezer, or when a process is stuck in the kernel.
        """
        freeze(self._freezer(container_id), self._sleep)

    def thaw(self, container_id: str) -> None:
        """Undo `freeze`; a group that is gone, or that is not frozen, is left as it is."""
        freezer = self._freezer(container_id)
        if freezer is not None:
            freezer.set(frozen=False)

    def is_frozen(self, container_id: str) -> bool:
        freezer = self._freezer(container_id)
        return freezer is not None and freezer.asked()

    def _freezer(self, container_id: str) -> Freezer | None:
        name = self._group(container_id)
        if self._unified:
            return FreezerV2(f"{self._unified}/{name}")
        return FreezerV1(f"{self._v1['freezer']}/{name}") if "freezer" in self._v1 else None

    def _remove_directory(self, directory: str) -> None:
        files.remove(directory, self._sleep)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{name!r} cannot name a cgroup")
    return name
