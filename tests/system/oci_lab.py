"""The OCI command line, called as podman and containerd call it, with a bundle of the test's own."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from e2e.pace import SLOW
from orchestr8.kernel.cgroup_mounts import find_mounts
from tests.system.busybox import BUSYBOX

LIMIT_S = 20.0 * SLOW
PROGRAMS = (
    *("sh", "cat", "sleep", "id", "ps", "tty", "true", "ls", "stty", "touch", "head", "grep", "mkdir", "rmdir", "stat", "chown"),
    *("ip", "mount", "umount", "dmesg", "hostname", "tr", "readlink", "mknod", "find", "sed", "wc", "env", "sort", "cut", "ln", "test"),
)  # fmt: skip
OURS = (sys.executable, "-m", "orchestr8.oci")
_SUBREAPER = """
import os, subprocess, sys
from orchestr8.kernel.prctl import set_child_subreaper
set_child_subreaper()
subprocess.run(sys.argv[1:], check=True)
try:
    while True:
        os.wait()
except ChildProcessError:
    pass
"""
_SAFE = ["nosuid", "noexec", "nodev"]


class Runtime:
    """The command with a root and a bundle of the test's own."""

    def __init__(self, folder: Path, command: Sequence[str] = OURS) -> None:
        self.command = command
        self.folder = folder
        self.bundle = folder / "bundle"
        self.root = folder / "state"
        for name in ("bin", "etc", "tmp"):
            (self.bundle / "rootfs" / name).mkdir(parents=True)
        (self.bundle / "rootfs/bin/busybox").write_bytes(Path(BUSYBOX).read_bytes())  # a copy: tests give it away
        (self.bundle / "rootfs/bin/busybox").chmod(0o755)
        for name in PROGRAMS:
            (self.bundle / f"rootfs/bin/{name}").symlink_to("busybox")
        (self.bundle / "rootfs/etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\napp:x:7:7::/srv/app:/bin/sh\n")
        self.name = f"o8-{os.urandom(4).hex()}"

    def document(self, *argv: str, **changes: Any) -> dict[str, Any]:
        found: dict[str, Any] = {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": 0, "gid": 0}, "args": list(argv), "env": ["PATH=/bin"], "cwd": "/",
                "capabilities": {kind: ["CAP_KILL", "CAP_MKNOD"] for kind in ("bounding", "effective", "permitted")},
            },
            "root": {"path": "rootfs"},
            "hostname": "inside",
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc", "options": _SAFE},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "newinstance", "ptmxmode=0666"]},
                {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": [*_SAFE, "ro"]},
            ],
            "linux": {
                "cgroupsPath": f"/o8-test-{self.name}/{self.name}",
                "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network", "cgroup")],
                "maskedPaths": ["/proc/kcore"],
                "readonlyPaths": ["/proc/sys"],
            },
        }  # fmt: skip
        for section in ("process", "linux"):
            found[section] |= changes.pop(section, {})
        return found | changes

    def write(self, *argv: str, **changes: Any) -> None:
        (self.bundle / "config.json").write_text(json.dumps(self.document(*argv, **changes)))

    def words(self, *words: str) -> list[str]:
        return [*self.command, "--root", str(self.root), *words]

    def __call__(
        self, *words: str, code: int | None = 0, stdin: bytes = b"", pass_fds: Sequence[int] = ()
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.words(*words), input=stdin.decode() or None, stdin=None if stdin else subprocess.DEVNULL,
            capture_output=True, text=True, timeout=LIMIT_S, check=False, pass_fds=pass_fds,
        )  # fmt: skip
        assert code is None or done.returncode == code, done
        assert "Traceback" not in done.stderr
        return done

    def create(self, *flags: str) -> tuple[str, int]:
        """A container that is created, whose output goes to a file; PID 1."""
        pid_file = self.folder / "pid"
        with open(self.folder / "output", "wb") as output:
            words = self.words("create", "--bundle", str(self.bundle), "--pid-file", str(pid_file), *flags, self.name)
            done = subprocess.run(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, timeout=LIMIT_S, check=False
            )
        assert done.returncode == 0, self.output()
        return self.name, int(pid_file.read_text())

    @contextlib.contextmanager
    def waited_for(self, *words: str) -> Iterator[None]:
        """As conmon and containerd's shim call it: what it leaves running is their child, and they wait for its end. Whoever
        is PID 1 of this machine may not, and a pid namespace ends once all of it has been waited for.
        """
        with subprocess.Popen(
            [sys.executable, "-c", _SUBREAPER, *self.words(*words)], stdin=subprocess.DEVNULL
        ) as caller:
            yield
            assert caller.wait(LIMIT_S) == 0

    def output(self) -> str:
        return (self.folder / "output").read_text()

    def state(self) -> dict[str, Any]:
        return dict(json.loads(self("state", self.name).stdout))

    def wait(self, status: str) -> None:
        self.until(lambda: self.state()["status"] == status, status)

    @staticmethod
    def until(look: Any, what: str) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not look():
            assert time.monotonic() < deadline, f"not within {LIMIT_S:g} s: {what}"
            time.sleep(0.02)

    def run(self, *argv: str, code: int | None = 0, **changes: Any) -> subprocess.CompletedProcess[str]:
        self.write(*argv, **changes)
        return self("run", "--bundle", str(self.bundle), self.name, code=code)


def groups() -> list[str]:
    """The directories of every hierarchy that tests here have made."""
    mounts = find_mounts(Path("/proc/self/mountinfo").read_text())
    tops = {mount for mount in (mounts.unified, *mounts.hierarchies.values()) if mount}
    return [f"{top}/{name}" for top in sorted(tops) for name in os.listdir(top) if name.startswith("o8-test-")]


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Runtime]:
    """Taken away at the end, and nothing is left of it."""
    runtime = Runtime(folder)
    try:
        yield runtime
    finally:
        runtime("delete", "--force", runtime.name)
        left = [group for group in groups() if runtime.name in group]
        for group in left:
            for folder, _, _ in os.walk(group, topdown=False):
                os.rmdir(folder)
    assert os.listdir(runtime.root) == [] if runtime.root.exists() else True
    mounts = Path("/proc/self/mountinfo").read_text()  # others' come and go meanwhile
    assert [line for line in mounts.splitlines() if str(folder) in line] == []


@pytest.fixture
def oci(tmp_path: Path) -> Iterator[Runtime]:
    with opened(tmp_path) as runtime:
        yield runtime


@pytest.fixture
def beside(oci: Runtime) -> Iterator[Runtime]:
    """Another one, for a container that has something of the first one's."""
    with opened(oci.folder / "other") as runtime:
        yield runtime
