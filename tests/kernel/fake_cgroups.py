"""A cgroup filesystem for tests: which directories are made, what is written where, in what order."""

import os
import shutil
from pathlib import Path

import pytest

from orchestr8.kernel import cgroup_apply, cgroup_files
from orchestr8.kernel.cgroup import CgroupTree

ID = "0123456789ab"

V1_FILES = {
    "memory": {
        "memory.limit_in_bytes": "",
        "memory.memsw.limit_in_bytes": "",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
    },
    "cpu": {"cpu.cfs_period_us": "", "cpu.cfs_quota_us": ""},
    "pids": {"pids.max": ""},
    "devices": {"devices.allow": "", "devices.deny": ""},
    "freezer": {"freezer.state": "THAWED"},
    "cpuset": {"cpuset.cpus": "", "cpuset.mems": "", "cgroup.clone_children": "0\n"},
    "blkio": {"blkio.throttle.read_bps_device": ""},
}
V2_CORE = {"cgroup.procs": "", "cgroup.kill": "", "cgroup.freeze": "", "cgroup.subtree_control": ""}
V2_FILES = {
    "memory": {
        "memory.max": "",
        "memory.swap.max": "",
        "memory.low": "0\n",
        "memory.events": "low 0\noom 0\noom_kill 0\n",
    },
    "cpu": {"cpu.max": ""},
    "cpuset": {"cpuset.cpus": "", "cpuset.mems": ""},
    "io": {"io.max": ""},
    "pids": {"pids.max": ""},
}


class FakeKernel:
    """A cgroup filesystem of ordinary directories: mkdir fills them, rmdir takes the files along, writes are noted."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.writes: list[str] = []
        self.refused: dict[str, OSError] = {}
        self._hierarchies: dict[str, dict[str, str]] = {}
        self.mountinfo = ""
        self.keeps = False  # True: files hold what was written last
        monkeypatch.setattr(cgroup_files, "mkdir", self.mkdir)
        monkeypatch.setattr(cgroup_files, "rmdir", self.rmdir)
        monkeypatch.setattr(cgroup_files, "write", self.write)
        monkeypatch.setattr(cgroup_apply.device_filter, "load", lambda policy: os.open("/dev/null", os.O_RDONLY))
        monkeypatch.setattr(
            cgroup_apply.device_filter, "attach", lambda fd, group: self.writes.append(f"attach {self.short(group)}")
        )

    def mount_v1(self, *controllers: str) -> None:
        name = ",".join(controllers)
        files = {"tasks": "", "cgroup.procs": ""}
        for controller in controllers:
            files |= V1_FILES.get(controller, {})
        self._mount(name, files)
        self.mountinfo += f"32 31 0:29 / {self.root}/{name} rw,relatime - cgroup cgroup rw,{name}\n"

    def mount_v2(self, name: str, *controllers: str) -> None:
        files = dict(V2_CORE)
        for controller in controllers:
            files |= V2_FILES[controller]
        self._mount(name, files | {"cgroup.controllers": " ".join(controllers)})
        self.mountinfo += f"41 31 0:38 / {self.root}/{name} rw shared:3 - cgroup2 cgroup2 rw,nsdelegate\n"

    def _mount(self, name: str, files: dict[str, str]) -> None:
        self._hierarchies[name] = files
        self.mkdir(str(self.root / name))

    def mkdir(self, path: str) -> None:
        Path(path).mkdir()
        for name, text in self._hierarchies[Path(path).relative_to(self.root).parts[0]].items():
            (Path(path) / name).write_text(text)
        above = Path(path).parent
        if (above / "cgroup.clone_children").exists() and (above / "cgroup.clone_children").read_text().strip() == "1":
            for name in ("cpuset.cpus", "cpuset.mems"):
                shutil.copy(above / name, path)

    def rmdir(self, path: str) -> None:
        if self.short(path) in self.refused:
            raise self.refused[self.short(path)]
        entries = list(os.scandir(path))
        if any(entry.is_dir() for entry in entries):
            raise OSError(39, "Directory not empty")
        if (Path(path) / "cgroup.procs").read_text().strip():
            raise OSError(16, "Device or resource busy")
        shutil.rmtree(path)

    def write(self, path: str, *texts: str) -> None:
        if not Path(path).exists():
            raise FileNotFoundError(2, "No such file or directory", path)
        if self.short(path) in self.refused:
            raise self.refused[self.short(path)]
        self.writes += [f"{self.short(path)} {text}" for text in texts]
        if self.keeps:
            Path(path).write_text(texts[-1])

    def short(self, path: str) -> str:
        return str(Path(path).relative_to(self.root))

    def directories(self) -> list[str]:
        return sorted(self.short(str(path)) for path in self.root.rglob("*") if path.is_dir())


def tree(kernel: FakeKernel) -> CgroupTree:
    return CgroupTree.detect("ab12", kernel.mountinfo)
